"""When requests are sent in an open loop: a Poisson process, as independent people make it."""

import random


def poisson_arrivals(rate_per_s: float, count: int, seed: int) -> list[float]:
    """Send times in seconds after the start, ascending; the same for the same seed.

    Args:
        rate_per_s: Requests a second on average.
        count: How many.
        seed: Of the random gaps.

    Raises:
        ValueError: The rate is not positive.
    """
    if rate_per_s <= 0:
        raise ValueError("the rate must be positive")
    source = random.Random(seed)
    at_s, arrivals = 0.0, []
    for _ in range(count):
        at_s += source.expovariate(rate_per_s)
        arrivals.append(at_s)
    return arrivals
