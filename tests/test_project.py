"""What several files say alike: how to install the package, which rows are tried."""

import pathlib
import re

import pytest

from tfmixup import requirements

ROOT = pathlib.Path(__file__).parents[1]
# A clone installs from where it is, before and after the first release.
OF_A_CLONE = {"README.md", "BUILD.md"}


def texts():
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for folder in ("tfmixup", "examples"):
        files += [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.ipynb")]
    for path in files:
        yield path.relative_to(ROOT).as_posix(), path.read_text()


def lines_with(pattern, ignored=()):
    return [
        f"{name}: {line.strip()}"
        for name, text in texts()
        if name not in ignored
        for line in text.splitlines()
        if re.search(pattern, line)
    ]


def test_every_command_installs_from_where_it_can():
    if requirements.RELEASED:
        ignored = {*OF_A_CLONE, "tfmixup/requirements.py"}
        wrong = lines_with(r"pip install .*'\.|git\+https", ignored)
    else:
        pattern = r"pip install (-\S+ )*'?tfmixup\b"
        wrong = lines_with(pattern, {"BUILD.md", "tfmixup/requirements.py"})
    assert not wrong


@pytest.mark.parametrize("released", [False, True])
def test_messages_follow_the_release(monkeypatch, released):
    monkeypatch.setattr(requirements, "RELEASED", released)
    expected = "pip install 'tfmixup[plot]'" if released else "pip install '.[plot]' in"
    assert requirements.install("plot").startswith(expected)


def test_the_workflow_runs_every_row_and_every_step():
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    matrix = (ROOT / ".ci/matrix.py").read_text()
    rows = re.findall(r'Row\("([\d.]+)", "([\d.]+)"(, oldest=True)?\)', matrix)
    names = [f"{p}-{t}{'-oldest' if oldest else ''}" for p, t, oldest in rows]
    assert names
    jobs = re.findall(r'python: "([\d.]+)", row: "?([\w.-]+)"?}', workflow)
    assert jobs == [(name.split("-")[0], name) for name in names]
    steps = re.search(r"STEPS=\((.*)\)", (ROOT / ".ci/run").read_text())[1].split()
    assert f"step: [{', '.join(steps)}]" in workflow
