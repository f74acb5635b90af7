"""What `/metrics` tells: counters and histograms of a server and of its engines."""
