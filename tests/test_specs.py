"""Features: those that are kept by name, and their dtypes."""

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.reference import ROUTES, blend, mixed

N = 10
UNIT = np.eye(N, dtype=np.float32)
NAMES = np.array([f"number {i}" for i in range(N)])
# Beyond what float32 can hold, strings, booleans, and bytes that would be blended.
KEPT = {
    "id": np.arange(N) + 2**60,
    "name": NAMES,
    "flag": np.arange(N) % 3 == 0,
    "nest": {"byte": np.arange(N, dtype=np.uint8)},
}
LAM = np.array([0.0, 0.3, 0.5, 1.0], np.float32)
PARAMS = tfmixup.MixUpParams(tf.constant(LAM))


def keeping(**arguments):
    # Labels tell both examples and λ.
    keys = {"feature_keys": ("unit",), "keep_keys": (*KEPT,)}
    return tfmixup.MixUp(1.0, targets="pair", **{**keys, **arguments})


def example(as_dict, offset=0):
    """All examples at once."""
    kept = {**KEPT, "id": KEPT["id"] + offset}
    if as_dict:
        return {"unit": UNIT, **kept, "label": UNIT}
    return {"unit": UNIT, **kept}, UNIT


def check_kept(batch, as_dict):
    x = batch if as_dict else batch[0]
    first, second, lam = batch["label"] if as_dict else batch[1]
    assert set(x) - {"label"} == {"unit", *KEPT}
    np.testing.assert_allclose(x["unit"], blend(first, second, lam), atol=1e-6)
    row = np.argmax(first, axis=1)
    np.testing.assert_array_equal(x["id"], row + 2**60)
    assert x["name"].numpy().tolist() == [n.encode() for n in NAMES[row]]
    np.testing.assert_array_equal(x["flag"], row % 3 == 0)
    np.testing.assert_array_equal(x["nest"]["byte"], row)
    assert x["nest"]["byte"].dtype == tf.uint8
    return np.any(np.argmax(second, axis=1) != row)


@pytest.mark.parametrize("as_dict", [True, False])
@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("route", [*ROUTES, "from_tensors"])
def test_what_is_named_stays_that_of_the_first_example(route, jit, as_dict):
    mixer = keeping(jit_compile=jit)
    if route == "from_tensors":
        batches = tfmixup.from_tensors(
            example(as_dict), mixer, 4, seed=1, drop_remainder=False
        )
    else:
        examples = tf.data.Dataset.from_tensor_slices(example(as_dict))
        batches = mixed(route, examples, mixer, 4)
    batches = list(batches)
    assert len(batches) == 3
    changed = [check_kept(batch, as_dict) for batch in batches]
    assert any(changed)


@pytest.mark.parametrize("as_dict", [True, False])
def test_the_originals_and_another_dataset_as_partner(as_dict):
    """Partners' ids are others: none of them comes out."""
    own, other = example(as_dict), example(as_dict, offset=1000)
    kwargs = {"keep_originals": True, "seed": 3}
    both = tfmixup.from_tensors(own, keeping(), 5, partner=other, **kwargs)
    slices = tf.data.Dataset.from_tensor_slices
    streams = slices(own).apply(
        tfmixup.two_streams(keeping(), 5, partner=slices(other), **kwargs)
    )
    for dataset in (both, streams):
        batches = list(dataset)
        assert len(batches) == 4
        changed = [check_kept(batch, as_dict) for batch in batches]
        assert changed[::2] == [False, False]
        assert any(changed[1::2])


def test_what_is_kept_need_not_be_tensors_that_can_be_stacked():
    tags = tf.ragged.range(tf.range(N))
    x = tf.data.Dataset.from_tensor_slices(({"unit": UNIT, "tags": tags}, UNIT))
    mixer = keeping(keep_keys=("tags",))
    for batch, (y, *_) in mixed("in_batch", x, mixer, 4):
        row = np.argmax(y, axis=1)
        assert batch["tags"].to_list() == [list(range(i)) for i in row]


