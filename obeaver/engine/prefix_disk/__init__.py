"""Keys and values of prompts on the disk: blocks as files, a bounded folder of them, threads that wait for it."""
