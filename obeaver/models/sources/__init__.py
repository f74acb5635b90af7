"""Where model files come from: one protocol, one module for each kind of place."""
