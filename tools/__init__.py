"""Programs for those who work on obeaver; none is part of the package."""
