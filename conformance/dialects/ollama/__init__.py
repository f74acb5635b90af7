"""Ollama's native protocol."""
