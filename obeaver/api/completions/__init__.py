"""Text completions: OpenAI's older dialect, which continues a text."""
