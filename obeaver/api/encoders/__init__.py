"""Endpoints of models that encode: embeddings and rerank."""
