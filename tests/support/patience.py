"""Patience for tests: as many tries as usual, no waiting in between."""

from obeaver.models.sources.patience import Patience

AT_ONCE = Patience(first_wait_s=0.0)
