"""The models that answer: which there are, loading one, exchanging one."""
