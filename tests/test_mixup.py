"""MixUp: what is blended, against the formula in NumPy; and MixUp as a value."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup
from tfmixup import partners, seeding

tfd = tfp.distributions

JIT = [True, False, "auto"]
SIZE = 6  # examples in a batch
CLASSES = 5
LAM = np.array([0.0, 0.125, 0.3, 0.5, 0.9, 1.0], np.float32)
FIRST_IDS = np.array([0, 1, 2, 3, 4, 4])
SECOND_IDS = np.array([4, 1, 0, 2, 3, 1])
PARTNER = np.array([3, 0, 5, 1, 2, 4], np.int32)
SEED = [3, 11]
# Units in the last place, relative to 1.
EPSILON = {"float64": 2**-52, "float32": 2**-23, "float16": 2**-10, "bfloat16": 2**-7}
FLOATS = [*EPSILON]
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]


def params(lam: Any = LAM) -> tfmixup.MixUpParams:
    return tfmixup.MixUpParams(lam=tf.constant(lam, tf.float32))


def blended(first: Any, second: Any, lam: np.ndarray = LAM) -> np.ndarray:
    """The formula, in float64."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    lam = lam.astype(np.float64).reshape([-1] + [1] * (first.ndim - 1))
    return lam * first + (1 - lam) * second


def one_hot(ids: np.ndarray, classes: int = CLASSES) -> np.ndarray:
    return np.eye(classes)[ids]


def numbers(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> tf.Tensor:
    """Values over the range of a dtype; 24 bits of the wide ones, as in PCM."""
    draw = np.random.default_rng([seed, *shape])
    if dtype in EPSILON:
        return tf.cast(tf.constant(draw.normal(0, 3, shape)), dtype)
    low, high = (
        max(tf.as_dtype(dtype).min, -(2**23)),
        min(tf.as_dtype(dtype).max, 2**23),
    )
    return tf.constant(draw.integers(low, high, shape, endpoint=True), dtype)


def assert_close(got: tf.Tensor, want: np.ndarray, *terms: tf.Tensor) -> None:
    """To the accuracy of got's dtype, computed in float32 at least.

    Terms may cancel: their rounding counts by the size of the terms, that of the result
    by its own.
    """
    scale = max([np.abs(np.asarray(t, np.float64)).max() for t in terms], default=1.0)
    own = EPSILON[got.dtype.name]
    computed = min(own, EPSILON["float32"])
    np.testing.assert_allclose(
        np.asarray(got, np.float64),
        want,
        rtol=own / 2 * 1.01,
        atol=3 * computed * scale,
    )


def make(**arguments: Any) -> tfmixup.MixUp:
    return tfmixup.MixUp(0.2, **arguments)


Y = (numbers((SIZE, 2), seed=8), numbers((SIZE, 2), seed=9))  # some targets


# Features


SHAPES = [(SIZE, 3), (SIZE, 2, 3), (SIZE, 3, 2, 1), (SIZE, 2, 1, 3, 2)]


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "int32", "int64", "uint16", *FLOATS]
)
def test_features_of_every_rank_and_dtype(dtype, jit):
    first = tuple(numbers(shape, dtype, seed=1) for shape in SHAPES)
    second = tuple(numbers(shape, dtype, seed=2) for shape in SHAPES)
    mixed, _ = make(jit_compile=jit).apply((first, Y[0]), (second, Y[1]), params())
    for got, one, other in zip(mixed, first, second):
        assert got.dtype == tf.float32
        assert_close(got, blended(one, other), one, other)


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("dtype", FLOATS[1:])
def test_features_come_in_the_dtype_asked_for(dtype, jit):
    first = numbers((SIZE, 40), "int16", seed=1) / 2**11
    second = numbers((SIZE, 40), "int16", seed=2) / 2**11
    mixed, y = make(dtype=dtype, jit_compile=jit).apply(
        (first, Y[0]), (second, Y[1]), params()
    )
    assert mixed.dtype == dtype
    assert y.dtype == tf.float32
    assert_close(mixed, blended(first, second), first, second)


