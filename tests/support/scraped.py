"""What a scraper makes of `/metrics`."""

from collections.abc import Callable
from functools import partial

from prometheus_client.parser import text_string_to_metric_families
from support.asgi import Reply

Read = Callable[..., float]
"""From a series' name, and some of its labels, to its value; to the sum of those that have them.

One that is not there fails the test, unless `missing` is given: its value then.
"""


def scraped(reply: Reply) -> Read:
    """A scrape, read by the official parser."""
    assert reply.status == 200
    return scraped_text(reply.body.decode())


def scraped_text(text: str) -> Read:
    """The same of its text."""
    return partial(_value, text)


def _value(text: str, name: str, *, missing: float | None = None, **labels: str) -> float:
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    if not found and missing is not None:
        return missing
    assert found, f"there is no {name} with {labels}"
    return sum(found)
