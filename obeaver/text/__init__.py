"""Tokens to text and back: tokenizer, chat template, stop strings, markers, tool calls."""
