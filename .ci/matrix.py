"""Runs the default tests with each supported Python and TensorFlow.

    python3 .ci/matrix.py                        # every row, some ten minutes each
    python3 .ci/matrix.py --only 3.12-2.19       # one
    python3 .ci/matrix.py --write                # and puts the table into BUILD.md

Each row is an environment of its own in a temporary folder, with the pip that comes
with that Python, and is removed afterwards. Needs no package, and python3.10 to
python3.13 on the PATH or from pyenv.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from trees import ROOT, copy_tree

BUILD = ROOT / "BUILD.md"


@dataclasses.dataclass(frozen=True)
class Row:
    """A Python and a TensorFlow, with the oldest or the newest of all else."""

    python: str
    tensorflow: str
    oldest: bool = False

    @property
    def name(self) -> str:
        """What --only takes."""
        return f"{self.python}-{self.tensorflow}" + ("-oldest" if self.oldest else "")


ROWS = (
    Row("3.10", "2.18", oldest=True),
    Row("3.10", "2.21"),
    Row("3.11", "2.20"),
    Row("3.12", "2.19"),
    Row("3.13", "2.21"),
)
SHOWN = ("tensorflow", "tf-keras", "keras", "tensorflow-probability")
SHOWN += ("tensorflow-datasets", "numpy")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the rows that are asked for and prints their table."""
    args = parse_args(argv)
    if args.write and (args.only or args.tests):
        sys.exit("--write is for the whole table: leave --only and --tests out")
    rows = [row for row in ROWS if not args.only or row.name in args.only]
    pythons = {row.python: find_python(row.python, args.python) for row in rows}
    results = []
    for row in rows:
        print(f"\n=== {row.name}", flush=True)
        results.append(run(row, pythons[row.python], args.tests))
        print(json.dumps(results[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    print("\n" + table(results))
    if args.write:
        write(table(results))
    return int(any(result["failed"] for result in results))


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = ", ".join(row.name for row in ROWS)
    add("--only", nargs="+", choices=[row.name for row in ROWS], metavar="ROW")
    parser.epilog = f"rows: {names}"
    add(
        "--python",
        action="append",
        default=[],
        metavar="3.10=/path",
        help="an interpreter that is not on the PATH",
    )
    add("--tests", nargs="*", default=[], help="for pytest, instead of all tests")
    add("--json", type=pathlib.Path, help="a file for the results")
    add("--write", action="store_true", help="put the table into BUILD.md")
    return parser.parse_args(argv)


def find_python(version: str, given: Sequence[str]) -> str:
    """The path of an interpreter that starts."""
    named = dict(one.split("=", 1) for one in given)
    pyenv = sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*")))
    paths = [named.get(version), shutil.which(f"python{version}")]
    for path in [*paths, *(f"{folder}/bin/python" for folder in reversed(pyenv))]:
        # On the PATH there may be a shim of pyenv for a version that is not chosen.
        if (
            path
            and not subprocess.run([path, "-c", ""], capture_output=True).returncode
        ):
            return path
    sys.exit(f"python{version} is not on the PATH: --python {version}=/path/to/it")


def run(row: Row, python: str, tests: Sequence[str]) -> dict[str, Any]:
    """Installs into a new environment and runs the tests there."""
    with tempfile.TemporaryDirectory(prefix="tfmixup-matrix-") as folder:
        venv, tree = pathlib.Path(folder, "venv"), pathlib.Path(folder, "tree")
        copy_tree(tree, untracked=True)
        subprocess.run([python, "-m", "venv", venv], check=True)
        constraints = pathlib.Path(folder, "constraints.txt")
        constraints.write_text("\n".join(constraints_of(row)) + "\n")
        start = time.monotonic()
        install = [
            venv / "bin/pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        done = subprocess.run(
            [*install, "-c", constraints, "-e", ".[tf,test]"], cwd=tree
        )
        installed = time.monotonic() - start
        result = {
            "row": row.name,
            "python": row.python,
            "oldest": row.oldest,
            "install_s": round(installed),
            "pip": output(venv / "bin/pip", "--version").split()[1],
            "date": datetime.date.today().isoformat(),
        }
        if done.returncode:
            return {**result, "failed": 1, "last": "pip install failed"}
        freeze = output(venv / "bin/pip", "list", "--format", "json")
        packages = json.loads(freeze[: freeze.rindex("]") + 1])
        versions = {one["name"].replace("_", "-"): one["version"] for one in packages}
        start = time.monotonic()
        # The tests' own words go to the terminal as well.
        command = [venv / "bin/python", "-m", "pytest", "-q", *tests]
        lines = []
        with subprocess.Popen(
            command, cwd=tree, stdout=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout or ():
                lines.append(line.strip())
                print(line, end="", flush=True)
        summary = re.findall(r"(\d+) ([a-z]+)", lines[-1] if lines else "")
        counted = {kind: int(number) for number, kind in summary}
        return {
            **result,
            "tests_s": round(time.monotonic() - start),
            "passed": counted.get("passed", 0),
            "skipped": counted.get("skipped", 0),
            "failed": max(counted.get("failed", 0), int(process.returncode != 0)),
            "last": lines[-1] if lines else "",
            "versions": {name: versions.get(name) for name in SHOWN},
        }


def constraints_of(row: Row) -> list[str]:
    """What pip must take: that TensorFlow, and lower bounds where all is the oldest."""
    if not row.oldest:
        return [f"tensorflow=={row.tensorflow}.*"]
    # Python 3.10 has no parser of TOML.
    requirements = re.findall(
        r'"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?>=([0-9a-z.]+)',
        (ROOT / "pyproject.toml").read_text(),
    )
    lowest = {name: bound for name, bound in requirements if name != "setuptools"}
    return [f"{name}=={bound}" for name, bound in lowest.items()]


def output(*command: str | os.PathLike[str]) -> str:
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def table(results: Sequence[dict[str, Any]]) -> str:
    """A table in Markdown."""
    lines = [
        "| Python | TensorFlow | tf-keras | Keras | TFP | TFDS | NumPy | "
        "install (pip) | tests | date |",
        "| --- " * 10 + "|",
    ]
    for one in results:
        versions = one.get("versions", {})
        shown = [versions.get(name) or "" for name in SHOWN]
        skipped = f", {one['skipped']} skipped" if one.get("skipped") else ""
        tests = f"{one.get('passed', 0):,} passed{skipped} in {one.get('tests_s', 0)} s"
        if one["failed"]:
            tests = f"**{one['last']}**"
        oldest = " (all at their lower bounds)" if one["oldest"] else ""
        cells = [
            f"{one['python']}{oldest}",
            *shown,
            f"{one['install_s']} s ({one['pip']})",
            tests,
            str(one["date"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write(text: str) -> None:
    """Puts the table between its marks in BUILD.md."""
    begin, end = "<!-- matrix -->", "<!-- end of matrix -->"
    page = BUILD.read_text()
    head, rest = page.split(begin)
    BUILD.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    sys.exit(main())