@pytest.mark.parametrize("jit", JIT)
def test_bytes_are_rounded_to_nearest(jit):
    lam = np.linspace(0, 1, 256, dtype=np.float32)
    first = np.random.default_rng(1).integers(0, 256, (256, 500), np.uint8)
    second = np.random.default_rng(2).integers(0, 256, (256, 500), np.uint8)
    mixed, _ = make(dtype="uint8", jit_compile=jit).apply(
        (first, lam[:, None]), (second, lam[:, None]), params(lam)
    )
    assert mixed.dtype == tf.uint8
    error = np.asarray(mixed, np.float64) - blended(first, second, lam)
    # Next to a tie float32 may go either way.
    assert np.abs(error).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("jit", JIT)
def test_extreme_bytes(jit):
    lam = np.arange(256, dtype=np.float32) / 255
    first = np.tile(np.array([255, 0, 255, 0], np.uint8), [256, 1])
    second = np.tile(np.array([255, 0, 0, 255], np.uint8), [256, 1])
    mixed, _ = make(dtype="uint8", jit_compile=jit).apply(
        (first, lam[:, None]), (second, lam[:, None]), params(lam)
    )
    share = np.arange(256)
    want = np.stack([0 * share + 255, 0 * share, share, 255 - share], axis=1)
    np.testing.assert_array_equal(mixed, want)


# Targets


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("shape", [(SIZE,), (SIZE, 1)])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_class_ids_become_mixed_one_hot_labels(dtype, shape, jit):
    first = tf.constant(FIRST_IDS.reshape(shape), dtype)
    second = tf.constant(SECOND_IDS.reshape(shape), dtype)
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    _, got = mixer.apply((Y[0], first), (Y[1], second), params())
    assert got.dtype == tf.float32
    assert got.shape == (SIZE, CLASSES)
    assert_close(got, blended(one_hot(FIRST_IDS), one_hot(SECOND_IDS)))


FLOAT_TARGETS = {
    "regression": (SIZE,),
    "column": (SIZE, 1),
    "square": (SIZE, SIZE),
    "T equals B": (SIZE, SIZE, 3),
    "all equal": (SIZE, SIZE, SIZE),
}


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("dtype", FLOATS)
def test_float_targets_keep_shape_and_dtype(dtype, jit):
    first = {k: numbers(s, dtype, seed=1) for k, s in FLOAT_TARGETS.items()}
    second = {k: numbers(s, dtype, seed=2) for k, s in FLOAT_TARGETS.items()}
    mixer = make(jit_compile=jit)
    _, mixed = mixer.apply((Y[0], first), (Y[1], second), params())
    for kind, shape in FLOAT_TARGETS.items():
        assert mixed[kind].dtype == dtype
        assert mixed[kind].shape == shape
        want = blended(first[kind], second[kind])
        assert_close(mixed[kind], want, first[kind], second[kind])


@pytest.mark.parametrize("num_classes", [None, CLASSES])
def test_one_hot_and_multi_hot_floats_are_mixed_as_they_are(num_classes):
    hot = one_hot(FIRST_IDS).astype(np.float32), one_hot(SECOND_IDS).astype(np.float32)
    multi = np.maximum(hot[0], hot[1]), np.maximum(hot[1], np.roll(hot[1], 1, axis=1))
    for first, second in (hot, multi):
        mixer = make(num_classes=num_classes)
        _, got = mixer.apply((Y[0], first), (Y[1], second), params())
        assert_close(got, blended(first, second))


