"""What a handful of measurements say."""

import math
import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed (nearest rank).

    It is always a value that was measured. The 99th percentile of fewer than 100 values is the largest.

    Args:
        values: In any order.
        share: 0 to 1.

    Raises:
        ValueError: There are no values, or `share` is not between 0 and 1.
    """
    if not values or not 0 <= share <= 1:
        raise ValueError("a percentile needs values, and a share between 0 and 1")
    # 0.07 * 100 is a little more than 7: without the correction its rank would be 8.
    rank = max(1, math.ceil(share * len(values) - 1e-9))
    return sorted(values)[rank - 1]


def spread(values: Sequence[float]) -> float:
    """Largest distance from the median, as a share of it; 0 where the median is 0."""
    middle = statistics.median(values)
    return max(abs(value - middle) for value in values) / abs(middle) if middle else 0.0
