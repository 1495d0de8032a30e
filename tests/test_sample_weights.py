"""Sample weights: each belongs to its label, along every way to mix.

The features of example k are the k-th row of an identity matrix. A mixed row then says
which examples it is made of, and with which shares: `x @ w` is λ·w_i + (1 − λ)·w_j.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.reference import ROUTES, mixed, one_hot

EVERY = [(route, True) for route in (*ROUTES, "from_tensors")] + [("in_batch", False)]

N, C, T = 12, 4, 3
JIT = [True, False]
DRAW = np.random.default_rng(7)
X = np.eye(N, dtype="float32")
IDS = DRAW.integers(0, C, N)
WEIGHTS = DRAW.choice([0.0, 0.5, 1.0, 20.0], N).astype("float32")
PARTNER = tf.constant(np.roll(np.arange(N), 1), tf.int32)
PARAMS = tfmixup.MixUpParams(tf.constant(np.linspace(0, 1, N), tf.float32))


def pipeline(route, mixer, *parts):
    if route == "from_tensors":
        return tfmixup.from_tensors(parts, mixer, 6, seed=1)
    return mixed(route, tf.data.Dataset.from_tensor_slices(parts), mixer, 6)


def check(x, y, w, labels, weights):
    """W is Σ_k λ_k·w_k and W·y is Σ_k λ_k·w_k·y_k; rows of no weight are finite."""
    want = np.tensordot(x, weights, 1)
    np.testing.assert_allclose(w, want, rtol=1e-5, atol=1e-6)
    known = np.where(np.isfinite(labels), labels, 0)
    spread = weights.reshape(weights.shape + (1,) * (labels.ndim - weights.ndim))
    got = np.asarray(w).reshape(w.shape + (1,) * (y.ndim - w.ndim)) * y
    np.testing.assert_allclose(
        got, np.tensordot(x, spread * known, 1), rtol=1e-4, atol=1e-5
    )
    assert np.isfinite(y).all()


@pytest.mark.parametrize(("route", "jit"), EVERY)
def test_every_way_to_mix(route, jit):
    mixer = tfmixup.MixUp(1.0, num_classes=C, jit_compile=jit)
    ds = pipeline(route, mixer, X, IDS, WEIGHTS)
    for x, y, w in ds.take(2):
        check(x.numpy(), y.numpy(), w.numpy(), one_hot(IDS, C), WEIGHTS)
        sums = y.numpy().sum(axis=1)
        np.testing.assert_allclose(sums, 1, atol=1e-6)


@pytest.mark.parametrize(("route", "jit"), EVERY)
def test_examples_without_a_label_teach_nothing(route, jit):
    ids = np.where(WEIGHTS == 0.5, -1, IDS)
    mixer = tfmixup.MixUp(
        1.0, num_classes=C, ignore_label=-1, label_smoothing=0.1, jit_compile=jit
    )
    ds = pipeline(route, mixer, X, ids)
    assert ds.element_spec[2].shape[1:] == []
    for x, y, w in ds.take(2):
        known = np.float32(ids >= 0)
        check(x.numpy(), y.numpy(), w.numpy(), one_hot(IDS, C, 0.1), known)
        # A row is a distribution, or zeros where neither has a label.
        np.testing.assert_allclose(y.numpy().sum(1), w.numpy() > 0, atol=1e-6)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("missing", [-1, np.nan])
def test_tasks_that_were_not_measured(missing, jit):
    tasks = DRAW.integers(0, 2, (N, T)).astype("float32")
    known = DRAW.random((N, T)) < 0.6
    given = DRAW.uniform(1, 2, N).astype("float32")
    mixer = tfmixup.MixUp(ignore_label=missing, jit_compile=jit)
    assert mixer == tfmixup.MixUp(ignore_label=missing, jit_compile=jit)
    batch = (X, np.where(known, tasks, np.float32(missing)))
    x, y, w = mixer.apply_in_batch(batch, PARTNER, PARAMS)
    check(x.numpy(), y.numpy(), w.numpy(), tasks, np.float32(known))
    x, y, w = mixer.apply_in_batch((*batch, given), PARTNER, PARAMS)
    check(x.numpy(), y.numpy(), w.numpy(), tasks, known * given[:, None])
    plain = mixer.off()(*batch)
    np.testing.assert_array_equal(plain[1], np.where(known, tasks, 0))
    np.testing.assert_array_equal(plain[2], known)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_label_of_weight_0_may_be_anything(bad, jit):
    y = DRAW.normal(size=(N, 2)).astype("float32")
    y[WEIGHTS == 0] = bad
    for targets in ("blend", "pair", "union"):
        mixer = tfmixup.MixUp(targets=targets, jit_compile=jit)
        x, got, w = mixer.apply_in_batch((X, y, WEIGHTS), PARTNER, PARAMS)
        assert all(np.isfinite(part).all() for part in tf.nest.flatten(got))
    first, second, lam = tfmixup.MixUp(targets="pair", jit_compile=jit).apply_in_batch(
        (X, y, WEIGHTS), PARTNER, PARAMS
    )[1]
    made = lam[:, None] * first + (1 - lam[:, None]) * second
    check(x.numpy(), made.numpy(), w.numpy(), y, WEIGHTS)


@pytest.mark.parametrize("jit", JIT)
def test_the_shape_of_a_weight_says_what_it_weighs(jit):
    """One for an example, for an output, for a task, for a pixel."""
    y = {
        "example": one_hot(IDS, C).astype("float32"),
        "column": DRAW.normal(size=(N, 1)).astype("float32"),
        "task": DRAW.normal(size=(N, T)).astype("float32"),
        "frame": DRAW.normal(size=(N, T, C)).astype("float32"),
        "pixel": DRAW.normal(size=(N, 2, 3, C)).astype("float32"),
    }
    shapes = {"column": (N, 1), "task": (N, T), "frame": (N, T), "pixel": (N, 2, 3)}
    weights = {
        key: DRAW.uniform(size=shapes.get(key, N)).astype("float32") for key in y
    }
    mixer = tfmixup.MixUp(jit_compile=jit)
    x, got, w = mixer.apply_in_batch((X, y, weights), PARTNER, PARAMS)
    for key in y:
        assert w[key].shape == weights[key].shape
        check(x.numpy(), got[key].numpy(), w[key].numpy(), y[key], weights[key])
    # One tensor is for all targets.
    x, got, w = mixer.apply_in_batch((X, y, WEIGHTS), PARTNER, PARAMS)
    for key in y:
        check(x.numpy(), got[key].numpy(), w.numpy(), y[key], WEIGHTS)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("mixer", [tfmixup.CutMix, tfmixup.ResizeMix, "choice"])
def test_a_pasted_pixel_has_the_weight_of_its_example(mixer, jit):
    """The weight of an example becomes one of its pixels, and of its label as ever."""
    options = {"num_classes": 2, "jit_compile": jit}
    if mixer == "choice":
        mixer = tfmixup.RandomChoice(
            [tfmixup.MixUp(1.0, **options), tfmixup.CutMix(**options)], per="example"
        )
    else:
        mixer = mixer(**options)
    image = np.broadcast_to(np.arange(1, N + 1)[:, None, None, None], (N, 5, 6, 1))
    image = image.astype("float32")
    mask = np.broadcast_to(np.arange(N)[:, None, None] % 2, (N, 5, 6))
    params = mixer.sample(N, [3, 4])
    element = (image, {"mask": mask, "label": IDS % 2}, WEIGHTS)
    x, y, w = mixer.apply_in_batch(element, PARTNER, params)
    assert w["mask"].shape == (N, 5, 6)
    assert w["label"].shape == (N,)
    # From the blend of the two examples' numbers, how much of a pixel is the first's.
    second = np.roll(image, 1, axis=0)
    lam = ((x.numpy() - second) / (image - second))[..., 0]
    w_first, w_second = WEIGHTS, np.roll(WEIGHTS, 1)
    parts = [(lam, w_first, mask), (1 - lam, w_second, np.roll(mask, 1, axis=0))]
    want = sum(share * v[:, None, None] for share, v, _ in parts)
    np.testing.assert_allclose(w["mask"], want, atol=1e-4)
    for k in range(2):
        want = sum(share * v[:, None, None] * (m == k) for share, v, m in parts)
        np.testing.assert_allclose(
            w["mask"].numpy() * y["mask"][..., k], want, atol=1e-4
        )
    area = lam.mean(axis=(1, 2))
    np.testing.assert_allclose(
        w["label"], area * w_first + (1 - area) * w_second, atol=1e-4
    )
    both = mixer.apply(element, element, params, keep_first=True)
    original, again = (tf.nest.map_structure(lambda t: t.shape, e) for e in both)
    assert original == again
    np.testing.assert_array_equal(both[0][2]["mask"], want_pixels(WEIGHTS))


def want_pixels(weights):
    return np.broadcast_to(weights[:, None, None], (N, 5, 6))


def test_union_leaves_out_labels_of_weight_0():
    y = (DRAW.random((N, C)) < 0.5).astype("float32")
    mixer = tfmixup.MixUp(targets="union")
    _, got, w = mixer.apply_in_batch((X, y, WEIGHTS), PARTNER, PARAMS)
    lam = PARAMS.lam.numpy()
    shares = np.stack([lam * WEIGHTS, (1 - lam) * np.roll(WEIGHTS, 1)])
    np.testing.assert_allclose(w, shares.sum(axis=0), rtol=1e-6)
    heard = (shares > 0)[..., None] * np.stack([y, np.roll(y, 1, axis=0)])
    some = shares.any(axis=0)
    np.testing.assert_array_equal(got.numpy()[some], heard.max(axis=0)[some])


def test_remix_with_examples_that_have_no_class():
    ids = np.where(WEIGHTS == 0.5, -1, IDS)
    mixer = tfmixup.Remix([1, 9, 9, 1], ignore_label=-1)
    x, y, w = mixer.apply_in_batch((X, ids), PARTNER, PARAMS)
    known = ids >= 0
    both = known & np.roll(known, 1)
    check(
        x.numpy()[~both], y.numpy()[~both], w.numpy()[~both],
        one_hot(IDS, C), np.float32(known),
    )  # fmt: skip


def test_remix_gives_an_example_without_a_class_its_own_share():
    """Class 0 would give way to class 1, or class 1 to class 0, if -1 were class 0."""
    mixer = tfmixup.Remix([1, 9], ignore_label=-1, alpha=1.0)
    params = tfmixup.MixUpParams(tf.constant([0.6, 0.6]))
    ids = np.array([-1, 1]), np.array([1, -1])
    first, second = ((X[:2], one) for one in ids)
    _, y, w = mixer.apply(first, second, params)
    np.testing.assert_allclose(w, [0.4, 0.6], rtol=1e-6)
    np.testing.assert_array_equal(y, [[0, 1], [0, 1]])


def test_integers_are_weights_too():
    mixer = tfmixup.MixUp(num_classes=C)
    weights = np.arange(N)
    x, _, w = mixer.apply_in_batch((X, IDS, weights), PARTNER, PARAMS)
    np.testing.assert_allclose(w, x.numpy() @ weights.astype("float32"), rtol=1e-6)


def test_an_ignored_class_id_is_a_number_beside_it():
    mixer = tfmixup.MixUp(num_classes={"a": C}, target_keys=("a", "b"), ignore_label=-1)
    batch = {"image": X, "a": IDS, "b": np.full([N, 1], -1, "float32")}
    got = mixer.apply_in_batch(batch, PARTNER, PARAMS)
    np.testing.assert_allclose(got["b"], batch["b"], rtol=1e-6)
    np.testing.assert_allclose(got["sample_weight"]["b"], np.ones(N))


def test_an_ignored_class_id_of_a_pair_is_class_0_of_no_weight():
    ids = np.where(IDS == 2, -1, IDS)
    mixer = tfmixup.MixUp(targets="pair", ignore_label=-1)
    _, (first, second, _), w = mixer.apply_in_batch((X, ids), PARTNER, PARAMS)
    np.testing.assert_array_equal(first, np.where(ids < 0, 0, ids))
    np.testing.assert_array_equal(second, np.roll(first, 1))
    known = np.float32(ids >= 0)
    np.testing.assert_allclose(w, mixed_weight(known), atol=1e-6)


def mixed_weight(weight):
    lam = np.linspace(0, 1, N)
    return lam * weight + (1 - lam) * np.roll(weight, 1)


def test_a_pair_of_tasks_is_trained_with_their_weights():
    """λ·w_i·ℓ(y_i) + (1 − λ)·w_j·ℓ(y_j), entry by entry, by Keras."""
    tasks = DRAW.integers(0, 2, (N, T)).astype("float32")
    tasks[DRAW.random((N, T)) < 0.4] = np.nan
    mixer = tfmixup.MixUp(targets="pair", ignore_label=np.nan)
    _, y, w = mixer.apply_in_batch((X, tasks), PARTNER, PARAMS)
    p = DRAW.uniform(0.1, 0.9, (N, T)).astype("float32")
    first, second, lam = y
    assert lam.shape == w.shape == (N, T)
    loss = tfmixup.keras.PairLoss(keras.losses.BinaryCrossentropy(reduction="none"))
    pair = (first[..., None], second[..., None], lam)
    got = loss(pair, p[..., None], sample_weight=w)
    ce = np.nan_to_num(-np.where(tasks == 1, np.log(p), np.log(1 - p)))
    other = np.roll(tasks, 1, axis=0)
    ce_other = -np.where(other == 1, np.log(p), np.log(1 - p))
    share = PARAMS.lam.numpy()[:, None]
    want = share * ~np.isnan(tasks) * ce + (1 - share) * ~np.isnan(other) * ce_other
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"λ has the shape .* a last dimension of 1"):
        loss((first, second, lam), p)
