"""The engine while it works, for those who watch: a snapshot, and the same as events."""
