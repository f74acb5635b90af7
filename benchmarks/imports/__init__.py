"""What an import costs, on files of the sizes that people run."""
