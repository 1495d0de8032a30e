"""Breaks the package on purpose, one plausible bug at a time: do the tests notice?

    .venv/bin/python .ci/mutants.py --check                  # do the bugs still apply?
    .venv/bin/python .ci/mutants.py --report mutants.md      # all of them
    .venv/bin/python .ci/mutants.py --only 'remix|λ' --jobs 2

The bugs are in `.ci/mutants/*.diff`, as a maintainer might make them. mutmut and
cosmic-ray make thousands of mechanical ones, each for a run of the test command: with
eight seconds to import TensorFlow and eleven minutes of tests they take weeks.

An entry begins with what is wrong, then names the file and the test files that should
notice, in this order, relative to `tfmixup/` and `tests/`. Then come whole lines as in
a diff. The old ones must stand exactly once in the file, so that the list cannot go
stale unnoticed:

    ## the second example has the share λ too
    blending.py: test_blending.py mixers/test_mixup.py
    -    mixed = share * first + (1 - share) * second
    +    mixed = share * first + share * second

`mixers/test_mixup.py::test_bytes` runs that test first, if it is there, and the rest of
the files then. A word `slow` before the files lets their slow tests run, too. A line
`survives: REASON` marks a change that no test can notice; that it is noticed is
an error then. One such entry, a comment, shows that copies of the tree pass.

TensorFlow is imported once. Every mutant is a fork of that process, made before
TensorFlow starts its threads, in a copy of the files that git tracks.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator

from trees import ROOT, copy_tree

LISTS = ROOT / ".ci" / "mutants"


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One bug: in `file`, `old` is written as `new`, and `tests` should notice."""

    name: str
    file: str
    tests: tuple[str, ...]
    old: str
    new: str
    survives: str = ""
    slow: bool = False

    def broken(self, source: str) -> str:
        """The source with the bug in it.

        Raises:
          ValueError: the old lines do not stand there exactly once, or the new ones are
            no Python.
        """
        lines, old = f"\n{source}", f"\n{self.old}"
        times = lines.count(old)
        if times != 1:
            raise ValueError(f"the old lines stand {times} times in {self.file}")
        made = lines.replace(old, f"\n{self.new}")[1:]
        try:
            ast.parse(made)
        except SyntaxError as error:
            raise ValueError(f"the new lines are no Python: {error}") from None
        return made


@dataclasses.dataclass
class Outcome:
    """What came of a mutant: killed, survived, timeout or error, by which test."""

    mutant: Mutant
    result: str
    by: str
    seconds: float

    @property
    def is_expected(self) -> bool:
        """Whether it survived exactly where it should."""
        return self.result == ("survived" if self.mutant.survives else "killed")


def main() -> int:
    """Runs what the arguments ask for; 1 if a mutant survives or does not apply."""
    parser = argparse.ArgumentParser(description="Do the tests notice bugs?")
    parser.add_argument("--check", action="store_true", help="only whether all apply")
    parser.add_argument("--only", default="", help="a pattern of names or files")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at once")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for each")
    parser.add_argument("--report", type=pathlib.Path, help="a Markdown file to write")
    parser.add_argument("--no-baseline", action="store_true", help="trust the tests")
    given = parser.parse_args()
    mutants = read_lists()
    errors = problems(mutants)
    for error in errors:
        print(f"ERROR: {error}")
    if given.check:
        print(f"{len(mutants)} mutants, {len(errors)} of them do not apply")
    if given.check or errors:
        return int(bool(errors))
    wanted = re.compile(given.only)
    chosen = [m for m in mutants if wanted.search(f"{m.name} {m.file}")]
    outcomes = run(chosen, given.jobs, given.timeout, not given.no_baseline)
    report = "\n".join(table(outcomes))
    if given.report:
        given.report.write_text(report + "\n")
    else:
        print(report)
    return int(not all(outcome.is_expected for outcome in outcomes))


def read_lists() -> list[Mutant]:
    """Every mutant of every list."""
    return [
        mutant
        for path in sorted(LISTS.glob("*.diff"))
        for mutant in parse(path.read_text())
    ]


