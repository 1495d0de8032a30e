"""Pipelines made up by Hypothesis, against a matrix product in NumPy.

Every example carries a unit vector as one of its features. Mixed, it tells what the
batch is made of: row b of the matrix A has λ and 1 − λ at its two examples. All other
features, targets and weights must then be A @ what they were, and targets that have
weights w must be A @ (w·y) over the mixed weights.

`TFMIXUP_PIPELINES=1000` makes so many (the default is fewer).
"""

import inspect
import os

import numpy as np
import pytest
import tensorflow as tf

import tfmixup

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

PIPELINES = int(os.environ.get("TFMIXUP_PIPELINES", "60"))
CLASSES = 4
FLOATS = ["float16", "float32", "float64", "bfloat16"]
SMALL = ["uint8", "int8", "int16", "uint16"]  # larger ones are no features
INTEGERS = [*SMALL, "int32", "int64"]
# Relative to the largest value.
ACCURACY = {"float64": 1e-6, "float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2}

run = hypothesis.settings(
    max_examples=PIPELINES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)

pytestmark = pytest.mark.slow


@st.composite
def tensors(draw, n, dtypes=tuple(FLOATS + SMALL)):
    """(n, ...) of some dtype, rank and values."""
    shape = (n, *draw(st.lists(st.integers(1, 4), max_size=3)))
    dtype = draw(st.sampled_from(dtypes))
    values = np.random.default_rng(draw(st.integers(0, 99))).normal(0, 30, shape)
    if dtype in INTEGERS:
        values = np.abs(np.round(values)).clip(0, 120)
    return tf.cast(tf.constant(values), dtype)


@st.composite
def targets(draw, n):
    kind = draw(st.sampled_from(["ids", "column", "floats"]))
    if kind == "floats":
        return draw(tensors(n, tuple(FLOATS)))
    ids = np.random.default_rng(draw(st.integers(0, 99))).integers(0, CLASSES, n)
    ids = ids if kind == "ids" else ids[:, None]
    return tf.constant(ids, draw(st.sampled_from(INTEGERS)))


@st.composite
def elements(draw, n):
    """Whole datasets as an element structure of tensors (n, ...)."""
    unit = tf.eye(n)
    more = draw(st.lists(tensors(n), max_size=2))
    y = draw(targets(n))
    form = draw(st.sampled_from(["pair", "nested", "weighted", "dict"]))
    if form == "dict":
        columns = {f"more{k}": tensor for k, tensor in enumerate(more)}
        return {"unit": unit, "y": y, "id": tf.range(n), **columns}
    x = {"unit": unit, "more": tuple(more)}
    if form == "nested":
        return x, (y, {"other": draw(tensors(n, ("float32", "float64")))})
    if form == "weighted":
        weights = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 6, n)
        return x, y, tf.constant(weights, draw(st.sampled_from(["float32", "int32"])))
    return x, y


@st.composite
def pipelines(draw):
    n = draw(st.integers(2, 11))
    element = draw(elements(n))
    flat = tf.nest.flatten(element[1] if isinstance(element, tuple) else element["y"])
    ids = any(t.dtype.is_integer for t in flat)
    options = {
        "num_classes": CLASSES if ids else None,
        "per": draw(st.sampled_from(["example", "batch"])),
        "probability": draw(st.sampled_from([1.0, 0.5, 0.0])),
        "dtype": draw(st.sampled_from(["float32", "float16", "bfloat16", "float64"])),
        "jit_compile": draw(st.sampled_from([True, False, "auto"])),
    }
    if isinstance(element, dict):
        features = tuple(k for k in element if k not in ("y", "id"))
        options |= {"feature_keys": features, "target_keys": ("y",)}
    if options["dtype"] == "float16":  # does not hold all of uint16
        hypothesis.assume(all(t.dtype != tf.uint16 for t in tf.nest.flatten(element)))
    mode = draw(st.sampled_from(["two_streams", "in_batch", "map", "from_tensors"]))
    drop = draw(st.booleans())
    size = draw(st.integers(1, n))
    return element, tfmixup.MixUp(1.0, **options), mode, size, drop


def build(element, mixer, mode, size, drop):
    if mode == "from_tensors":
        return tfmixup.from_tensors(element, mixer, size, drop_remainder=drop, seed=1)
    dataset = tf.data.Dataset.from_tensor_slices(element)
    if mode == "two_streams":
        stage = tfmixup.two_streams(mixer, size, drop_remainder=drop, seed=1)
        return dataset.apply(stage)
    batches = dataset.batch(size, drop_remainder=drop)
    if mode == "in_batch":
        return batches.apply(tfmixup.in_batch(mixer, seed=1))
    return batches.map(mixer)


def taken_apart(element, mixer):
    """(features, targets and weights, extras) as flat lists."""
    if isinstance(element, dict):
        features = [element[k] for k in mixer.feature_keys]
        return features, [element["y"]], [element["id"]]
    return tf.nest.flatten(element[0]), tf.nest.flatten(element[1:]), []


