"""What came out: rows, their statistics, and how they are told."""