@pytest.mark.parametrize("epsilon", [0.1, 0.9])
def test_label_smoothing(epsilon):
    mixer = make(num_classes=CLASSES, label_smoothing=epsilon)
    _, got = mixer.apply((Y[0], FIRST_IDS), (Y[1], SECOND_IDS), params())
    mixed = blended(one_hot(FIRST_IDS), one_hot(SECOND_IDS))
    assert_close(got, (1 - epsilon) * mixed + epsilon / CLASSES)
    np.testing.assert_allclose(tf.reduce_sum(got, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
@pytest.mark.parametrize("classes", [2, 1000])
def test_labels_sum_to_one(classes, epsilon):
    mixer = make(num_classes=classes, label_smoothing=epsilon)
    ids = np.random.default_rng(0).integers(0, classes, 64)
    _, labels = mixer(numbers((64, 2)), ids, seed=SEED)
    np.testing.assert_allclose(np.sum(labels, axis=1), 1, atol=1e-6)
    assert np.min(labels) >= 0


# Sample weights


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("dtype", [*FLOATS, "int32", "int64", "uint8"])
def test_sample_weights_are_mixed_alike(dtype, jit):
    first = tf.cast(tf.constant([1, 2, 3, 4, 5, 6]), dtype)
    second = tf.cast(tf.constant([6, 0, 1, 1, 100, 2]), dtype)
    mixer = make(jit_compile=jit)
    _, _, got = mixer.apply((*2 * [Y[0]], first), (*2 * [Y[1]], second), params())
    assert got.dtype == (dtype if dtype in FLOATS else "float32")
    assert_close(got, blended(first, second), first, second)


def test_sample_weights_of_several_outputs():
    first = {"a": np.arange(6.0), "b": np.ones([6, 1], np.float32)}
    second = {"a": np.ones(6), "b": np.zeros([6, 1], np.float32)}
    _, _, got = make().apply((Y[0], Y[0], first), (Y[1], Y[1], second), params())
    for key in first:
        assert_close(got[key], blended(first[key], second[key]), first[key])


# λ


@pytest.mark.parametrize("jit", JIT)
def test_one_lambda_for_the_whole_batch(jit):
    first, second = numbers((SIZE, 3), seed=1), numbers((SIZE, 3), seed=2)
    weights = np.arange(6, dtype=np.float32), np.ones(6, np.float32)
    mixed = make(num_classes=CLASSES, per="batch", jit_compile=jit).apply(
        (first, FIRST_IDS, weights[0]), (second, SECOND_IDS, weights[1]), params([0.3])
    )
    lam = np.full(SIZE, 0.3, np.float32)
    assert_close(mixed[0], blended(first, second, lam), first, second)
    assert_close(mixed[1], blended(one_hot(FIRST_IDS), one_hot(SECOND_IDS), lam))
    assert_close(mixed[2], blended(*weights, lam), *weights)


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize(
    ("came", "dtype"),
    [
        ("float32", "float32"),
        ("uint8", "float32"),
        ("uint8", "uint8"),
        ("float16", "float16"),
    ],
)
def test_lambda_of_one_gives_exactly_the_first(came, dtype, jit):
    first, second = numbers((SIZE, 50), came, 1), numbers((SIZE, 50), came, 2)
    mixer = make(num_classes=CLASSES, dtype=dtype, jit_compile=jit)
    x, y, weight = mixer.apply(
        (first, FIRST_IDS, Y[0]), (second, SECOND_IDS, Y[1]), params(np.ones(SIZE))
    )
    np.testing.assert_array_equal(x, tf.cast(first, dtype))
    np.testing.assert_array_equal(y, one_hot(FIRST_IDS))
    np.testing.assert_array_equal(weight, Y[0])


def test_keep_first_returns_the_first_encoded_and_cast_and_the_mixed():
    mixer = make(num_classes=CLASSES, label_smoothing=0.1, dtype="float16")
    first = {"image": numbers((SIZE, 3), "uint8", 1), "label": FIRST_IDS, "id": Y[0]}
    second = {"image": numbers((SIZE, 3), "uint8", 2), "label": SECOND_IDS, "id": Y[1]}
    original, mixed = mixer.apply(first, second, params(), keep_first=True)
    unmixed = mixer.apply(first, second, params(np.ones(SIZE)))
    for key in first:
        assert original[key].dtype == unmixed[key].dtype == mixed[key].dtype
        np.testing.assert_array_equal(original[key], unmixed[key])
    want = blended(first["image"], second["image"])
    assert_close(mixed["image"], want, first["image"])


@pytest.mark.parametrize("weight", [np.arange(6, dtype=np.int64), Y[0]])
def test_keep_first_casts_weights(weight):
    original, mixed = make().apply(
        (Y[0], Y[0], weight), (Y[1], Y[1], weight), params(), keep_first=True
    )
    assert original[2].dtype == mixed[2].dtype == tf.float32
    np.testing.assert_array_equal(original[2], weight)


# Elements


@pytest.mark.parametrize("jit", JIT)
def test_nested_features_and_targets(jit):
    def element(seed: int, ids: np.ndarray) -> Any:
        image = numbers((SIZE, 4, 4, 3), "uint8", seed)
        x = {"image": image, "more": (numbers((SIZE, 7), "float32", seed),)}
        return x, (ids, {"extent": numbers((SIZE, 4), "float64", seed)})

    first, second = element(1, FIRST_IDS), element(2, SECOND_IDS)
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    x, y = mixer.apply(first, second, params())
    for got, one, other in zip(*(tf.nest.flatten(x) for x in (x, first[0], second[0]))):
        assert got.dtype == tf.float32
        assert_close(got, blended(one, other), one, other)
    tf.nest.assert_same_structure(x, first[0])
    tf.nest.assert_same_structure(y, first[1])
    assert_close(y[0], blended(one_hot(FIRST_IDS), one_hot(SECOND_IDS)))
    assert y[1]["extent"].dtype == tf.float64
    boxes = first[1][1]["extent"], second[1][1]["extent"]
    assert_close(y[1]["extent"], blended(*boxes), *boxes)


def dict_element(seed: int, ids: np.ndarray) -> dict[str, Any]:
    return {
        "image": numbers((SIZE, 4), "uint8", seed),
        "label": tf.constant(ids),
        "name": tf.constant([f"{seed}-{i}" for i in range(SIZE)]),
        "index": tf.range(SIZE, dtype=tf.int64) + 2**60 + seed,
        "tags": tf.ragged.range(tf.range(seed, seed + SIZE)),
    }


def assert_dict_mixed(got: Any, first: Any, second: Any) -> None:
    assert set(got) == set(first)
    want = blended(first["image"], second["image"])
    assert_close(got["image"], want, first["image"])
    ids = first["label"].numpy(), second["label"].numpy()
    assert_close(got["label"], blended(one_hot(ids[0]), one_hot(ids[1])))
    for key in ("name", "index"):
        assert got[key].dtype == first[key].dtype
        np.testing.assert_array_equal(got[key], first[key])
    assert got["tags"].to_list() == first["tags"].to_list()


@pytest.mark.parametrize("jit", JIT)
def test_other_keys_of_a_dict_pass_through_from_the_first(jit):
    first, second = dict_element(1, FIRST_IDS), dict_element(2, SECOND_IDS)
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    assert_dict_mixed(mixer.apply(first, second, params()), first, second)
    only = {key: second[key] for key in ("image", "label")}
    assert_dict_mixed(mixer.apply(first, only, params()), first, second)


def test_other_keys_of_a_dict_pass_through_a_dataset():
    first, second = dict_element(1, FIRST_IDS), dict_element(2, SECOND_IDS)
    mixer = make(num_classes=CLASSES)
    pairs = tf.data.Dataset.from_tensors((first, second))
    mixed = pairs.map(lambda one, other: mixer.apply(one, other, params()))
    assert_dict_mixed(mixed.get_single_element(), first, second)


def test_keys_of_a_dict_may_be_others():
    mixer = make(feature_keys=("audio", "text"), target_keys=("y",))
    first = {"audio": Y[0], "text": Y[1], "y": Y[0], "image": Y[0]}
    second = {"audio": Y[1], "text": Y[0], "y": Y[1], "image": Y[1]}
    got = mixer.apply(first, second, params())
    for key in ("audio", "text", "y"):
        assert_close(got[key], blended(first[key], second[key]), *Y)
    np.testing.assert_array_equal(got["image"], first["image"])


def test_numpy_batches_by_hand():
    images = np.asarray(numbers((SIZE, 4, 4, 1), "uint8"))
    weights = np.arange(6.0)
    mixed = make(num_classes=CLASSES).apply_in_batch(
        (images, FIRST_IDS, weights), PARTNER, tfmixup.MixUpParams(lam=LAM)
    )
    hot = one_hot(FIRST_IDS)
    assert_close(mixed[0], blended(images, images[PARTNER]), images)
    assert_close(mixed[1], blended(hot, hot[PARTNER]))
    assert_close(mixed[2], blended(weights, weights[PARTNER]), weights)


# Within a batch


@pytest.mark.parametrize("jit", JIT)
def test_in_batch_mixes_with_the_partner(jit):
    x = {"a": numbers((SIZE, 3, 2), "int16"), "b": numbers((SIZE, 4), "float64")}
    y = {"ids": FIRST_IDS.astype(np.uint16), "sizes": numbers((SIZE, SIZE))}
    weight = tf.range(SIZE)
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    mixed = mixer.apply_in_batch((x, y, weight), tf.constant(PARTNER), params())
    hot = one_hot(FIRST_IDS)
    assert_close(mixed[1]["ids"], blended(hot, hot[PARTNER]))
    for got, one in [
        (mixed[0]["a"], x["a"]),
        (mixed[0]["b"], x["b"]),
        (mixed[1]["sizes"], y["sizes"]),
        (mixed[2], weight),
    ]:
        one = one.numpy()
        assert_close(got, blended(one, one[PARTNER]), one)


@pytest.mark.parametrize("jit", JIT)
def test_batches_of_every_size_share_one_mixer(jit):
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    for size in (1, 2, 5):
        x, ids, partner = numbers((size, 3)), FIRST_IDS[:size], np.roll(range(size), 1)
        lam = LAM[1 : 1 + size]
        got = mixer.apply_in_batch((x, ids), tf.constant(partner), params(lam))
        hot = one_hot(ids)
        assert_close(got[0], blended(x, x.numpy()[partner], lam), x)
        assert_close(got[1], blended(hot, hot[partner], lam))


def test_partial_last_batch_of_a_dataset():
    mixer = make(num_classes=7)
    ds = tf.data.Dataset.range(7).map(lambda i: (tf.one_hot(i, 7), i)).batch(4)
    sizes = []
    for x, y in ds.map(mixer):
        sizes.append(len(x))
        np.testing.assert_array_equal(x, y)
        np.testing.assert_allclose(np.sum(x, axis=1), 1, atol=1e-6)
    assert sizes == [4, 3]


@pytest.mark.parametrize("jit", [True, False])
def test_batch_of_one_is_only_cast_and_encoded(jit):
    mixer = tfmixup.MixUp(1.0, num_classes=CLASSES, jit_compile=jit)
    x, y = mixer(tf.constant([[1, 2, 255]], tf.uint8), tf.constant([3]), seed=SEED)
    np.testing.assert_allclose(x, [[1, 2, 255]], rtol=1e-6)
    np.testing.assert_allclose(y, one_hot(np.array([3])), rtol=1e-6)


# Calling a mixer


@pytest.mark.parametrize("per", ["example", "batch"])
@pytest.mark.parametrize("seed", [[3, 11], [-5, 0]])
def test_call_draws_partner_and_lambda_from_the_seed(per, seed):
    mixer = tfmixup.MixUp(1.0, num_classes=CLASSES, per=per)
    x = numbers((SIZE, 3))
    for_partner, for_params = seeding.split(tf.constant(seed), 2)
    partner = partners.sample(SIZE, for_partner).numpy()
    lam = np.broadcast_to(mixer.sample(SIZE, for_params).lam, [SIZE])
    got = mixer(x, FIRST_IDS, seed=tf.constant(seed))
    hot = one_hot(FIRST_IDS)
    assert_close(got[0], blended(x, x.numpy()[partner], lam), x)
    assert_close(got[1], blended(hot, hot[partner], lam))


def test_pair_draws_lambda_from_the_seed():
    mixer = tfmixup.MixUp(1.0, num_classes=CLASSES)
    x = numbers((SIZE, 3), seed=1), numbers((SIZE, 3), seed=2)
    _, for_params = seeding.split(tf.constant(SEED), 2)
    lam = mixer.sample(SIZE, for_params).lam.numpy()
    got = mixer.pair((x[0], FIRST_IDS), (x[1], SECOND_IDS), seed=tf.constant(SEED))
    assert_close(got[0], blended(*x, lam), *x)
    assert_close(got[1], blended(one_hot(FIRST_IDS), one_hot(SECOND_IDS), lam))


def identity(size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Features that tell which examples were mixed, and how; class ids that do too."""
    return tf.eye(size), tf.range(size)


@pytest.mark.parametrize("jit", [True, False])
def test_call_pairs_every_example_with_one_other(jit):
    size = 32
    mixer = tfmixup.MixUp(1.0, num_classes=size, jit_compile=jit)
    x, y = (part.numpy() for part in mixer(*identity(size), seed=SEED))
    np.testing.assert_array_equal(x, y)
    # With α = 1, λ is 0 or 1 for one of 32 with p < 1e-5; the seed is fixed.
    np.testing.assert_array_equal(np.count_nonzero(x, axis=1), 2)
    lam = np.diag(x)
    assert len(np.unique(lam)) == size
    others = x - np.diag(lam)
    np.testing.assert_allclose(np.max(others, axis=1), 1 - lam, atol=1e-7)
    # Everybody is a partner once.
    np.testing.assert_array_equal(np.sort(np.argmax(others, axis=1)), np.arange(size))


def test_call_with_one_lambda_per_batch():
    mixer = tfmixup.MixUp(1.0, num_classes=8, per="batch")
    x, y = (part.numpy() for part in mixer(*identity(8), seed=SEED))
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(np.count_nonzero(x, axis=1), 2)
    assert len(np.unique(np.diag(x))) == 1


def test_pair_takes_the_first_from_the_first_batch():
    mixer = tfmixup.MixUp(1.0, num_classes=16, lam_range=(0.6, 0.9))
    eye, ids = identity(16)
    reverse = eye[::-1], ids[::-1]
    x, y = (part.numpy() for part in mixer.pair((eye, ids), reverse, seed=SEED))
    np.testing.assert_array_equal(x, y)
    lam = np.diag(x)
    assert len(np.unique(lam)) == 16
    assert np.all((lam >= 0.6) & (lam <= 0.9))
    np.testing.assert_allclose(np.diag(x[:, ::-1]), 1 - lam, atol=1e-7)


@pytest.mark.parametrize("wrap", [lambda fn: fn, tf.function])
def test_calls_without_a_seed_are_fresh_every_time(wrap: Callable[..., Any]):
    mixer = tfmixup.MixUp(1.0, num_classes=8)
    eye, ids = identity(8)
    call = wrap(lambda: mixer(eye, ids)[0])
    pair = wrap(lambda: mixer.pair((eye, ids), (eye[::-1], ids[::-1]))[0])
    for draw in (call, pair):
        drawn = []
        for _ in range(2):
            tf.random.set_seed(1)  # must not make it repeat
            drawn += [draw().numpy(), draw().numpy()]
        # Equal with a chance below 1e-40.
        assert len({one.tobytes() for one in drawn}) == 4


def test_calls_with_a_seed_repeat():
    mixer = tfmixup.MixUp(1.0, num_classes=8)
    one = mixer(*identity(8), seed=SEED)[0]
    np.testing.assert_array_equal(one, mixer(*identity(8), seed=SEED)[0])
    assert np.any(one != mixer(*identity(8), seed=[3, 12])[0])


@pytest.mark.parametrize("weights", [(), (tf.range(8.0),)])
def test_a_batch_may_come_as_one_tuple(weights):
    mixer = tfmixup.MixUp(1.0, num_classes=8)
    batch = (*identity(8), *weights)
    want = mixer(*batch, seed=SEED)
    for got, part in zip(mixer(batch, seed=SEED), want, strict=True):
        np.testing.assert_array_equal(got, part)


# Labels out of range


def eager(fn: Callable[[], Any]) -> None:
    fn()


def in_dataset(fn: Callable[[], Any]) -> None:
    ds = tf.data.Dataset.from_tensors(0).map(lambda _: fn(), num_parallel_calls=2)
    for _ in ds:
        pass


def in_function(fn: Callable[[], Any]) -> None:
    tf.function(fn)()


RUNNERS = [eager, in_dataset, in_function]
MESSAGE = r"tfmixup\.MixUp: integer labels must be in \[0, 5\).*highest label \+ 1"


OUT_OF_RANGE = [(5, "int64"), (-1, "int8"), (255, "uint8"), (2**63, "uint64")]


@pytest.mark.parametrize(
    ("label", "dtype", "jit", "run"),
    [(*label, jit, eager) for label in OUT_OF_RANGE for jit in (True, False)]
    + [(5, "int32", jit, run) for jit in (True, False) for run in RUNNERS],
)
def test_label_out_of_range_raises(label, dtype, jit, run):
    x = numbers((3, 2))
    good = tf.constant([0, 4, 1], dtype)
    bad = tf.constant([0, label, 1], dtype)
    partner = tf.constant([1, 2, 0])
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    lam = params(LAM[:3])
    for call in [
        lambda: mixer.apply_in_batch((x, bad), partner, lam),
        lambda: mixer.apply((x, bad), (x, good), lam),
        lambda: mixer.apply((x, good), (x, bad), lam),
        lambda: mixer.apply((x, good), (x, bad), lam, keep_first=True),
    ]:
        with pytest.raises(tf.errors.InvalidArgumentError, match=MESSAGE):
            run(call)
    run(lambda: mixer.apply((x, good), (x, good), lam))


@pytest.mark.parametrize("run", RUNNERS)
def test_label_out_of_range_raises_in_a_call(run):
    x, ids = numbers((3, 2)), tf.constant([0, 5, 1])
    mixer = make(num_classes=CLASSES)
    for call in [lambda: mixer(x, ids), lambda: mixer.pair((x, ids), (x, ids))]:
        with pytest.raises(tf.errors.InvalidArgumentError, match=MESSAGE):
            run(call)


def test_label_out_of_range_of_a_second_output_raises():
    ids = tf.constant([[0], [1], [5]])
    y = {"a": tf.constant([0, 1, 4]), "b": ids, "c": numbers((3, 2))}
    with pytest.raises(tf.errors.InvalidArgumentError, match=MESSAGE):
        make(num_classes=CLASSES)(numbers((3, 2)), y)


def test_second_batch_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="float64 is not float32"):
        make().apply(Y, (Y[0], tf.cast(Y[1], tf.float64)), params())
    with pytest.raises(ValueError, match=r"shape \(6, 3\) is not \(6, 2\)"):
        make().apply(Y, (numbers((SIZE, 3)), Y[1]), params())
    with pytest.raises(ValueError, match="only one of them has sample weights"):
        make().apply((*Y, Y[0]), Y, params())
    with pytest.raises(ValueError, match="their structures differ"):
        make().apply(Y, ({"a": Y[0]}, Y[1]), params())


# MixUp as a value


def mixture(share: float = 0.3) -> tfd.Distribution:
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=[share, 1 - share]), tfd.Beta([2.0, 8.0], [8.0, 3.0])
    )


EQUAL = [
    ({}, {"alpha": 0.2}),
    ({"alpha": 1}, {"alpha": 1.0}),
    ({"feature_keys": ["x"]}, {"feature_keys": ("x",)}),
    ({"lam_range": [0, 1]}, {"lam_range": (0.0, 1.0)}),
    ({"dtype": tf.float16}, {"dtype": "float16"}),
    ({"distribution": tfd.Beta(0.4, 1.0)}, {"distribution": tfd.Beta(0.4, 1.0)}),
    ({"distribution": mixture()}, {"distribution": mixture()}),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_mixers(one, other):
    first, second = tfmixup.MixUp(**one), tfmixup.MixUp(**other)
    assert first == second
    assert hash(first) == hash(second)


FIELDS = {
    "alpha": 0.3,
    "distribution": tfd.Uniform(0.0, 1.0),
    "lam_range": (0.1, 0.9),
    "per": "batch",
    "probability": 0.5,
    "num_classes": 11,
    "label_smoothing": 0.1,
    "targets": "pair",
    "ignore_label": 255,
    "feature_keys": ("audio",),
    "target_keys": ("y",),
    "length_keys": ("length",),
    "dtype": "float16",
    "jit_compile": True,
}


def test_fields_are_all_tested():
    names = {f.name for f in dataclasses.fields(tfmixup.MixUp) if f.init}
    assert names == {*FIELDS, "integer_masks"}  # which MixUp refuses


@pytest.mark.parametrize("name", FIELDS)
def test_mixers_that_differ_in_one_field(name):
    base = tfmixup.MixUp(num_classes=10)
    other = dataclasses.replace(base, **{name: FIELDS[name]})
    assert getattr(other, name) == FIELDS[name]
    assert base != other
    assert len({base, other, dataclasses.replace(other)}) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (tfd.Beta(0.4, 1.0), tfd.Beta(1.0, 0.4)),
        (
            tfd.TruncatedNormal(0.5, 0.2, 0.0, 1.0),
            tfd.TruncatedCauchy(0.5, 0.2, 0.0, 1.0),
        ),
        (tfd.Beta(0.4, 1.0), tfd.Beta(np.float64(0.4), np.float64(1.0))),
        (mixture(0.3), mixture(0.4)),
        (tfd.FiniteDiscrete([0.1, 0.2], probs=[0.5, 0.5]), tfd.Deterministic(0.1)),
    ],
)
def test_different_distributions_make_different_mixers(one, other):
    first, second = (tfmixup.MixUp(distribution=d) for d in (one, other))
    assert first != second
    assert dataclasses.replace(first, distribution=other) == second


def test_another_kind_of_object_is_not_equal():
    assert tfmixup.MixUp() != 0.2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "MixUp(alpha=0.2)"),
        ({"alpha": 1, "num_classes": 10}, "MixUp(num_classes=10, alpha=1.0)"),
        (
            {"lam_range": (0.1, 0.9), "per": "batch", "dtype": "float16"},
            "MixUp(dtype='float16', alpha=0.2, lam_range=(0.1, 0.9), per='batch')",
        ),
        ({"jit_compile": True}, "MixUp(jit_compile=True, alpha=0.2)"),
        ({"probability": 1}, "MixUp(alpha=0.2, probability=1)"),
    ],
)
def test_repr_shows_alpha_and_what_is_not_default(arguments, text):
    mixer = tfmixup.MixUp(**arguments)
    assert repr(mixer) == text
    assert eval(repr(mixer), {"MixUp": tfmixup.MixUp}) == mixer


def test_repr_names_the_distribution():
    text = repr(tfmixup.MixUp(distribution=tfd.Beta(0.4, 1.0)))
    assert "distribution=<tfp.distributions.Beta" in text
    assert "_key" not in text


@pytest.mark.parametrize("name", ["alpha", "num_classes", "_distribution_key", "new"])
def test_mixers_are_frozen(name):
    mixer = tfmixup.MixUp()
    with pytest.raises(dataclasses.FrozenInstanceError, match=name):
        setattr(mixer, name, 1)
    with pytest.raises(dataclasses.FrozenInstanceError, match=name):
        delattr(mixer, name)


def test_replace_checks_again():
    with pytest.raises(ValueError, match=r"alpha must be .* not negative, got -1"):
        dataclasses.replace(tfmixup.MixUp(), alpha=-1)


def test_only_alpha_is_positional():
    assert tfmixup.MixUp(0.7).alpha == 0.7
    with pytest.raises(TypeError, match="positional argument"):
        tfmixup.MixUp(0.7, 10)
