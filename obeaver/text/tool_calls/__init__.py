"""Calls that a model writes as text, found while the text arrives: one grammar for each dialect."""
