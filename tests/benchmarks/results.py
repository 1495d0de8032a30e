"""From the times of all rounds to medians, spread and ratios."""

from __future__ import annotations

import statistics
from typing import Any

__all__ = ["fill_in"]


def fill_in(rows: list[dict[str, Any]], batch_size: int) -> None:
    """Adds what follows from every row's `timings`, one for every round.

    Ratios are medians of the ratios within a round, so that a slow spell of the machine
    strikes both sides. `speed_…` is how many times as fast, `time_…` how many times as
    long.
    """
    for row in rows:
        milliseconds = [1e3 * timing.seconds for timing in row["timings"]]
        middle = statistics.median(milliseconds)
        row["ms"] = {
            "median": middle,
            "min": min(milliseconds),
            "max": max(milliseconds),
            "rounds": milliseconds,
        }
        cpu = [1e3 * timing.cpu_seconds for timing in row["timings"]]
        row["cpu_ms"] = {"median": statistics.median(cpu), "rounds": cpu}
        row["examples_per_second"] = batch_size / middle * 1e3
    named = {row["name"]: row for row in rows}
    peers = [row for row in rows if row["role"] == "peer"]
    fastest = _fastest(peers)
    across = _fastest([row for row in peers if row["scope"] == "dataset"])
    for row in rows:
        floor = {"dataset": "floor", "batch": "floor_in_batch"}.get(row["scope"])
        references = {
            "speed_to_fastest_peer": (fastest, row),
            "speed_to_fastest_peer_across_dataset": (across, row),
            "time_to_floor": (row, named.get(floor)),
            "time_to_no_mixing": (row, named.get("no_mixing")),
            "time_to_two_streams": (row, named.get("two_streams")),
        }
        row["ratios"] = {key: _ratio(*pair) for key, pair in references.items()}
    for row in rows:
        del row["timings"]


def _fastest(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    return min(rows, key=lambda row: row["ms"]["median"], default=None)


def _ratio(above: dict[str, Any] | None, below: dict[str, Any] | None) -> float | None:
    if above is None or below is None:
        return None
    return statistics.median(
        one.seconds / other.seconds
        for one, other in zip(above["timings"], below["timings"])
    )
