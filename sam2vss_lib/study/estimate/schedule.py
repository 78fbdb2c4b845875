"""How long tasks take on several workers, when whoever is free takes the longest that is left."""

from __future__ import annotations

import heapq
from collections.abc import Iterable


def makespan_s(tasks: Iterable[tuple[float, int]], workers: int) -> float:
    """Time until the last task is done, by list scheduling; longest first is the caller's order.

    Memory grows with `workers` only, and time with the number of different durations, not with the
    number of tasks: a round in which every worker takes one of many equally long tasks is computed
    for as many rounds as there are, at once.

    Args:
        tasks: (seconds, how many such tasks), in the order in which they are taken.
        workers: each of which does one task at a time; at least 1.

    Returns:
        Seconds; 0 without tasks. At least the mean load of a worker and at least the longest task.

    Source:
        R. L. Graham, "Bounds on multiprocessing timing anomalies", 1969.
    """
    busy_until = [0.0] * workers  # a heap: the first is free first
    for seconds, count in tasks:
        left = count if seconds > 0 else 0
        while left:
            # within one task's length of each other, all workers take one before any takes two;
            # often just within, which rounding must not hide
            spread = max(busy_until) - busy_until[0]
            if left >= workers and spread <= seconds * (1 + 1e-9):
                rounds, left = divmod(left, workers)
                busy_until = [until + rounds * seconds for until in busy_until]
                continue
            for _ in range(min(left, workers)):
                heapq.heapreplace(busy_until, busy_until[0] + seconds)
            left -= min(left, workers)
    return max(busy_until)
