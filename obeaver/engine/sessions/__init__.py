"""Sessions of onnxruntime: execution providers, placement, threads."""