def plain(tensor, classes):
    """A (n, ...) tensor as float64, class ids one-hot."""
    if classes and tensor.dtype.is_integer and len(np.squeeze(tensor).shape) <= 1:
        return np.eye(CLASSES)[np.reshape(tensor, -1)]
    return np.asarray(tf.cast(tensor, tf.float64))


def close(got, want, accuracy, terms):
    np.testing.assert_allclose(
        np.asarray(tf.cast(got, tf.float64)),
        want,
        rtol=0,
        atol=4 * accuracy * max(1.0, np.abs(terms).max()),
    )


@run
@hypothesis.given(pipelines())
def test_a_pipeline_mixes_what_its_unit_vectors_say(case):
    element, mixer, mode, size, drop = case
    n = len(tf.nest.flatten(element)[0])
    mixed = build(element, mixer, mode, size, drop)
    batches = list(mixed)
    assert len(batches) == (n // size if drop else -(-n // size))
    assert len(batches) == int(mixed.cardinality())
    static = size if drop else None
    for spec in tf.nest.flatten(mixed.element_spec):
        assert spec.shape[0] == static
        assert spec.shape[1:].is_fully_defined()
    raw_features, raw_others, _ = taken_apart(element, mixer)
    weights = isinstance(element, tuple) and len(element) == 3
    first = []
    for batch in batches:
        features, others, extras = taken_apart(batch, mixer)
        unit = next(
            feature
            for feature, raw in zip(features, raw_features)
            if raw.shape == (n, n) and np.array_equal(raw, np.eye(n))
        )
        matrix = np.asarray(tf.cast(unit, tf.float64))
        slack = ACCURACY[unit.dtype.name]
        assert np.all(np.count_nonzero(matrix, axis=1) <= 2)
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=2 * slack)
        for got, raw in zip(features, raw_features):
            terms = plain(raw, None)
            close(got, np.tensordot(matrix, terms, 1), slack, terms)
        for k, (got, raw) in enumerate(zip(others, raw_others)):
            is_weight = weights and k == len(others) - 1
            terms = plain(raw, None if is_weight else mixer.num_classes)
            accuracy = max(slack, ACCURACY[got.dtype.name])
            if weights and not is_weight:  # W·y is Σ_k λ_k·w_k·y_k
                shape = (-1,) + (1,) * (terms.ndim - 1)
                terms = np.reshape(plain(raw_others[-1], None), shape) * terms
                w = tf.reshape(tf.cast(others[-1], tf.float64), shape)
                got = w * tf.cast(got, tf.float64)
            close(got, np.tensordot(matrix, terms, 1), accuracy, terms)
        first += [ids.numpy() for ids in extras]
        if mixer.probability == 0:
            assert np.all(np.count_nonzero(matrix, axis=1) == 1)
    if first and not drop:
        # Extra keys are those of the first example, each once in an epoch.
        assert sorted(np.concatenate(first)) == list(range(n))


@st.composite
def nonsense(draw):
    """A value that hardly any argument takes."""
    return draw(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-3, 3),
            st.floats(),
            st.text(max_size=3),
            st.lists(st.one_of(st.integers(-1, 2), st.text(max_size=1)), max_size=3),
            st.tuples(st.floats(), st.floats()),
            st.dictionaries(st.text(max_size=1), st.integers(), max_size=1),
            st.just(tf.constant(1.0)),
            st.just(object()),
        )
    )


# What each cannot do without.
CALLS = {
    tfmixup.MixUp: {},
    tfmixup.CutMix: {},
    tfmixup.ResizeMix: {},
    tfmixup.Mosaic: {},
    tfmixup.BetweenClass: {"sample_rate": 16_000},
    tfmixup.Remix: {"class_counts": [5, 3]},
    tfmixup.CMixup: {"bandwidth": 1.0},
    tfmixup.RandomChoice: {"mixers": [tfmixup.MixUp(1.0), tfmixup.CutMix(1.0)]},
    tfmixup.two_streams: {"mixer": tfmixup.MixUp(1.0), "batch_size": 2},
    tfmixup.in_batch: {"mixer": tfmixup.MixUp(1.0)},
    tfmixup.from_tensors: {
        "tensors": (tf.zeros([4, 2]), tf.zeros([4, 1])),
        "mixer": tfmixup.MixUp(1.0),
        "batch_size": 2,
    },
}


@hypothesis.settings(run, max_examples=20 * PIPELINES)
@hypothesis.given(st.data())
def test_nonsense_gets_an_error_of_ours_or_works(data):
    call = data.draw(st.sampled_from(list(CALLS)))
    every = sorted(inspect.signature(call).parameters)
    names = data.draw(st.sets(st.sampled_from(every), min_size=1, max_size=3))
    drawn = {name: data.draw(nonsense()) for name in sorted(names)}
    arguments = {**CALLS[call], **drawn}
    error = None
    try:
        call(**arguments)
    except (TypeError, ValueError, KeyError) as refusal:
        error = refusal
    # Nothing else is raised, and no message comes out of TensorFlow's middle. KeyError
    # is for dicts of arrays without the keys asked for; its message is in quotes.
    assert error is None or str(error).strip("\"'").startswith("tfmixup."), error
