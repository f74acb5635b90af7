"""What all dialects share: from a conversation over prompt and grammar to a generation and its events."""
