"""Answers that must hold to a form: grammars, and the JSON Schemas they are made of."""
