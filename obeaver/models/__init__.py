"""Model files on disk: catalogue, store, fetching, facts, import."""
