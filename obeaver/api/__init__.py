"""OpenAI's surface: JSON in, engine calls, JSON or server-sent events out."""
