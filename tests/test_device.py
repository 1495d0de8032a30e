"""prefetch_to_device, on two CPU devices in place of a CPU and a GPU."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.two_devices import BATCH, FIRST, SPELLINGS, UNKNOWN, N

ALL_IDS = list(range(N))
CARDINALITIES = {"finite": N // BATCH, "infinite": -1, "unknown": -2}


# In a process of its own, which has two devices.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report():
    process = subprocess.run(
        [sys.executable, "-m", "tests.two_devices"],
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert process.returncode == 0, process.stderr[-5000:]
    return json.loads(process.stdout)


@pytest.mark.parametrize("name", CARDINALITIES)
def test_elements_are_on_the_device_and_the_cardinality_is_kept(report, name):
    seen = report["look"][f"tfmixup {name}"]
    assert seen["devices"] == ["/job:localhost/replica:0/task:0/device:CPU:1"]
    assert seen["same spec"]
    assert seen["cardinality"] == [CARDINALITIES[name]] * 2
    expected = {
        "finite": N // BATCH,
        "infinite": "TypeError: The dataset is infinite.",
        "unknown": "TypeError: The dataset length is unknown.",
    }
    assert seen["len"] == expected[name]


def test_auto_without_a_gpu_is_plain_prefetch(report):
    seen = report["look"]["auto finite"]
    assert seen["class"] == report["plain prefetch"]
    assert seen["devices"] == ["/job:localhost/replica:0/task:0/device:CPU:0"]
    assert seen["cardinality"] == [N // BATCH] * 2


def test_elements_have_the_same_values(report):
    here, there = report["values"]
    assert len(here) == N // BATCH
    assert there == here


@pytest.mark.parametrize("stage", ["tfmixup", "auto"])
@pytest.mark.parametrize("name", CARDINALITIES)
def test_every_epoch_has_all_elements_anew(report, stage, name):
    epochs = report["look"][f"{stage} {name}"]["ids"]
    assert [sorted(ids[:N]) for ids in epochs] == [ALL_IDS] * 3
    assert [len(ids) for ids in epochs] == [
        N + (2 * BATCH if name == "infinite" else 0)
    ] * 3
    # Seeded, and two orders of 40 are alike with probability 1 in 40!.
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("device", ["auto", "/cpu:1"])
def test_as_many_elements_are_kept_ready_as_asked_for(report, device):
    assert 1 + 7 <= report["read ahead"][device] < 20


def test_fit_knows_the_total_and_does_not_run_out_of_data(report):
    seen = report["fit"]["tfmixup"]
    assert seen["epochs"] == 3
    assert not [w for w in seen["warnings"] if "ran out of data" in w]
    assert "1/5" in seen["shown"]
    assert seen["shown"].count("5/5") >= 3
    assert "Unknown" not in seen["shown"]


def test_tf_data_itself_loses_the_cardinality(report):
    """A canary for the `cardinality` that is set on the dataset.

    Once this fails, plain tf.data.experimental.prefetch_to_device will do.
    """
    for name in ("finite", "infinite"):
        before, after = report["look"][f"tf.data {name}"]["cardinality"]
        assert (before, after) == (CARDINALITIES[name], -2)
    seen = report["fit"]["tf.data"]
    assert [w for w in seen["warnings"] if "ran out of data" in w]
    assert "1/Unknown" in seen["shown"]


@pytest.mark.parametrize("name", [*SPELLINGS, *FIRST])
def test_a_device_can_be_spelled_in_several_ways(report, name):
    index = 1 if name in SPELLINGS else 0
    assert report["device of"][name].endswith(f"/device:CPU:{index}")


def test_names_that_tensorflow_lists_are_taken(report):
    for name in report["devices"]:
        assert report["device of"][name].endswith(name)


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_device_is_refused_with_those_that_there_are(report, name):
    assert report["devices"] == ["/device:CPU:0", "/device:CPU:1"]
    assert report["device of"][name] == (
        f"ValueError: tfmixup.prefetch_to_device: there is no device {name!r}. This "
        f"process sees {report['devices']}; pass one of them, or 'auto'."
    )
