"""prefetch_to_device, on two CPU devices in place of a CPU and a GPU.

Logical devices have to be made before TensorFlow starts, so that this file runs itself
in a second process, once: what it measures there, the tests read.
"""

import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
import warnings

import pytest

N, BATCH = 40, 8
ALL_IDS = list(range(N))
SPELLINGS = ("/cpu:1", "cpu:1", "CPU:1", "/device:CPU:1")
UNKNOWN = ("/cpu:2", "/gpu:0", "tpu")


def measure():
    """Runs in the second process."""
    import keras
    import numpy as np
    import tensorflow as tf

    import tfmixup

    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)

    images = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
    examples = tf.data.Dataset.from_tensor_slices(
        {"image": images, "label": np.arange(N) % 3, "id": np.arange(N)}
    )
    mixer = tfmixup.MixUp(1.0, num_classes=3)
    finite = examples.apply(tfmixup.two_streams(mixer, BATCH, seed=1))
    hosts = {
        "finite": finite,
        "infinite": finite.repeat(),
        "unknown": finite.filter(lambda batch: True),
    }
    stages = {
        "tfmixup": tfmixup.prefetch_to_device("/cpu:1"),
        "tf.data": tf.data.experimental.prefetch_to_device("/cpu:1"),
        "auto": tfmixup.prefetch_to_device(),
    }

    def outcome(fn, *args):
        try:
            return fn(*args)
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def look(host, dataset):
        epochs = [list(itertools.islice(dataset, N // BATCH + 2)) for _ in range(3)]
        tensors = [t for epoch in epochs for batch in epoch for t in batch.values()]
        return {
            "cardinality": [int(host.cardinality()), int(dataset.cardinality())],
            "len": outcome(len, dataset),
            "devices": sorted({tensor.device for tensor in tensors}),
            "same spec": dataset.element_spec == host.element_spec,
            "class": type(dataset).__name__,
            "ids": [np.ravel([b["id"] for b in e]).tolist() for e in epochs],
        }

    def fit(stage):
        pairs = finite.map(lambda b: (b["image"], b["label"])).apply(stage)
        model = keras.Sequential([keras.layers.Dense(3, "softmax")])
        model.compile("sgd", "categorical_crossentropy")
        shown = io.StringIO()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with contextlib.redirect_stdout(shown):
                history = model.fit(pairs, epochs=3, verbose=1)
        return {
            "shown": shown.getvalue(),
            "warnings": [str(w.message) for w in caught],
            "epochs": len(history.history["loss"]),
        }

    def values_of(dataset):
        return [batch["image"].numpy().tolist() for batch in dataset]

    report = {
        "devices": [d.name for d in tf.config.list_logical_devices()],
        "look": {
            f"{stage} {name}": look(host, host.apply(stages[stage]))
            for stage in stages
            for name, host in hosts.items()
        },
        "fit": {stage: fit(stages[stage]) for stage in ("tfmixup", "tf.data")},
        "plain prefetch": type(finite.prefetch(2)).__name__,
        "spellings": {},
        "unknown": {},
    }
    for name in (*SPELLINGS, *report["devices"]):
        apply = tfmixup.prefetch_to_device(name)
        report["spellings"][name] = next(iter(finite.apply(apply)))["image"].device
    for name in UNKNOWN:
        apply = tfmixup.prefetch_to_device(name)
        report["unknown"][name] = outcome(finite.apply, apply)
    # Two pipelines of one seed, one on the host and one not.
    here, there = (
        examples.apply(tfmixup.two_streams(mixer, BATCH, seed=2)) for _ in range(2)
    )
    there = there.apply(tfmixup.prefetch_to_device("/cpu:1", tf.data.AUTOTUNE))
    report["values"] = [values_of(here), values_of(there)]
    return report


if __name__ == "__main__":
    json.dump(measure(), sys.stdout)
    sys.exit()


@pytest.fixture(scope="module")
def report():
    process = subprocess.run(
        [sys.executable, __file__],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert process.returncode == 0, process.stderr[-5000:]
    return json.loads(process.stdout)


CARDINALITIES = {"finite": N // BATCH, "infinite": -1, "unknown": -2}


@pytest.mark.parametrize("name", CARDINALITIES)
def test_cardinality_is_kept(report, name):
    seen = report["look"][f"tfmixup {name}"]
    assert seen["cardinality"] == [CARDINALITIES[name]] * 2
    expected = {
        "finite": N // BATCH,
        "infinite": "TypeError: The dataset is infinite.",
        "unknown": "TypeError: The dataset length is unknown.",
    }
    assert seen["len"] == expected[name]


@pytest.mark.parametrize("name", ["finite", "infinite"])
def test_tf_data_itself_loses_the_cardinality(report, name):
    # Why tfmixup has an op of its own. Once this fails, it can go.
    before, after = report["look"][f"tf.data {name}"]["cardinality"]
    assert (before, after) == (CARDINALITIES[name], -2)


@pytest.mark.parametrize("name", CARDINALITIES)
def test_elements_are_on_the_device(report, name):
    seen = report["look"][f"tfmixup {name}"]
    assert seen["devices"] == ["/job:localhost/replica:0/task:0/device:CPU:1"]
    assert seen["same spec"]


def test_elements_have_the_same_values(report):
    here, there = report["values"]
    assert len(here) == N // BATCH
    assert there == here


@pytest.mark.parametrize("name", CARDINALITIES)
def test_every_epoch_has_all_elements_anew(report, name):
    epochs = report["look"][f"tfmixup {name}"]["ids"]
    assert [sorted(ids[:N]) for ids in epochs] == [ALL_IDS] * 3
    assert [len(ids) for ids in epochs] == [
        N + (2 * BATCH if name == "infinite" else 0)
    ] * 3
    # Seeded, and two orders of 40 are alike with probability 1 in 40!.
    assert epochs[0] != epochs[1] != epochs[2]


def test_fit_knows_the_total_and_does_not_run_out_of_data(report):
    seen = report["fit"]["tfmixup"]
    assert seen["epochs"] == 3
    assert not [w for w in seen["warnings"] if "ran out of data" in w]
    assert "1/5" in seen["shown"]
    assert seen["shown"].count("5/5") >= 3
    assert "Unknown" not in seen["shown"]


def test_fit_with_tf_data_itself_runs_out_of_data(report):
    # The contrast: what the test above would see without the cardinality.
    seen = report["fit"]["tf.data"]
    assert [w for w in seen["warnings"] if "ran out of data" in w]
    assert "1/Unknown" in seen["shown"]


@pytest.mark.parametrize("name", CARDINALITIES)
def test_auto_without_a_gpu_is_plain_prefetch(report, name):
    seen = report["look"][f"auto {name}"]
    assert seen["class"] == report["plain prefetch"]
    assert seen["devices"] == ["/job:localhost/replica:0/task:0/device:CPU:0"]
    assert seen["cardinality"] == [CARDINALITIES[name]] * 2
    assert [sorted(ids[:N]) for ids in seen["ids"]] == [ALL_IDS] * 3


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_device_can_be_spelled_in_several_ways(report, name):
    assert report["spellings"][name].endswith("/device:CPU:1")


def test_names_that_tensorflow_lists_are_taken(report):
    for name in report["devices"]:
        assert report["spellings"][name].endswith(name)


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_device_is_refused_with_those_that_there_are(report, name):
    assert report["devices"] == ["/device:CPU:0", "/device:CPU:1"]
    assert report["unknown"][name] == (
        f"ValueError: tfmixup.prefetch_to_device: there is no device {name!r}. This "
        f"process sees {report['devices']}; pass one of them, or 'auto'."
    )