@pytest.mark.parametrize("as_dict", [True, False])
def test_what_is_kept_is_padded_as_its_features_are(as_dict):
    def generate():
        for n in (3, 8, 5, 2, 9, 1):
            x = {"unit": np.full([n], n, np.float32), "ids": np.full([n], n)}
            x["words"] = [str(n)] * n
            yield {**x, "label": [n]} if as_dict else (x, [n])

    wave, label = tf.TensorSpec([None], tf.float32), tf.TensorSpec([1], tf.float32)
    x = {"unit": wave, "ids": tf.TensorSpec([None], tf.int64)}
    x["words"] = tf.TensorSpec([None], tf.string)
    spec = {**x, "label": label} if as_dict else (x, label)
    shapes = tf.nest.map_structure(lambda leaf: leaf.shape, spec)
    values = tf.nest.map_structure(lambda leaf: None, spec)
    (values if as_dict else values[0])["ids"] = -1
    dataset = tf.data.Dataset.from_generator(generate, output_signature=spec)
    mixer = keeping(keep_keys=("ids", "words"))
    for seed in range(3):
        for batch in dataset.apply(
            tfmixup.two_streams(
                mixer, 2, padded_shapes=shapes, padding_values=values, seed=seed
            )
        ):
            x, (n, m, _) = (batch, batch["label"]) if as_dict else batch
            longest = int(np.max([n, m]))
            assert x["unit"].shape == x["ids"].shape == x["words"].shape == (2, longest)
            for ids, words, own in zip(
                x["ids"], x["words"], n[:, 0].numpy().astype(int)
            ):
                rest = longest - own
                assert ids.numpy().tolist() == [own] * own + [-1] * rest
                assert words.numpy().tolist() == [b"%d" % own] * own + [b""] * rest


@pytest.mark.parametrize("jit", [True, False])
def test_float64_is_computed_in_float64(jit):
    rng = np.random.default_rng(1)
    x = rng.random((2, 4, 6, 8, 3)) + 1000
    want = blend(*x, LAM)
    assert np.abs(want - want.astype(np.float32)).max() > 1e-6
    y = np.eye(4, dtype=np.float32)
    mixer = tfmixup.MixUp(dtype="float64", jit_compile=jit)
    (original, _), (got, label) = mixer.apply(
        (x[0], y), (x[1], y[::-1]), PARAMS, keep_first=True
    )
    assert (got.dtype, original.dtype, label.dtype) == ("float64", "float64", "float32")
    np.testing.assert_allclose(got, want, rtol=1e-14)
    np.testing.assert_array_equal(original, x[0])
    moved, _ = tfmixup.CutMix(dtype="float64", jit_compile=jit)(x[0], y)
    assert set(np.ravel(moved)) <= set(np.ravel(x[0]))
    # What is interpolated between integers, too.
    image16 = rng.integers(0, 2**15, (4, 6, 8, 1)).astype("int16")
    resize = tfmixup.ResizeMix(dtype="float64", jit_compile=jit)
    drawn = resize.sample(4, [1, 2])
    small, exact = (
        resize.apply((image, y), (image[::-1], y), drawn)[0]
        for image in (image16, image16.astype("float64"))
    )
    np.testing.assert_allclose(small, exact, rtol=1e-14)


def test_bytes_and_samples_are_quantities():
    """Of 8 and 16 bits; larger integers are refused: see test_refusals.py."""
    x = {d: np.array([[0], [100]], d) for d in ("uint8", "int8", "uint16", "int16")}
    params = tfmixup.MixUpParams(tf.constant([0.25]))
    y = np.zeros([2, 1], np.float32)
    other = {key: value[::-1] for key, value in x.items()}
    got, _ = tfmixup.MixUp().apply((x, y), (other, y), params)
    for values in got.values():
        np.testing.assert_array_equal(values, [[75], [25]])
