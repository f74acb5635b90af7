"""What is asked. Each module makes the questions of one group; `python -m benchmarks --list` shows them."""
