"""Embedding models and rerankers from GGUF files, and from safetensors of decoders."""
