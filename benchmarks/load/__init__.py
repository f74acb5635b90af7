"""Load on a server: when requests are sent, what they ask, and clients that cost little."""
