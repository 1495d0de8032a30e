"""AutoGraph converts a user's functions and none of the package's."""

import contextlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfmixup

N, BATCH, CLASSES = 12, 4, 3
X, Y = np.ones([N, 2, 2, 1], "float32"), np.arange(N) % CLASSES
DATASET = tf.data.Dataset.from_tensor_slices((X, Y))
MIXER = tfmixup.MixUp(num_classes=CLASSES)


class Own(tfmixup.MixUp):
    """A user's, which overrides a method and calls the package's."""

    def sample(self, batch_size, seed, num_batches=None):
        return super().sample(batch_size, seed, num_batches)


MIXERS = [
    MIXER,
    Own(num_classes=CLASSES),
    tfmixup.CutMix(num_classes=CLASSES),
    tfmixup.ResizeMix(num_classes=CLASSES),
    tfmixup.Mosaic(num_classes=CLASSES),
    tfmixup.Remix(num_classes=CLASSES, class_counts=[1, 2, 3]),
    tfmixup.CMixup(1.0),
    tfmixup.RandomChoice([MIXER, tfmixup.CutMix(num_classes=CLASSES)]),
]


def converted(call: Callable[[], Any]) -> set[str]:
    """Names of the functions that run as AutoGraph has converted them."""
    names = set()

    def look(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and "__autograph_generated" in code.co_filename:
            names.add(code.co_name)

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return {name[len("tf__") :] for name in names if name.startswith("tf__")}


def called_by_a_user(call: Callable[[], Any]) -> set[str]:
    def users_function() -> None:
        call()

    return converted(tf.function(users_function).get_concrete_function)


def test_what_is_converted_is_seen():
    def helper(x):
        return x + 1

    def call():
        helper(tf.constant(1))

    assert called_by_a_user(call) == {"users_function", "call", "helper"}


PIPELINES = {
    "two_streams": lambda: DATASET.apply(tfmixup.two_streams(MIXER, BATCH)),
    "remainder": lambda: DATASET.apply(
        tfmixup.two_streams(MIXER, 5, drop_remainder=False, keep_originals=True)
    ),
    "filtered": lambda: (
        DATASET.take(-1)
        .apply(tf.data.experimental.assert_cardinality(tf.data.UNKNOWN_CARDINALITY))
        .apply(tfmixup.two_streams(MIXER, BATCH))
    ),
    "in_batch": lambda: DATASET.batch(BATCH).apply(tfmixup.in_batch(MIXER)),
    "from_tensors": lambda: tfmixup.from_tensors((X, Y), MIXER, BATCH),
    "map": lambda: DATASET.batch(BATCH).map(MIXER),
    "pair": lambda: tf.data.Dataset.zip((DATASET.batch(BATCH),) * 2).map(MIXER.pair),
    "class_balanced": lambda: tfmixup.class_balanced(DATASET, CLASSES),
    "in memory": lambda: tfmixup.class_balanced(DATASET, CLASSES, in_memory=True),
    "weights": lambda: DATASET.map(tfmixup.weight_by_class({0: 1, 1: 2, 2: 3})),
    "label_mass": lambda: tfmixup.label_mass(DATASET.batch(BATCH), CLASSES),
}


@pytest.mark.parametrize("make", PIPELINES.values(), ids=PIPELINES)
def test_pipelines_convert_nothing(make):
    assert converted(make) == set()


FUNCTIONS = [
    function
    for module in (tfmixup, tfmixup.plot)
    for function in map(module.__dict__.get, module.__all__)
    if inspect.isfunction(function)
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_public_functions_are_not_converted(function):
    parameters = inspect.signature(function).parameters.values()
    required = [p.name for p in parameters if p.default is p.empty]

    def call():
        with contextlib.suppress(TypeError, ValueError, RuntimeError, AttributeError):
            function(**dict.fromkeys(required))  # which is refused, inside

    assert called_by_a_user(call) == {"users_function", "call"}


@pytest.mark.parametrize("mixer", MIXERS, ids=lambda mixer: type(mixer).__name__)
def test_methods_of_mixers_are_not_converted(mixer):
    y = tf.cast(Y, tf.float32)[:, None] if isinstance(mixer, tfmixup.CMixup) else Y

    def call():
        mixer.off().is_off()
        mixer(X, y)
        params = mixer.sample(N, tf.constant([1, 2]))
        mixer.apply_in_batch((X, y), tf.roll(tf.range(N), 1, 0), params)
        if not mixer.in_batch_only:
            mixer.apply((X, y), (X, y), params)
            mixer.pair((X, y), (X, y))

    assert called_by_a_user(call) == {"users_function", "call"}


def test_losses_and_metrics_are_not_converted():
    loss = tfmixup.keras.PairLoss("sparse_categorical_crossentropy")
    accuracy = tfmixup.keras.MixedAccuracy()
    predicted = tf.fill([N, CLASSES], 1 / CLASSES)

    def call():
        loss(tf.constant(Y), predicted)
        accuracy(tf.one_hot(Y, CLASSES), predicted)

    # "wrapper" is one of Keras's.
    assert called_by_a_user(call) - {"wrapper"} == {"users_function", "call"}
