"""Elements: taken apart, what is mixed of them, their specs, and their graphs."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup
from tests.reference import ROUTES, assert_close, blend, mixed, numbers, one_hot
from tfmixup import elements
from tfmixup.elements import Parts

tfd = tfp.distributions

EXAMPLES, SIZE, CLASSES = 10, 4, 5
LAM = np.array([0.0, 0.3, 0.5, 1.0], np.float32)
PARAMS = tfmixup.MixUpParams(lam=tf.constant(LAM))
FIRST, SECOND = np.array([0, 1, 2, 4]), np.array([4, 1, 0, 2])


def make(**arguments: Any) -> tfmixup.MixUp:
    """A mixer that is quick to trace."""
    return tfmixup.MixUp(distribution=tfd.Uniform(0.0, 1.0), **arguments)


# Taken apart and put together. `split` looks into nothing: strings stand for tensors.


class Named(NamedTuple):
    x: Any
    y: Any


class Weighted(NamedTuple):
    x: Any
    y: Any
    w: Any


KEYS = ("image", "depth"), ("label",)
WHOLE = {"image": "x", "depth": "z", "label": "y", "name": "n", "sample_weight": "w"}
SOUND = {"audio": "x", "length": "n", "mask": "m"}
DEPTH = {"image": "x", "depth": "z"}
SPLITS = {
    "tuple": (("x", "y"), KEYS, Parts("x", "y")),
    "weights": (("x", "y", "w"), KEYS, Parts("x", "y", "w")),
    "nests": (({"a": "x"}, ("y", "z")), KEYS, Parts({"a": "x"}, ("y", "z"))),
    "named": (Named("x", "y"), KEYS, Parts("x", "y")),
    "named weights": (Weighted("x", "y", "w"), KEYS, Parts("x", "y", "w")),
    "dict": (WHOLE, KEYS, Parts(DEPTH, {"label": "y"}, "w")),
    "dict kept weights": (
        WHOLE,
        (*KEYS, (), ("sample_weight",)),
        Parts(DEPTH, {"label": "y"}),
    ),
    "dict weights": (
        WHOLE,
        (KEYS[0], ("label", "sample_weight")),
        Parts(DEPTH, {"label": "y"}, "w"),
    ),
    "dict lengths": (
        {**SOUND, "label": "y", "name": "id"},
        (("audio",), ("label",), ("length", "mask")),
        Parts({"audio": "x"}, {"label": "y"}, None, {"length": "n", "mask": "m"}),
    ),
    "lengths": (
        Named(SOUND, "y"),
        (*KEYS, ("length",)),
        Parts({"audio": "x", "mask": "m"}, "y", None, {"length": "n"}),
    ),
}


@pytest.mark.parametrize("kind", SPLITS)
def test_an_element_is_put_together_as_it_was_taken_apart(kind):
    element, keys, parts = SPLITS[kind]
    assert elements.split(element, *keys) == parts
    joined = elements.join(parts, element)
    assert joined == element
    assert list(joined) == list(element)  # also in the order of a dict
    assert type(joined) is type(element)
    # What was mixed comes from the parts, everything else from the element.
    mixed = elements.join(elements.map_parts(str.upper, parts), element)
    leaves = set(elements.leaves(parts))
    wanted = tf.nest.map_structure(lambda x: x.upper() if x in leaves else x, element)
    assert mixed == wanted


def test_weights_that_ignored_pixels_bring_are_added():
    parts = Parts({"image": "x"}, {"label": "y"}, "w")
    element = {"image": "a", "label": "b", "name": "n"}
    together = {"image": "x", "label": "y", "sample_weight": "w", "name": "n"}
    assert elements.join(parts, element) == together
    for like in (("a", "b"), Named("a", "b")):
        joined = elements.join(Parts("x", "y", "w"), like)
        assert joined == ("x", "y", "w")
        assert type(joined) is tuple


def test_parts():
    x, y = tf.zeros([3, 4]), tf.zeros([3], tf.int64)
    parts = Parts({"a": x, "b": x}, y, None, {"length": y})
    assert [leaf is x for leaf in elements.leaves(parts)] == [True, True, False, False]
    spec = elements.spec_of(parts)
    assert spec.features["a"] == tf.TensorSpec([3, 4])
    assert spec.weights is None
    assert elements.spec_of(spec) == spec
    assert elements.batch_size(parts) == 3
    assert elements.static_but_batch(spec)
    assert elements.leaves(elements.head(parts, 2))[0].shape == [2, 4]
    unknown = Parts(tf.TensorSpec([None, None]), tf.TensorSpec([None]))
    assert not elements.static_but_batch(unknown)


# What is mixed


@pytest.mark.parametrize("jit", [True, False])
def test_nested_features_and_targets(jit):
    def element(seed: int, ids: np.ndarray) -> Any:
        image = numbers((SIZE, 4, 4, 3), "uint8", seed)
        x = {"image": image, "more": (numbers((SIZE, 7), "float32", seed),)}
        return x, (ids, {"extent": numbers((SIZE, 4), "float64", seed)})

    first, second = element(1, FIRST), element(2, SECOND)
    x, y = make(num_classes=CLASSES, jit_compile=jit).apply(first, second, PARAMS)
    tf.nest.assert_same_structure(x, first[0])
    tf.nest.assert_same_structure(y, first[1])
    for got, one, other in zip(*(tf.nest.flatten(x) for x in (x, first[0], second[0]))):
        assert got.dtype == tf.float32
        assert_close(got, blend(one, other, LAM), one, other)
    hot = one_hot(FIRST, CLASSES), one_hot(SECOND, CLASSES)
    assert_close(y[0], blend(*hot, LAM))
    assert y[1]["extent"].dtype == tf.float64
    extents = first[1][1]["extent"], second[1][1]["extent"]
    assert_close(y[1]["extent"], blend(*extents, LAM), *extents)


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
    assert_close(got["image"], blend(first["image"], second["image"], LAM), 255.0)
    hot = one_hot(FIRST, CLASSES), one_hot(SECOND, CLASSES)
    assert_close(got["label"], blend(*hot, LAM))
    for key in ("name", "index"):
        assert got[key].dtype == first[key].dtype
        np.testing.assert_array_equal(got[key], first[key])
    assert got["tags"].to_list() == first["tags"].to_list()


@pytest.mark.parametrize("jit", [True, False])
def test_other_keys_of_a_dict_pass_through_from_the_first(jit):
    first, second = dict_element(1, FIRST), dict_element(2, SECOND)
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    assert_dict_mixed(mixer.apply(first, second, PARAMS), first, second)
    only = {key: second[key] for key in ("image", "label")}
    assert_dict_mixed(mixer.apply(first, only, PARAMS), first, second)
    pairs = tf.data.Dataset.from_tensors((first, second))
    got = pairs.map(lambda one, other: mixer.apply(one, other, PARAMS))
    assert_dict_mixed(got.get_single_element(), first, second)


def test_keys_of_a_dict_may_be_others():
    a, b = numbers((SIZE, 2), seed=1), numbers((SIZE, 2), seed=2)
    mixer = make(feature_keys=("audio", "text"), target_keys=("y",))
    first = {"audio": a, "text": b, "y": a, "image": a}
    second = {"audio": b, "text": a, "y": b, "image": b}
    got = mixer.apply(first, second, PARAMS)
    for key in ("audio", "text", "y"):
        assert_close(got[key], blend(first[key], second[key], LAM), a, b)
    np.testing.assert_array_equal(got["image"], first["image"])


@pytest.mark.parametrize("combination", ["blend", "pair", "union"])
def test_a_weight_among_the_targets_is_blended_whatever_labels_become(combination):
    w = np.arange(1.0, 5.0), np.arange(5.0, 9.0)
    one, other = (
        {"image": tf.zeros([4, 2]), "label": one_hot(ids, 5), "sample_weight": weight}
        for ids, weight in zip((FIRST, SECOND), w)
    )
    keys = ("label", "sample_weight")
    mixer = tfmixup.MixUp(target_keys=keys, targets=combination)
    got = mixer.apply(one, other, PARAMS)
    np.testing.assert_allclose(got["sample_weight"], blend(*w, LAM))
    assert isinstance(got["label"], tuple) == (combination == "pair")


# Static shapes


def dataset(kind: str) -> tf.data.Dataset:
    image = np.zeros([EXAMPLES, 4, 3, 1], np.uint8)
    ids = np.arange(EXAMPLES) % CLASSES
    more = np.zeros([EXAMPLES, 7], np.float64)
    name = [f"example {i}" for i in range(EXAMPLES)]
    elements = {
        "dict": {"image": image, "label": ids, "name": name, "index": ids},
        "nested": (
            {"image": image, "more": (more,)},
            (ids[:, None].astype(np.uint8), {"extent": more.astype(np.float16)}),
            {"a": more[:, 0], "b": ids},
        ),
    }
    return tf.data.Dataset.from_tensor_slices(elements[kind])


def expected_spec(kind: str, size: int | None) -> Any:
    def spec(*shape: int, dtype: Any = tf.float32) -> tf.TensorSpec:
        return tf.TensorSpec([size, *shape], dtype)

    image, label = spec(4, 3, 1), spec(CLASSES)
    return {
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


@pytest.mark.parametrize("kind", ["dict", "nested"])
def test_specs_are_static_and_elements_are_as_they_say(kind):
    mixer = make(num_classes=CLASSES, jit_compile=False)
    ds = dataset(kind)
    for route in ROUTES:
        static = mixed(route, ds, mixer, SIZE, drop_remainder=True)
        assert static.element_spec == expected_spec(kind, SIZE)
    originals = mixed(
        "two_streams", ds, mixer, SIZE, keep_originals=True, partner=ds.repeat()
    )
    assert originals.element_spec == expected_spec(kind, None)
    sizes = [SIZE, SIZE, EXAMPLES - 2 * SIZE]
    for route in ("in_batch", "two_streams"):
        got = mixed(route, ds, mixer, SIZE)
        assert got.element_spec == expected_spec(kind, None)
        specs = [tf.nest.map_structure(tf.TensorSpec.from_tensor, e) for e in got]
        assert specs == [expected_spec(kind, size) for size in sizes]


def test_ragged_extras_keep_their_spec():
    tags = tf.ragged.constant([[1], [2, 3], [], [4]])
    ds = tf.data.Dataset.from_tensor_slices(
        {"image": tf.zeros([4, 2]), "label": tf.zeros([4, 1]), "tags": tags}
    )
    batches = ds.batch(2, drop_remainder=True)
    got = batches.apply(tfmixup.in_batch(make()))
    assert got.element_spec == batches.element_spec
    rows = [row for element in got for row in element["tags"].to_list()]
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


@pytest.mark.parametrize(
    ("route", "sampler", "seed", "drop"),
    [
        ("two_streams", "beta", 1, True),
        ("two_streams", "rejection", None, False),
        ("in_batch", "range", 1, False),
        ("in_batch", "rejection", None, True),
    ],
)
def test_pipelines_have_no_stateful_random_op_and_no_python(route, sampler, seed, drop):
    mixer = tfmixup.MixUp(num_classes=CLASSES, **SAMPLERS[sampler])
    got = mixed(route, dataset("dict"), mixer, SIZE, drop_remainder=drop, seed=seed)
    assert unwanted(got) == set()
    # The scan sees the inside of the functions.
    assert {"OneHot", "StatelessRandomUniformFullIntV2"} <= op_names(got)
    # TensorFlow's own opinion: it refuses to serialise other stateful ops.
    tf.raw_ops.DatasetToGraphV2(
        input_dataset=tf.data.experimental.to_variant(got),
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
    got = mixed("map", dataset("dict"), tfmixup.MixUp(num_classes=CLASSES), SIZE)
    assert unwanted(got) == {"RandomUniformInt"}


# Compilation


def is_compiled(ds: tf.data.Dataset) -> bool:
    functions = graph_of(ds).library.function
    return any(f.attr["_XlaMustCompile"].b for f in functions if f.attr)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("jit", "drop", "compiled"),
    [("auto", True, True), ("auto", False, True), (False, True, False)],
)
def test_static_shapes_are_compiled(jit, drop, compiled, route):
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    got = mixed(route, dataset("nested"), mixer, SIZE, drop_remainder=drop)
    assert is_compiled(got) == compiled


def padded(part: str) -> tf.data.Dataset:
    """Batches of which one part has variable lengths."""

    def example(n: tf.Tensor) -> Any:
        row = tf.range(10.0)
        names = ("x", "y", "weight")
        parts = [row[: n + 1] if name == part else row[:3] for name in names]
        if part == "weight":  # of each entry of the target
            parts[1] = parts[2]
        return (*parts[:2], parts[2] if part == "weight" else row[3])

    return tf.data.Dataset.range(8).map(example).padded_batch(SIZE, drop_remainder=True)


@pytest.mark.parametrize(
    ("route", "part", "jit"),
    [
        ("in_batch", "x", "auto"),
        ("map", "y", "auto"),
        ("pair", "weight", "auto"),
        ("in_batch", "y", True),
        ("map", "x", False),
    ],
)
def test_variable_lengths_are_not_compiled_again_and_again(route, part, jit):
    batches, mixer = padded(part), make(jit_compile=jit)
    if route == "in_batch":
        got = batches.apply(tfmixup.in_batch(mixer, seed=1))
    elif route == "map":
        got = batches.map(mixer)
    else:
        got = tf.data.Dataset.zip((batches, batches)).map(mixer.pair)
    assert is_compiled(got) == (jit is True)
    variable = {"x": 0, "y": 1, "weight": 2}[part]
    assert got.element_spec[variable].shape == [SIZE, None]
    shapes = [element[variable].shape for element in got]
    assert shapes == [(SIZE, 4), (SIZE, 8)]
