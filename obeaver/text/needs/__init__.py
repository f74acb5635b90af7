"""What a chat template does not know, found by trying it on small conversations, and what is done about it."""
