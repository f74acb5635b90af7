"""Why a model is left to another runner, or to none."""


class CannotRun(Exception):
    """A runner or a provider does not take this model; the text says why, for the log and `/health`."""
