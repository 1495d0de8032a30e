"""targets="union": several labels at once, such as sound events."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfmixup

LAM = np.array([0.0, 1e-6, 0.3, 0.5, 0.999, 1.0], np.float32)
SIZE = len(LAM)
JIT = [True, False, "auto"]
X = (np.zeros([SIZE, 4], np.float32), np.ones([SIZE, 4], np.float32))


def params(lam=LAM):
    return tfmixup.MixUpParams(lam=tf.constant(lam, tf.float32))


def union(first, second, lam):
    """Example by example: what one hears of the two."""
    lam = np.broadcast_to(lam, len(first))
    rows = []
    for one, other, share in zip(first, second, lam):
        heard = ([one] if share > 0 else []) + ([other] if share < 1 else [])
        rows.append(np.max(heard, axis=0))
    return np.stack(rows)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("shape", [(), (7,), (5, 7)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_multi_hot_labels(jit, shape, dtype):
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, (2, SIZE, *shape)).astype(dtype)
    mixer = tfmixup.MixUp(targets="union", jit_compile=jit)
    for lam in (LAM, LAM[2:3]):
        x, got = mixer.apply((X[0], y[0]), (X[1], y[1]), params(lam))
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, union(*y, lam))
        np.testing.assert_allclose(x, np.ones([SIZE, 4]) * (1 - lam[:, None]))


def test_strengths_between_0_and_1_keep_the_stronger():
    y = np.random.default_rng(2).uniform(size=(2, SIZE, 3)).astype("float32")
    mixer = tfmixup.MixUp(targets="union")
    _, got = mixer.apply((X[0], y[0]), (X[1], y[1]), params())
    np.testing.assert_array_equal(got, union(*y, LAM))


@pytest.mark.parametrize("jit", JIT)
def test_class_ids_become_multi_hot(jit):
    ids = np.array([[0, 1, 2, 3, 0, 1], [1, 1, 3, 0, 2, 2]])
    mixer = tfmixup.MixUp(targets="union", num_classes=4, jit_compile=jit)
    _, got = mixer.apply((X[0], ids[0]), (X[1], ids[1]), params())
    np.testing.assert_array_equal(got, union(*np.eye(4)[ids], LAM))
    # Mixed with its own class there is one class, else two.
    np.testing.assert_array_equal(np.sum(got, axis=1), [1, 1, 2, 2, 2, 1])


def test_sample_weights_are_blended_all_the_same():
    y = np.eye(SIZE, dtype="float32")
    w = np.arange(SIZE, dtype=np.float32)
    mixer = tfmixup.MixUp(targets="union")
    *_, got = mixer.apply((X[0], y, w), (X[1], y[::-1], 2 * w), params())
    np.testing.assert_allclose(got, LAM * w + (1 - LAM) * 2 * w, rtol=1e-6)


@pytest.mark.parametrize("probability", [0.0, 0.5])
def test_what_is_not_mixed_keeps_its_own_labels(probability):
    x = np.arange(40, dtype=np.float32)[:, None]
    ids = np.arange(40) % 5
    mixer = tfmixup.MixUp(
        1.0,
        lam_range=(0.2, 0.8),
        targets="union",
        num_classes=5,
        probability=probability,
    )
    ds = tf.data.Dataset.from_tensor_slices((x, ids))
    mixed = list(ds.apply(tfmixup.two_streams(mixer, 8, seed=1)))
    got_x = np.concatenate([x for x, _ in mixed])[:, 0]
    got_y = np.concatenate([y for _, y in mixed])
    whole = got_x == np.round(got_x)
    assert whole.mean() == pytest.approx(1 - probability, abs=0.3)
    np.testing.assert_array_equal(
        got_y[whole], np.eye(5)[ids[got_x[whole].astype(int)]]
    )
    assert (got_y[~whole].sum(axis=1) >= 1).all()


def test_pipelines_of_dicts_and_partial_batches():
    ds = tf.data.Dataset.from_tensor_slices(
        {"image": tf.random.normal([10, 4]), "label": np.arange(10) % 3}
    )
    mixer = tfmixup.MixUp(1.0, targets="union", num_classes=3)
    batches = ds.batch(4)
    for mixed in (
        ds.apply(tfmixup.two_streams(mixer, 4, drop_remainder=False, seed=1)),
        batches.apply(tfmixup.in_batch(mixer, seed=1)),
        batches.map(mixer),
        tf.data.Dataset.zip((batches, batches)).map(mixer.pair),
    ):
        assert mixed.element_spec["label"].shape == (None, 3)
        got = [batch["label"].numpy() for batch in mixed]
        assert [len(y) for y in got] == [4, 4, 2]
        assert set(np.concatenate(got).ravel()) <= {0, 1}
    static = ds.apply(tfmixup.two_streams(mixer, 4)).element_spec["label"]
    assert (static.shape, static.dtype) == ((4, 3), tf.float32)


def test_validation_labels_are_multi_hot_of_one():
    mixer = tfmixup.MixUp(targets="union", num_classes=3)
    _, y = dataclasses.replace(mixer, alpha=0)(X[0], np.arange(SIZE) % 3)
    np.testing.assert_array_equal(y, np.eye(3)[np.arange(SIZE) % 3])


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"label_smoothing=0\.1 is for one class an"):
        tfmixup.MixUp(targets="union", num_classes=3, label_smoothing=0.1)
    with pytest.raises(ValueError, match="targets must be one of 'blend', 'pair', 'u"):
        tfmixup.MixUp(targets="max")
    with pytest.raises(ValueError, match="class ids cannot be averaged"):
        tfmixup.MixUp(targets="union")(X[0], np.arange(SIZE))
