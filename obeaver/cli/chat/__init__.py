"""The chat in the terminal: `obeaver run`."""
