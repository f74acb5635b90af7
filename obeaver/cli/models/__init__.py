"""Commands about models: list, show, pull, convert, remove."""
