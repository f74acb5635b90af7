"""Where a server keeps responses, and how many."""

from obeaver.app.memory import MB
from obeaver.archive.archive import Archive
from obeaver.archive.stored_responses import Limits
from obeaver.config import Settings


def make_archive(settings: Settings) -> Archive | None:
    """The stored responses of a server; None where it stores none."""
    if settings.no_store_responses:
        return None
    limits = Limits(int(settings.stored_responses_mb * MB), settings.stored_responses_age_s)
    return Archive(settings.home / "responses" / "responses.sqlite3", limits)