def parse(text: str) -> Iterator[Mutant]:
    """The mutants of a list.

    Raises:
      ValueError: a line is none of those that the docstring above shows.
    """
    for entry in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name, where, *rest = entry.rstrip("\n").split("\n")
        file, colon, tests = where.partition(": ")
        survives, old, new = "", "", ""
        for line in rest:
            if line.startswith("survives: "):
                survives = line.removeprefix("survives: ")
            elif line and line[0] not in " +-":
                raise ValueError(f"{name}: what is {line!r}?")
            elif line:
                old += f"{line[1:]}\n" if line[0] in " -" else ""
                new += f"{line[1:]}\n" if line[0] in " +" else ""
        if not (colon and old and tests) or old == new:
            raise ValueError(f"{name}: a file, test files and old lines are needed")
        slow = tests.startswith("slow ")
        files = tuple(tests.removeprefix("slow ").split())
        yield Mutant(name, f"tfmixup/{file}", files, old, new, survives, slow)


def problems(mutants: list[Mutant]) -> list[str]:
    """Why mutants do not apply to the tree as it is."""
    found = []
    names = [mutant.name for mutant in mutants]
    found += [f"{name}: two have this name" for name in names if names.count(name) > 1]
    for mutant in mutants:
        try:
            mutant.broken((ROOT / mutant.file).read_text())
        except (ValueError, OSError) as error:
            found.append(f"{mutant.name}: {error}")
        for test in mutant.tests:
            if not (ROOT / "tests" / test.partition("::")[0]).is_file():
                found.append(f"{mutant.name}: there is no tests/{test}")
    return found


def run(
    mutants: list[Mutant], jobs: int, timeout: float, baseline: bool
) -> list[Outcome]:
    """Runs the tests of every mutant, after those of the tree as it is."""
    _import_once()
    with tempfile.TemporaryDirectory(prefix="mutants_") as folder:
        work = pathlib.Path(folder)
        tree = work / "tree"
        copy_tree(tree)
        if baseline:
            _check_unbroken(tree, mutants, timeout)
        outcomes: list[Outcome] = []
        waiting = list(enumerate(mutants))
        running: dict[int, tuple[Mutant, _Child]] = {}
        while waiting or running:
            while waiting and len(running) < jobs:
                number, mutant = waiting.pop(0)
                copy = work / str(number)
                shutil.copytree(tree, copy)
                path = copy / mutant.file
                path.write_text(mutant.broken(path.read_text()))
                running[number] = mutant, _start(copy, mutant.tests, mutant.slow)
            time.sleep(0.1)
            for number, (mutant, child) in list(running.items()):
                if (ended := child.ended(timeout)) is None:
                    continue
                del running[number]
                outcome = Outcome(mutant, *ended)
                outcomes.append(outcome)
                shutil.rmtree(work / str(number), ignore_errors=True)
                sign = " " if outcome.is_expected else "!"
                done = f"{len(outcomes)}/{len(mutants)}"
                print(f"{sign} {done} {_line(outcome)}", flush=True)
    return sorted(outcomes, key=lambda outcome: mutants.index(outcome.mutant))


def _check_unbroken(tree: pathlib.Path, mutants: list[Mutant], timeout: float) -> None:
    """Refuses to go on where the tests fail without a bug."""
    for slow in (False, True):
        named = [test for m in mutants if m.slow == slow for test in m.tests]
        if not named:
            continue
        tests = tuple(dict.fromkeys(test.partition("::")[0] for test in named))
        print(f"the tree as it is, {len(tests)} test files", flush=True)
        child = _start(tree, tests, slow)
        while (ended := child.ended(timeout * 10)) is None:
            time.sleep(0.1)
        result, by, seconds = ended
        print(f"{result} in {seconds:.0f} s {by}", flush=True)
        if result != "survived":
            sys.exit(
                f"the tests fail without a bug: {(tree / 'output.txt').read_text()}"
            )


def _line(outcome: Outcome) -> str:
    return (
        f"{outcome.result} {outcome.seconds:.0f} s: {outcome.mutant.name} "
        f"({outcome.mutant.file}) {outcome.by}"
    )


