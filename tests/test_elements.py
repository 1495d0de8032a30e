"""Elements of every kind through every pipeline: specs, graphs, refusals."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup

tfd = tfp.distributions

EXAMPLES, SIZE, CLASSES = 10, 4, 5


def make(**arguments: Any) -> tfmixup.MixUp:
    """A mixer that is quick to trace."""
    return tfmixup.MixUp(distribution=tfd.Uniform(0.0, 1.0), **arguments)


# Static shapes


def dataset(kind: str) -> tf.data.Dataset:
    image = np.zeros([EXAMPLES, 4, 3, 1], np.uint8)
    ids = np.arange(EXAMPLES) % CLASSES
    more = np.zeros([EXAMPLES, 7], np.float64)
    name = [f"example {i}" for i in range(EXAMPLES)]
    elements = {
        "tuple": (image, ids),
        "column": (image, ids[:, None].astype(np.uint8)),
        "regression": (more, more[:, 0]),
        "weighted": (image, ids, ids),
        "dict": {"image": image, "label": ids, "name": name, "index": ids},
        "nested": (
            {"image": image, "more": (more,)},
            (ids, {"extent": more.astype(np.float16)}),
            {"a": more[:, 0], "b": ids},
        ),
    }
    return tf.data.Dataset.from_tensor_slices(elements[kind])


def expected_spec(kind: str, size: int | None) -> Any:
    def spec(*shape: int, dtype: Any = tf.float32) -> tf.TensorSpec:
        return tf.TensorSpec([size, *shape], dtype)

    image, label = spec(4, 3, 1), spec(CLASSES)
    return {
        "tuple": (image, label),
        "column": (image, label),
        "regression": (spec(7), spec(dtype=tf.float64)),
        "weighted": (image, label, spec()),
        "dict": {
            "image": image,
            "label": label,
            "name": spec(dtype=tf.string),
            "index": spec(dtype=tf.int64),
        },
        "nested": (
            {"image": image, "more": (spec(7),)},
            (label, {"extent": spec(7, dtype=tf.float16)}),
            {"a": spec(dtype=tf.float64), "b": spec()},
        ),
    }[kind]


KINDS = ["tuple", "column", "regression", "weighted", "dict", "nested"]


def by_map(ds: tf.data.Dataset, mixer: tfmixup.MixUp, drop: bool) -> tf.data.Dataset:
    return ds.batch(SIZE, drop_remainder=drop).map(mixer)


def by_pair(ds: tf.data.Dataset, mixer: tfmixup.MixUp, drop: bool) -> tf.data.Dataset:
    batches = ds.batch(SIZE, drop_remainder=drop)
    return tf.data.Dataset.zip((batches, batches)).map(mixer.pair)


def by_in_batch(
    ds: tf.data.Dataset, mixer: tfmixup.MixUp, drop: bool, seed: int | None = 1
) -> tf.data.Dataset:
    batches = ds.batch(SIZE, drop_remainder=drop)
    return batches.apply(tfmixup.in_batch(mixer, seed=seed))


def by_two_streams(
    ds: tf.data.Dataset, mixer: tfmixup.MixUp, drop: bool, seed: int | None = 1
) -> tf.data.Dataset:
    return ds.apply(tfmixup.two_streams(mixer, SIZE, drop_remainder=drop, seed=seed))


def by_two_streams_with_originals(
    ds: tf.data.Dataset, mixer: tfmixup.MixUp, drop: bool
) -> tf.data.Dataset:
    mix = tfmixup.two_streams(
        mixer, SIZE, drop_remainder=drop, keep_originals=True, partner=ds
    )
    return ds.apply(mix)


ROUTES = [by_map, by_pair, by_in_batch, by_two_streams, by_two_streams_with_originals]


def mixer_for(kind: str, **arguments: Any) -> tfmixup.MixUp:
    classes = None if kind == "regression" else CLASSES
    return make(num_classes=classes, **arguments)


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", KINDS)
def test_element_spec(kind, route, drop):
    mixed = route(dataset(kind), mixer_for(kind), drop)
    assert mixed.element_spec == expected_spec(kind, SIZE if drop else None)


@pytest.mark.parametrize("kind", ["column", "dict", "nested"])
def test_elements_are_as_the_spec_says(kind):
    mixer = mixer_for(kind, jit_compile=False)
    sizes = [SIZE, SIZE, EXAMPLES - 2 * SIZE]
    for route in (by_in_batch, by_two_streams):
        mixed = list(route(dataset(kind), mixer, False))
        assert len(mixed) == len(sizes)
        for element, size in zip(mixed, sizes):
            spec = tf.nest.map_structure(tf.TensorSpec.from_tensor, element)
            assert spec == expected_spec(kind, size)


def test_ragged_extras_keep_their_spec():
    tags = tf.ragged.constant([[1], [2, 3], [], [4]])
    ds = tf.data.Dataset.from_tensor_slices(
        {"image": tf.zeros([4, 2]), "label": tf.zeros([4, 1]), "tags": tags}
    )
    batches = ds.batch(2, drop_remainder=True)
    mixed = batches.apply(tfmixup.in_batch(make()))
    assert mixed.element_spec == batches.element_spec
    rows = [row for element in mixed for row in element["tags"].to_list()]
    assert rows == tags.to_list()


# What a pipeline is made of


def graph_of(ds: tf.data.Dataset) -> tf.compat.v1.GraphDef:
    serialised = tf.raw_ops.DatasetToGraphV2(
        input_dataset=tf.data.experimental.to_variant(ds),
        external_state_policy=1,  # serialise what is stateful too
    )
    return tf.compat.v1.GraphDef.FromString(serialised.numpy())


def op_names(ds: tf.data.Dataset) -> set[str]:
    graph = graph_of(ds)
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    return {node.op for node in nodes}


# Randomness whose state is in an op, which no checkpoint saves and parallel calls
# reorder, and Python. tf.data's RandomDataset has its state in the iterator.
UNWANTED = re.compile(
    r"(?!Stateless|RandomDataset).*(Random|PyFunc|NonDeterministic|Multinomial"
    r"|TruncatedNormal|Rng|Stateful(?!PartitionedCall)).*"
)


def unwanted(ds: tf.data.Dataset) -> set[str]:
    return {name for name in op_names(ds) if UNWANTED.fullmatch(name)}


def named(**arguments: Any) -> tuple[tf.data.Dataset, tfmixup.MixUp]:
    return dataset("dict"), tfmixup.MixUp(num_classes=CLASSES, **arguments)


SAMPLERS = {
    "beta": {},
    "range": {"lam_range": (0.1, 0.9), "probability": 0.5},
    "rejection": {
        "distribution": tfd.MixtureSameFamily(
            tfd.Categorical(probs=[0.3, 0.7]), tfd.Beta([2.0, 8.0], [8.0, 3.0])
        ),
        "lam_range": (0.1, 0.9),
        "per": "batch",
    },
}


@pytest.mark.parametrize("route", [by_two_streams, by_in_batch])
@pytest.mark.parametrize(
    ("sampler", "seed", "drop"),
    [
        ("beta", 1, True),
        ("beta", None, False),
        ("range", 1, False),
        ("rejection", 1, True),
    ],
)
def test_pipelines_have_no_stateful_random_op_and_no_python(sampler, seed, drop, route):
    ds, mixer = named(**SAMPLERS[sampler])
    mixed = route(ds, mixer, drop, seed)
    assert unwanted(mixed) == set()
    # The scan sees the inside of the functions.
    assert {"OneHot", "StatelessRandomUniformV2"} <= op_names(mixed)
    # TensorFlow's own opinion: it refuses to serialise other stateful ops.
    tf.raw_ops.DatasetToGraphV2(
        input_dataset=tf.data.experimental.to_variant(mixed),
        external_state_policy=2,
    )


@pytest.mark.parametrize(
    ("stateful", "op"),
    [
        (lambda: tf.random.uniform([]), "RandomUniform"),
        (lambda: tf.random.uniform([], maxval=3, dtype=tf.int32), "RandomUniformInt"),
        (lambda: tf.random.normal([]), "RandomStandardNormal"),
        (lambda: tf.random.truncated_normal([]), "TruncatedNormal"),
        (lambda: tf.random.gamma([], 0.2), "RandomGamma"),
        (lambda: tf.random.shuffle([1, 2]), "RandomShuffle"),
        (lambda: tf.numpy_function(np.zeros, [1], tf.float64), "PyFunc"),
        (lambda: tf.py_function(np.zeros, [1], tf.float64), "EagerPyFunc"),
        (
            lambda: tf.raw_ops.NonDeterministicInts(shape=[2], dtype=tf.int32),
            "NonDeterministicInts",
        ),
    ],
)
def test_the_scan_finds_what_it_looks_for(stateful: Callable[..., Any], op):
    ds = tf.data.Dataset.range(3).map(lambda _: stateful())
    assert op in unwanted(ds)


def test_a_mixer_that_is_mapped_takes_its_seed_from_the_system():
    ds, mixer = named()
    assert unwanted(ds.batch(SIZE).map(mixer)) == {"NonDeterministicInts"}


# Compilation


def is_compiled(ds: tf.data.Dataset) -> bool:
    functions = graph_of(ds).library.function
    return any(f.attr["_XlaMustCompile"].b for f in functions if f.attr)


def padded(part: str, drop: bool) -> tf.data.Dataset:
    """Batches of which one part has variable lengths."""

    def example(n: tf.Tensor) -> Any:
        row = tf.range(10.0)
        names = ("x", "y", "weight")
        return tuple(row[: n + 1] if name == part else row[:3] for name in names)

    ds = tf.data.Dataset.range(8).map(example)
    return ds.padded_batch(SIZE, drop_remainder=drop)


def mixed_by(route: str, batches: tf.data.Dataset, mixer: Any) -> tf.data.Dataset:
    if route == "in_batch":
        return batches.apply(tfmixup.in_batch(mixer, seed=1))
    if route == "map":
        return batches.map(mixer)
    return tf.data.Dataset.zip((batches, batches)).map(mixer.pair)


BATCHED_ROUTES = ["in_batch", "map", "pair"]


@pytest.mark.parametrize("route", BATCHED_ROUTES)
@pytest.mark.parametrize(
    ("jit", "drop", "compiled"),
    [
        ("auto", True, True),
        ("auto", False, True),
        (True, False, True),
        (False, True, False),
    ],
)
def test_static_shapes_are_compiled(jit, drop, compiled, route):
    batches = dataset("nested").batch(SIZE, drop_remainder=drop)
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    assert is_compiled(mixed_by(route, batches, mixer)) == compiled


@pytest.mark.parametrize("part", ["x", "y", "weight"])
@pytest.mark.parametrize("route", BATCHED_ROUTES)
@pytest.mark.parametrize(
    ("jit", "compiled"), [("auto", False), (True, True), (False, False)]
)
def test_variable_lengths_are_not_compiled_again_and_again(jit, compiled, route, part):
    mixed = mixed_by(route, padded(part, True), make(jit_compile=jit))
    assert is_compiled(mixed) == compiled
    variable = {"x": 0, "y": 1, "weight": 2}[part]
    assert mixed.element_spec[variable].shape == [SIZE, None]


@pytest.mark.parametrize("route", BATCHED_ROUTES)
def test_variable_lengths_come_out_as_they_are(route):
    mixed = mixed_by(route, padded("x", False), make())
    assert [x.shape for x, _, _ in mixed] == [(SIZE, 4), (SIZE, 8)]


@pytest.mark.parametrize(("jit", "compiled"), [("auto", True), (False, False)])
def test_two_streams_compile(jit, compiled):
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    for drop in (True, False):
        assert is_compiled(by_two_streams(dataset("dict"), mixer, drop)) == compiled


# Refusals


X, Y = tf.zeros([4, 3]), tf.zeros([4, 2])


@pytest.mark.parametrize(
    ("element", "came"),
    [
        ([X, Y], "list"),
        (X, "EagerTensor"),
        ((X, Y, Y, Y), "tuple of 4"),
        ((X,), "tuple of 1"),
    ],
)
def test_elements_of_another_kind(element, came):
    message = rf"elements must be \(x, y\), .* or a dict, got {came}"
    with pytest.raises(TypeError, match=rf"tfmixup\.MixUp: {message}"):
        make().split(element)


def test_pipelines_refuse_elements_of_another_kind():
    ds = tf.data.Dataset.from_tensor_slices(X)
    message = r"elements must be .*, got TensorSpec"
    with pytest.raises(TypeError, match=rf"tfmixup\.two_streams: {message}"):
        ds.apply(tfmixup.two_streams(make(), 2))
    with pytest.raises(TypeError, match=rf"tfmixup\.in_batch: {message}"):
        ds.batch(2).apply(tfmixup.in_batch(make()))


@pytest.mark.parametrize(
    ("element", "name", "missing"),
    [
        ({"picture": X, "label": Y}, "feature_keys", "image"),
        ({"image": X, "class": Y}, "target_keys", "label"),
    ],
)
def test_keys_that_elements_do_not_have(element, name, missing):
    message = f"elements have no key '{missing}', which {name}=.*they have"
    with pytest.raises(KeyError, match=message):
        make()(element)
    ds = tf.data.Dataset.from_tensor_slices(element)
    with pytest.raises(KeyError, match=f"tfmixup.two_streams: {message}"):
        ds.apply(tfmixup.two_streams(make(), 2))


@pytest.mark.parametrize(
    "element",
    [
        (X[0], Y[0, 0]),
        (X, Y[:2]),
        (X, Y, tf.constant(1.0)),
        ((X, X[:1]), Y),
    ],
)
def test_elements_without_a_common_batch_dimension(element):
    message = r"elements must be batches.*float32\(.*Call dataset\.batch\(batch_size\)"
    with pytest.raises(ValueError, match=message):
        make()(*element)
    ds = tf.data.Dataset.from_tensors(element)
    with pytest.raises(ValueError, match=rf"tfmixup\.in_batch: {message}"):
        ds.apply(tfmixup.in_batch(make()))


def test_unknown_rank():
    signature = (tf.TensorSpec(None), tf.TensorSpec([None, 2]))
    ds = tf.data.Dataset.from_generator(lambda: [(X, Y)], output_signature=signature)
    with pytest.raises(ValueError, match=r"number of dimensions must be known.*ensure"):
        ds.apply(tfmixup.in_batch(make()))


@pytest.mark.parametrize(
    "batches",
    [
        tf.data.Dataset.from_tensor_slices((X, Y)).batch(2),
        tf.data.Dataset.from_tensor_slices((X, tf.range(4))).batch(2, True),
        tf.data.Dataset.from_tensor_slices({"image": X, "label": Y}).batch(2),
    ],
)
def test_two_streams_refuses_batches(batches):
    message = r"elements must be single examples.*batches by itself: remove \.batch"
    with pytest.raises(ValueError, match=message):
        batches.apply(tfmixup.two_streams(make(num_classes=4), 2))


# Weights of dict elements


@pytest.mark.parametrize("combination", ["blend", "pair", "union"])
def test_a_weight_among_the_targets_is_blended_whatever_labels_become(combination):
    x = tf.zeros([4, 2])
    one, other = (
        {
            "image": x,
            "label": tf.one_hot(ids, 3),
            "sample_weight": tf.constant(weight),
        }
        for ids, weight in (
            ([0, 1, 2, 0], [1.0, 2.0, 3.0, 4.0]),
            ([1, 2, 0, 1], [5.0, 6.0, 7.0, 8.0]),
        )
    )
    keys = ("label", "sample_weight")
    mixer = tfmixup.MixUp(target_keys=keys, targets=combination)
    params = tfmixup.MixUpParams(tf.fill([4], 0.25))
    mixed = mixer.apply(one, other, params)
    np.testing.assert_allclose(mixed["sample_weight"], [4.0, 5.0, 6.0, 7.0])
    assert isinstance(mixed["label"], tuple) == (combination == "pair")


# An example alone

ALONE = [
    tfmixup.MixUp(1.0),
    tfmixup.CutMix(),
    tfmixup.ResizeMix(),
    tfmixup.RandomChoice([tfmixup.MixUp(1.0), tfmixup.CutMix()]),
]


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("mixer", ALONE, ids=lambda mixer: type(mixer).__name__)
def test_an_example_alone_in_its_batch_is_not_mixed(mixer, jit, drop):
    if isinstance(mixer, tfmixup.RandomChoice):
        members = [dataclasses.replace(m, jit_compile=jit) for m in mixer.mixers]
        mixer = dataclasses.replace(mixer, mixers=members)
    else:
        mixer = dataclasses.replace(mixer, jit_compile=jit)
    x = np.random.default_rng(0).normal(size=[3, 8, 8, 1]).astype(np.float32)
    y = np.eye(3, dtype=np.float32)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(
        2 if not drop else 1, drop
    )
    *_, last = batches.apply(tfmixup.in_batch(mixer, seed=1))
    np.testing.assert_array_equal(last[0], x[2:])
    np.testing.assert_array_equal(last[1], y[2:])


@pytest.mark.parametrize("mixer", ALONE, ids=lambda mixer: type(mixer).__name__)
def test_a_mixer_that_is_off_mixes_nothing(mixer):
    x = np.random.default_rng(0).normal(size=[4, 8, 8, 1]).astype(np.float32)
    y = np.eye(4, dtype=np.float32)
    assert mixer.off() != mixer
    mixed = mixer.off()(x, y, seed=[1, 2])
    np.testing.assert_array_equal(mixed[0], x)
    np.testing.assert_array_equal(mixed[1], y)
