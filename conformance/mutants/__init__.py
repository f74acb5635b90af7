"""Deliberate defects, to see that the suite bites: a proxy in front of a healthy server that breaks its answers."""
