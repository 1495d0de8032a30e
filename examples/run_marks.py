"""Marks for the lines that an example prints while it works."""

from __future__ import annotations

import time


def marks(start: float, done: int, total: int, digits: int = 1) -> tuple[str, str]:
    """Which run is done, such as "[ 3/12]", and how long the rest may take.

    Args:
      start: `time.perf_counter()` before the first run.
      done: how many runs are done.
      total: the number of runs, which take about as long as each other.
      digits: of the minutes that are left.
    """
    minutes = (time.perf_counter() - start) / done * (total - done) / 60
    return f"[{done:>{len(str(total))}}/{total}]", f"{minutes:.{digits}f} min left"