def _import_once() -> None:
    """Imports what all tests import, and nothing of the package or of the tests."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    sys.dont_write_bytecode = True  # a mutant may be as old and as long as its source
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    import keras  # noqa: F401
    import matplotlib  # noqa: F401
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401
    import tensorflow_probability as tfp
    from tensorflow.python.eager import context

    _ = tfp.distributions.Beta  # it is imported when it is looked at
    # A fork has no threads but the one that made it.
    if getattr(context.context_safe(), "_context_handle", None) is not None:
        sys.exit("TensorFlow has been initialised, and forks of it would wait forever.")


@dataclasses.dataclass
class _Child:
    """A process that runs tests, and the file in which it tells the first failure."""

    pid: int
    told: pathlib.Path
    begun: float

    def ended(self, timeout: float) -> tuple[str, str, float] | None:
        """Result, test and seconds; None while it runs. It is ended after `timeout`."""
        seconds = time.monotonic() - self.begun
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            if seconds < timeout:
                return None
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            return "timeout", "", seconds
        by = self.told.read_text() if self.told.exists() else ""
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            return "survived", "", seconds
        if not by and code == -signal.SIGKILL:  # as the kernel does without memory
            return "error", "it was killed from outside", seconds
        if by or code < 0:
            return "killed", by or signal.Signals(-code).name, seconds
        return "error", f"pytest ended with {code}", seconds


def _start(tree: pathlib.Path, tests: tuple[str, ...], slow: bool) -> _Child:
    """Forks a process that runs tests of a tree."""
    sys.stdout.flush()
    told, begun = tree / "first_failure.txt", time.monotonic()
    pid = os.fork()
    if pid:
        return _Child(pid, told, begun)
    code = 99
    try:
        os.setsid()
        code = _in_child(tree, tests, slow, told)
    finally:
        os._exit(code)  # not the parent's clean-up


def _in_child(
    tree: pathlib.Path, tests: tuple[str, ...], slow: bool, told: pathlib.Path
) -> int:
    output = os.open(tree / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    sys.path.insert(0, str(tree))
    import pytest

    named = {f"tests/{test}" for test in tests}

    class Tell:
        def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
            items.sort(key=lambda item: item.nodeid.partition("[")[0] not in named)

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed and not told.exists():
                told.write_text(report.nodeid)

        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            if report.failed and not told.exists():
                told.write_text(f"importing {report.nodeid}")

        def pytest_sessionfinish(self) -> None:
            loaded = sys.modules.get("tfmixup")
            if loaded and not str(loaded.__file__).startswith(str(tree)):
                pytest.exit(f"another tfmixup was tested: {loaded.__file__}", 98)

    files = list(dict.fromkeys(f"tests/{test.partition('::')[0]}" for test in tests))
    # A worker of xdist would be no fork of this process.
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
    options += ["-m", ""] if slow else []
    return int(pytest.main([*options, *files], [Tell()]))


def table(outcomes: list[Outcome]) -> Iterator[str]:
    """The report, in Markdown."""
    results = [outcome.result for outcome in outcomes]
    left = sum(not outcome.is_expected for outcome in outcomes)
    yield (
        f"{len(outcomes)} mutants: {results.count('killed')} killed, "
        f"{results.count('timeout')} timeouts, {results.count('survived')} survived; "
        f"{left} not as expected"
    )
    yield ""
    yield "| file | what is wrong | result | by | seconds |"
    yield "| --- | --- | --- | --- | --- |"
    for outcome in outcomes:
        mutant = outcome.mutant
        result = outcome.result if outcome.is_expected else f"**{outcome.result}**"
        if mutant.survives:
            result += f" ({mutant.survives})"
        cells = (mutant.file, mutant.name, result, outcome.by.removeprefix("tests/"))
        texts = [cell.replace("|", "\\|") for cell in cells]
        yield f"| {' | '.join(texts)} | {outcome.seconds:.0f} |"


if __name__ == "__main__":
    sys.exit(main())
