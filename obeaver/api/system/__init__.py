"""What a server says about itself: health, metrics, memory, documentation."""
