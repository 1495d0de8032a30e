"""The results, for people: Markdown."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import pathlib
import platform
import re
from typing import Any

from tests.benchmarks.measure import cores
from tests.benchmarks.settings import SETTINGS

__all__ = ["machine", "markdown"]

_HEAD = (
    "",
    "partners from",
    "examples/s",
    "ms a batch (min–max)",
    "CPU ms",
    "vs peer ↑",
    "vs dataset peer ↑",
    "vs floor ↓",
    "vs no mixing ↓",
    "first batch, ms",
    "new iterator, ms",
    "peak, MB (own)",
)
_NOTE = """\
Medians over the rounds, in which all contenders take turns.

- CPU ms: of all threads, for a batch.
- vs peer: how many times as fast as the fastest peer; vs dataset peer: as the fastest
  that takes partners from the whole dataset. More is better.
- vs floor, vs no mixing: how many times as long as these. Less is better.
- floor ({floor}): one pass over the bytes of the mixed batch, without
  TensorFlow, into the same memory again and again; "malloc": into new memory in every
  pass (TensorFlow keeps what it frees).
- first batch: building the pipeline and getting one batch, in a new process; of three.
- new iterator: to the first batch of another iterator over the same pipeline, as
  `model.fit` makes one in every epoch unless the dataset repeats.
- peak: of that process in 60 further batches; (own): above what TensorFlow and the
  source data had taken before.
- –: not measured, or not applicable."""


def machine() -> dict[str, Any]:
    """Where and when it was measured, with which versions."""
    names = ("tensorflow", "keras", "tensorflow-probability", "numpy", "tfmixup")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
        "cpu": _cpu(),
        "cores": cores(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


def _cpu() -> str:
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*: (.+)", info.read_text())
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def markdown(results: dict[str, Any]) -> str:
    """All tables."""
    where, options = results["machine"], results["options"]
    versions = ", ".join(f"{name} {v}" for name, v in where["versions"].items())
    load = "" if where["load"] is None else f", load {where['load']:.1f} at the start"
    lines = [
        "# Benchmarks of tfmixup",
        "",
        f"{where['date']}, {where['cpu']}, {where['cores']} cores{load}, "
        f"Python {where['python']}, {versions}. α = {options['alpha']}, "
        f"{options['rounds']} rounds.",
        "",
        _NOTE.format(floor=results["floor"]),
    ]
    if options["rounds"] < 7:
        lines += ["", "**Fewer than 7 rounds: a trial, nothing to quote.**"]
    lines += ["", "## At a glance", "", *_glance(results["tables"])]
    for table in results["tables"]:
        lines += ["", *_table(table)]
    return "\n".join(lines)


_GLANCE = (
    "",
    "times as fast as the fastest peer",
    "as the fastest across the dataset",
    "as long as no mixing",
    "first batch, ms (recipe)",
    "new iterator, ms (recipe)",
)


def _glance(tables: list[dict[str, Any]]) -> list[str]:
    """Every way of ours, beside its peers: what one decides by."""
    lines = [list(_GLANCE)]
    for table in tables:
        recipe = next((r for r in table["rows"] if r["name"] == "zip_recipe"), {})
        for row in table["rows"]:
            if row["role"] != "ours":
                continue
            ratios = row["ratios"]
            lines.append(
                [
                    f"{SETTINGS[table['setting']]}, {table['title']}: {row['name']}",
                    _times(ratios["speed_to_fastest_peer"]),
                    _times(ratios["speed_to_fastest_peer_across_dataset"]),
                    _times(ratios["time_to_no_mixing"]),
                    *(
                        f"{row[key]:,.0f} ({recipe[key]:,.0f})"
                        if key in row and key in recipe
                        else "–"
                        for key in ("first_batch_ms", "new_iterator_ms")
                    ),
                ]
            )
    return _grid(lines)


def _table(table: dict[str, Any]) -> list[str]:
    lines = [
        f"## {SETTINGS[table['setting']]}: {table['title']}, "
        f"B = {table['batch_size']}, C = {table['num_classes']}",
        "",
    ]
    rows = [row for row in table["rows"] if row["role"] != "variant"]
    body = [_cells(row) for row in rows]
    for title, reason in table["left_out"]:
        body.append([title, reason, *["–"] * (len(_HEAD) - 2)])
    # Columns without a single entry are left out.
    used = [
        i for i in range(len(_HEAD)) if i == 0 or any(cells[i] != "–" for cells in body)
    ]
    lines += _grid([[cells[i] for i in used] for cells in [list(_HEAD), *body]])
    variants = [row for row in table["rows"] if row["role"] == "variant"]
    if variants:
        head = ["other work", *_HEAD[2:5], "vs two_streams ↓"]
        cells = [
            [*_speed(row), _times(row["ratios"]["time_to_two_streams"])]
            for row in variants
        ]
        lines += ["", *_grid([head, *cells])]
    return lines


def _speed(row: dict[str, Any]) -> list[str]:
    ms = row["ms"]
    return [
        row["title"],
        f"{row['examples_per_second']:,.0f}",
        f"{_digits(ms['median'])} ({_digits(ms['min'])}–{_digits(ms['max'])})",
        _digits(row["cpu_ms"]["median"]),
    ]


def _cells(row: dict[str, Any]) -> list[str]:
    title, *speed = _speed(row)
    ratios = row["ratios"]
    is_floor = row["role"] == "floor"
    peak = "–"
    if row.get("peak_mb"):
        own = row["peak_mb"] - row["before_mb"]
        peak = f"{row['peak_mb']:,.0f} ({own:,.0f})"
    first, again = row.get("first_batch_ms"), row.get("new_iterator_ms")
    return [
        title,
        row["scope"] or "–",
        *speed,
        "–" if is_floor else _times(ratios["speed_to_fastest_peer"]),
        "–" if is_floor else _times(ratios["speed_to_fastest_peer_across_dataset"]),
        _times(ratios["time_to_floor"]),
        "–" if is_floor else _times(ratios["time_to_no_mixing"]),
        "–" if first is None else f"{first:,.0f}",
        "–" if again is None else f"{again:,.0f}",
        peak,
    ]


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{_digits(ratio)}×"


def _digits(value: float) -> str:
    """Three significant digits, without exponents."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{decimals}f}"


def _grid(rows: list[list[str]]) -> list[str]:
    """A Markdown table that is aligned in plain text too; numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]

    def line(cells: list[str]) -> str:
        first, *others = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths))
        )
        return f"| {' | '.join([first, *others])} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(rows[0]), line(rule), *(line(row) for row in rows[1:])]
