"""Ollama's native dialect."""
