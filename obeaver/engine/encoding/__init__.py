"""What encodes: texts as token ids in, vectors or scores out."""
