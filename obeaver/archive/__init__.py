"""What was answered and is kept: stored responses in SQLite."""
