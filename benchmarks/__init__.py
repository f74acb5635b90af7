"""Measurements of obeaver and its peers. One question a file; each prints its environment, a table and JSON."""
