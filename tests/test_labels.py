"""Labels as people have them: several heads, one a frame, by name or position."""

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.reference import ROUTES, mixed, one_hot

N, T, HEADS = 12, 5, {"root": 168, "vowel": 11, "consonant": 7}
DRAW = np.random.default_rng(5)
X = np.eye(N, dtype="float32")  # a mixed row holds the examples' shares
Y = {key: DRAW.integers(0, classes, N) for key, classes in HEADS.items()}
SIZE = DRAW.normal(size=(N, 1)).astype("float32")
EVERY = [(route, True) for route in (*ROUTES, "from_tensors")] + [("in_batch", False)]


def pipeline(route, mixer, element, **arguments):
    if route == "from_tensors":
        return tfmixup.from_tensors(element, mixer, 6, seed=1)
    dataset = tf.data.Dataset.from_tensor_slices(element)
    return mixed(route, dataset, mixer, 6, **arguments)


@pytest.mark.parametrize(("route", "jit"), EVERY)
def test_heads_of_different_classes(route, jit):
    """A dict by key, in which a target without classes may be missing."""
    mixer = tfmixup.MixUp(1.0, num_classes=HEADS, jit_compile=jit)
    assert hash(mixer) == hash(tfmixup.MixUp(1.0, num_classes=HEADS, jit_compile=jit))
    assert mixer != tfmixup.MixUp(1.0, num_classes={**HEADS, "root": 9})
    x, y = next(iter(pipeline(route, mixer, (X, {**Y, "size": SIZE}))))
    for key, classes in HEADS.items():
        np.testing.assert_allclose(y[key], x @ one_hot(Y[key], classes), atol=1e-5)
    np.testing.assert_allclose(y["size"], x @ SIZE, atol=1e-5)


def test_heads_of_a_tuple_and_of_a_dict_element():
    classes = (168, None, 11)
    mixer = tfmixup.MixUp(1.0, num_classes=classes)
    x, y = next(iter(pipeline("in_batch", mixer, (X, (Y["root"], SIZE, Y["vowel"])))))
    assert [part.shape[1] for part in y] == [168, 1, 11]
    np.testing.assert_allclose(y[2], x @ one_hot(Y["vowel"], 11), atol=1e-5)
    mixer = tfmixup.MixUp(1.0, num_classes=HEADS, target_keys=tuple(HEADS))
    batch = next(iter(pipeline("two_streams", mixer, {"image": X, **Y})))
    assert {key: batch[key].shape[1] for key in HEADS} == HEADS
    # A mixer that looks at one label looks at the first of them.
    remix = tfmixup.Remix([1] * 168, num_classes=HEADS, target_keys=tuple(HEADS))
    assert remix({"image": X, **Y})["vowel"].shape == (N, 11)


@pytest.mark.parametrize(
    ("num_classes", "message"),
    [
        ((168, 11), r"num_classes=\(168, 11\) must be one number, or a nest .*'root'"),
        ({"root": 168, "other": 3}, "must be one number, or a nest"),
        ({"root": 168}, r"targets are integers \(int64\(12,\)\).*Pass num_classes"),
        ({**HEADS, "size": 3}, r"num_classes=3 is for a target of class ids.*float32"),
        ({**HEADS, "vowel": 1}, "num_classes must be at least 2, got 1.*sigmoid"),
    ],
)
def test_num_classes_that_fit_no_targets(num_classes, message):
    with pytest.raises(ValueError, match=message):
        tfmixup.MixUp(num_classes=num_classes)(X, {**Y, "size": SIZE})


def test_every_head_has_its_own_range():
    mixer = tfmixup.MixUp(num_classes=HEADS)
    bad = {**Y, "vowel": Y["vowel"] + 11}
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"in \[0, 11\)"):
        mixer(X, bad)
    with pytest.raises(ValueError, match=r"must be in \[0, 7\), \[0, 168\), \[0, 11\)"):
        tfmixup.from_tensors((X, bad), mixer, 4)


# One class id a frame -----------------------------------------------------------------

FRAMES = np.repeat(X[:, np.newaxis], T, axis=1)  # (N, T, N)
CLASSES = DRAW.integers(0, 3, (N, T))


@pytest.mark.parametrize(("route", "jit"), EVERY)
def test_one_class_id_a_frame(route, jit):
    known = DRAW.random((N, T)) < 0.7
    ids = np.where(known, CLASSES, -1)
    mixer = tfmixup.MixUp(1.0, num_classes=3, ignore_label=-1, jit_compile=jit)
    shapes = {"padded_shapes": ([None, N], [None])} if route == "two_streams" else {}
    x, y, w = next(iter(pipeline(route, mixer, (FRAMES, ids), **shapes)))
    assert y.shape == (6, T, 3)
    shares = x.numpy()[:, 0]
    np.testing.assert_allclose(w, shares @ known, atol=1e-5)
    want = np.tensordot(shares, known[..., None] * one_hot(CLASSES, 3), 1)
    np.testing.assert_allclose(w.numpy()[..., None] * y, want, atol=1e-5)


def test_frames_that_may_be_something_else():
    mixer = tfmixup.MixUp(num_classes=T)
    both = r"may be one class id for each of 5 frames, or multi-hot.*tf.one_hot\(y, 5\)"
    with pytest.raises(ValueError, match=both):
        mixer(FRAMES, CLASSES)
    with pytest.raises(ValueError, match=r"beside features \(12, 12\)\. Cast"):
        mixer(X, CLASSES)
    looks_batched = "look batched.*padded_shapes, and so do examples of one class id"
    dataset = tf.data.Dataset.from_tensor_slices((FRAMES, CLASSES))
    with pytest.raises(ValueError, match=looks_batched):
        dataset.apply(tfmixup.two_streams(tfmixup.MixUp(num_classes=3), 4))


# One of several targets, by name or position ------------------------------------------


def test_counts_weights_and_mass_of_one_target():
    named = tf.data.Dataset.from_tensor_slices((X, Y))
    placed = tf.data.Dataset.from_tensor_slices((X, (Y["root"], Y["vowel"])))
    want = np.bincount(Y["vowel"], minlength=11)
    weights = DRAW.uniform(1, 2, 11)
    for dataset, key in ((named, "vowel"), (placed, 1)):
        got = tfmixup.class_counts(dataset, 11, label_key=key)
        np.testing.assert_array_equal(got, want)
        mass = tfmixup.label_mass(dataset.batch(4), 11, label_key=key)
        np.testing.assert_allclose(mass, want / N)
        weighted = dataset.map(tfmixup.weight_by_class(weights, label_key=key))
        got = [float(w) for _, _, w in weighted]
        np.testing.assert_allclose(got, weights[Y["vowel"]], rtol=1e-6)
        odds = np.minimum(want, 1)
        stream = tfmixup.class_balanced(dataset, 11, label_key=key, odds=odds)
        assert next(iter(stream))[0].shape == (N,)
        with pytest.raises(
            ValueError, match=r"targets. Pass label_key=..., the key or"
        ):
            tfmixup.class_counts(dataset, 11)
