"""Killed without warning in the middle of an epoch, and started again."""

import pathlib
import re
import subprocess
import sys

import pytest

pytest.importorskip("tensorflow_datasets")
pytest.importorskip("sklearn")

EXAMPLE = pathlib.Path(__file__).parents[1] / "examples" / "resumable_training.py"
FLAGS = ["--epochs", "6", "--save-every", "5"]

pytestmark = pytest.mark.slow


def start(out, data_dir):
    return subprocess.Popen(
        [sys.executable, EXAMPLE, "--out", out, "--data-dir", data_dir, *FLAGS],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def weights(process):
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    return re.search(r"weights: (\w+)", out)[1], out


def test_killed_and_started_again_ends_with_the_same_weights(tmp_path):
    data = tmp_path / "data"
    whole, _ = weights(start(tmp_path / "whole", data))
    # 22 steps an epoch: one is in the middle of the first, the other of the third.
    for step in (10, 50):
        process = start(tmp_path / "killed", data)
        for line in process.stdout:
            if line.startswith(f"step {step}:"):
                process.kill()
                break
        process.communicate()
        assert process.returncode == -9
    resumed, out = weights(start(tmp_path / "killed", data))
    assert re.search(r"goes on after step (50|55|60|65|70)", out)
    assert resumed == whole
