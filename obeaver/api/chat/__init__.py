"""Chat completions: OpenAI's chat dialect, and the tokens of its prompts."""
