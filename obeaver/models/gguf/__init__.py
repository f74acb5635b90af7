"""Import of GGUF models: to ONNX, without torch."""

from obeaver.models.gguf.importer import import_gguf

__all__ = ["import_gguf"]
