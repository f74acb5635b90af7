"""What decodes: the scheduler, its cache and the thread that steps it."""
