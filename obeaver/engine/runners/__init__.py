"""What runs a decoder: the contract, onnxruntime by ourselves, onnxruntime-genai."""
