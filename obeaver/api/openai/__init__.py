"""What OpenAI's dialects share: rules of their requests, and parts of their answers."""
