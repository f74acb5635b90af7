"""What must be true of answers in every dialect. Each check returns violations as sentences."""
