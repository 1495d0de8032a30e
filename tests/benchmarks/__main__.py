"""The command: `python -m tests.benchmarks`."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from tests.benchmarks import (
    alone,
    contenders,
    floor,
    jpegs,
    measure,
    report,
    results,
    settings,
    verify,
    workloads,
)

_EXAMPLES = """\
examples:
  python -m tests.benchmarks --json results.json > results.md     everything
  python -m tests.benchmarks --quick                              a trial
  python -m tests.benchmarks --setting mixing --workloads tabular --no-memory
"""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measures tfmixup, its peers and a floor in one run, taking turns. "
        "Tables go to stdout as Markdown, progress to stderr. Keep the machine idle "
        "meanwhile.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = {
        "workloads": list(workloads.WORKLOADS),
        "contenders": [*contenders.CONTENDERS, "floor"],
        "setting": [*settings.SETTINGS, "all"],
    }
    parser.add_argument(
        "--setting",
        choices=names["setting"],
        default="all",
        help="mixing: what a batch costs, from tensors that are batches already; "
        "pipeline: 50,000 CIFAR-sized images in memory; decode: JPEGs in TFRecords "
        "(default: all)",
    )
    parser.add_argument(
        "--workloads",
        nargs="+",
        metavar="NAME",
        choices=names["workloads"],
        default=names["workloads"],
        help=f"for mixing alone: {', '.join(names['workloads'])} (default: all)",
    )
    parser.add_argument(
        "--contenders",
        nargs="+",
        metavar="NAME",
        choices=names["contenders"],
        help=f"{', '.join(names['contenders'])} (default: all)",
    )
    parser.add_argument("--alpha", type=float, default=0.2, help="of Beta(α, α)")
    parser.add_argument("--rounds", type=int, help="at least 2 (default: 7)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="results too")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a trial: 3 short rounds, few JPEGs, no variants, --no-memory",
    )
    parser.add_argument(
        "--no-memory",
        action="store_true",
        help="no process for each contender, so neither peak memory nor first batch",
    )
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 7)
    if options.rounds < 2:
        parser.error("--rounds must be at least 2: one round has no spread")
    options.no_memory |= options.quick
    if options.contenders is None:
        options.contenders = [
            name
            for name in names["contenders"]
            if not (options.quick and name in contenders.VARIANTS)
        ]
    return options


def main() -> None:
    """Measures and prints."""
    options = _arguments()
    started = time.perf_counter()
    found = {
        "machine": report.machine(),
        "options": {**vars(options), "json": None},
        "floor": floor.description(),
        "tables": [],
    }
    measure.check_consumer()
    with _records(options) as records:
        for setting, workload in _plan(options):
            table = _measure(setting, workload, records, options)
            found["tables"].append(table)
            if options.json:
                options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(report.markdown(found))
    _say(f"done in {time.perf_counter() - started:.0f} s")


def _plan(options: argparse.Namespace) -> list[tuple[str, workloads.Workload]]:
    plan = {
        settings.MIXING: [workloads.WORKLOADS[name] for name in options.workloads],
        settings.PIPELINE: [workloads.CIFAR],
        settings.DECODE: [workloads.JPEG],
    }
    return [
        (setting, workload)
        for setting in plan
        if options.setting in (setting, "all")
        for workload in plan[setting]
    ]


@contextlib.contextmanager
def _records(options: argparse.Namespace) -> Iterator[str | None]:
    """A directory of JPEGs, if they are needed."""
    if options.setting not in (settings.DECODE, "all"):
        yield None
        return
    with tempfile.TemporaryDirectory() as directory:
        examples = 384 if options.quick else 2048
        _say(f"writing {examples} JPEGs")
        size = jpegs.write(workloads.JPEG, directory, examples)
        _say(f"of {size / 1024:.0f} KiB on average")
        yield directory


def _measure(
    setting: str,
    workload: workloads.Workload,
    records: str | None,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """One table."""
    heading = f"{setting}, {workload.name}"
    _say(f"{heading}: building")
    source = settings.make(setting, workload.name, records)
    rows, openers = [], {}
    for contender in contenders.chosen(setting, workload, options.contenders):
        dataset = contender.build(source, options.alpha)
        verify.verify(contender, source, dataset)
        openers[contender.name] = functools.partial(measure.Running, dataset)
        rows.append(
            {
                "name": contender.name,
                "title": contender.title_in(setting),
                "role": contender.role,
                "scope": contender.scope,
            }
        )
    if "floor" in options.contenders and source.rows is not None and floor.library():
        for name, title, scope, fresh in floor.KINDS:
            running = floor.Floor(source, scope, fresh)
            running.check()
            openers[name] = lambda running=running: running
            rows.append({"name": name, "title": title, "role": "floor", "scope": scope})
    times, batches = measure.rounds(
        openers,
        number=options.rounds,
        seconds=0.1 if options.quick else 0.3,
        multiple=lambda name: 1 if "floor" in name else source.batches_per_epoch,
        progress=lambda what: _say(f"{heading}: {what}"),
    )
    for row in rows:
        row |= {
            "batches_per_round": batches[row["name"]],
            "timings": times[row["name"]],
        }
        if row["role"] in ("variant", "floor") or options.no_memory:
            continue
        _say(f"{heading}: {row['name']} in a process of its own")
        row |= alone.measure(
            setting, workload.name, row["name"], options.alpha, records
        )
    results.fill_in(rows, workload.batch_size)
    return {
        "setting": setting,
        "workload": workload.name,
        "title": workload.title,
        "batch_size": workload.batch_size,
        "num_classes": workload.num_classes,
        "rows": rows,
        "left_out": contenders.left_out(workload, options.contenders),
    }


def _say(what: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
