"""Run as a process by test_device.py: two CPU devices for a CPU and a GPU.

Logical devices have to be made before TensorFlow starts. Prints one line of JSON.
"""

import contextlib
import io
import itertools
import json
import sys
import time
import warnings

import keras
import numpy as np
import tensorflow as tf

import tfmixup

N, BATCH = 40, 8
SPELLINGS = ("/cpu:1", "cpu:1", "CPU:1", "/device:CPU:1", "device:CPU:1")
FIRST = ("cpu", "CPU", "/cpu", "/cpu:0")
UNKNOWN = ("/cpu:2", "/gpu:0", "tpu", "/job:worker/cpu:1", "nowhere", "")


def outcome(function, *args):
    try:
        return function(*args)
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


def fit(dataset):
    model = keras.Sequential([keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    shown = io.StringIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.redirect_stdout(shown):
            history = model.fit(dataset, epochs=3, verbose=1)
    return {
        "shown": shown.getvalue(),
        "warnings": [str(w.message) for w in caught],
        "epochs": len(history.history["loss"]),
    }


def read_ahead(stage, at_least):
    """How many of 20 elements are read for the first one, once there are enough."""
    read = []

    def elements():
        for k in range(20):
            read.append(k)
            yield k

    spec = tf.TensorSpec([], tf.int64)
    dataset = tf.data.Dataset.from_generator(elements, output_signature=spec)
    iterator = iter(dataset.apply(stage))
    next(iterator)
    until = time.monotonic() + 20
    while len(read) < at_least and time.monotonic() < until:
        time.sleep(0.01)
    return len(read)


def measure():
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
    labelled = finite.map(lambda b: (b["image"], b["label"]))
    report = {
        "devices": [d.name for d in tf.config.list_logical_devices()],
        "look": {
            f"{stage} {name}": look(host, host.apply(stages[stage]))
            for stage in stages
            for name, host in hosts.items()
        },
        "fit": {s: fit(labelled.apply(stages[s])) for s in ("tfmixup", "tf.data")},
        "plain prefetch": type(finite.prefetch(2)).__name__,
        "read ahead": {
            device: read_ahead(tfmixup.prefetch_to_device(device, 7), at_least=8)
            for device in ("auto", "/cpu:1")
        },
    }

    def device_of(name):
        dataset = finite.apply(tfmixup.prefetch_to_device(name))
        return next(iter(dataset))["image"].device

    names = (*SPELLINGS, *FIRST, *UNKNOWN, *report["devices"])
    report["device of"] = {name: outcome(device_of, name) for name in names}

    # Two pipelines of one seed, one on the host and one not.
    here, there = (
        examples.apply(tfmixup.two_streams(mixer, BATCH, seed=2)) for _ in range(2)
    )
    there = there.apply(tfmixup.prefetch_to_device("/cpu:1", tf.data.AUTOTUNE))
    report["values"] = [
        [batch["image"].numpy().tolist() for batch in dataset]
        for dataset in (here, there)
    ]
    return report


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    json.dump(measure(), sys.stdout)
