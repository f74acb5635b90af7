"""From logits to a token: penalties, selection, random choice, log-probabilities."""
