"""Encoders: the layouts of embedding models and rerankers on disk, and their import to ONNX without torch."""
