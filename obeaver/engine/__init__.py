"""Token ids in, token ids out: scheduling, running, sampling. No HTTP, JSON or text."""
