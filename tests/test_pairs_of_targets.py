"""targets="pair" in pipelines."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfmixup

LAM = np.array([0.0, 0.25, 0.5, 0.9, 1.0], np.float32)
SIZE, CLASSES = len(LAM), 4
IDS = np.array([[0, 1, 2, 3, 1], [3, 1, 0, 2, 2]])
JIT = [True, False, "auto"]
X = (np.zeros([SIZE, 3], np.float32), np.ones([SIZE, 3], np.float32))


def params(lam=LAM):
    return tfmixup.MixUpParams(lam=tf.constant(lam, tf.float32))


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32"])
def test_both_targets_are_kept_untouched(jit, shape, dtype):
    y = np.random.default_rng(1).integers(0, 99, (2, SIZE, *shape)).astype(dtype)
    mixer = tfmixup.MixUp(targets="pair", jit_compile=jit)
    for lam in (LAM, LAM[1:2]):
        x, got = mixer.apply((X[0], y[0]), (X[1], y[1]), params(lam))
        assert isinstance(got, tuple)
        assert [part.dtype for part in got] == [dtype, dtype, tf.float32]
        np.testing.assert_array_equal(got[0], y[0])
        np.testing.assert_array_equal(got[1], y[1])
        np.testing.assert_array_equal(got[2], np.broadcast_to(lam, SIZE))
        np.testing.assert_allclose(x[:, 0], 1 - np.broadcast_to(lam, SIZE))


def test_class_ids_are_one_hot_where_asked():
    mixer = tfmixup.MixUp(targets="pair", num_classes=CLASSES, label_smoothing=0.1)
    _, (first, second, _) = mixer.apply((X[0], IDS[0]), (X[1], IDS[1]), params())
    np.testing.assert_allclose(first, 0.9 * np.eye(CLASSES)[IDS[0]] + 0.025, rtol=1e-6)
    np.testing.assert_allclose(second, 0.9 * np.eye(CLASSES)[IDS[1]] + 0.025, rtol=1e-6)


def examples(n=10):
    """x tells the example; its label is a sequence made of it."""
    x = np.arange(n, dtype=np.float32)[:, None]
    y = np.arange(n)[:, None] * [1, 10, 100]
    return tf.data.Dataset.from_tensor_slices((x, y))


def pipelines(mixer):
    batches = examples().batch(4)
    streams = tfmixup.two_streams(mixer, 4, seed=1, drop_remainder=False)
    yield examples().apply(streams)
    yield batches.apply(tfmixup.in_batch(mixer, seed=1))
    yield batches.map(mixer)
    yield tf.data.Dataset.zip((batches, batches)).map(mixer.pair)


def test_every_pipeline_keeps_examples_and_labels_together():
    mixer = tfmixup.MixUp(1.0, targets="pair")
    for ds in pipelines(mixer):
        shapes = [spec.shape.as_list() for spec in ds.element_spec[1]]
        assert shapes == [[None, 3], [None, 3], [None]]
        sizes = []
        for x, y in ds:
            first, second, lam = (part.numpy() for part in y)
            np.testing.assert_array_equal(first, first[:, :1] * [1, 10, 100])
            blended = lam * first[:, 0] + (1 - lam) * second[:, 0]
            np.testing.assert_allclose(x[:, 0], blended, atol=1e-5)
            sizes.append(len(lam))
        assert sizes == [4, 4, 2]


def test_static_shapes_dicts_and_sample_weights():
    mixer = tfmixup.MixUp(targets="pair", per="batch")
    ds = examples().map(lambda x, y: ({"a": x}, {"b": y}, tf.reduce_sum(x)))
    _, y, _ = ds.apply(tfmixup.two_streams(mixer, 4)).element_spec
    assert [spec.shape for spec in y["b"]] == [(4, 3), (4, 3), (4,)]
    as_dict = examples().map(lambda x, y: {"image": x, "label": y, "id": y[0]})
    spec = as_dict.apply(tfmixup.two_streams(mixer, 4)).element_spec
    assert [part.shape for part in spec["label"]] == [(4, 3), (4, 3), (4,)]
    batch = next(iter(ds.apply(tfmixup.two_streams(mixer, 4, seed=2))))
    first, second, lam = batch[1]["b"]
    # The weights are x, and the first of a label. W is λ·w_i + (1 − λ)·w_j, and x too;
    # λ′ = λ·w_i / W and 1 − λ′ tell λ and 1 − λ.
    np.testing.assert_allclose(batch[2], batch[0]["a"][:, 0], rtol=1e-6)
    shares = [lam * batch[2] / tf.cast(first[:, 0], "float32")]
    shares += [(1 - lam) * batch[2] / tf.cast(second[:, 0], "float32")]
    np.testing.assert_allclose(sum(shares), np.ones(4), atol=1e-5)


def test_unmixed_pairs_are_twice_the_same():
    plain = tfmixup.MixUp(alpha=0, targets="pair")
    for (x, y), (x0, y0) in zip(examples().batch(4).map(plain), examples().batch(4)):
        np.testing.assert_array_equal(x, x0)
        np.testing.assert_array_equal(y[0], y0)
        np.testing.assert_array_equal(y[1], y0)
        np.testing.assert_array_equal(y[2], np.ones(len(x0)))


def test_one_seed_gives_one_stream():
    mixer = tfmixup.MixUp(1.0, targets="pair")
    runs = [
        [np.concatenate([x, *y[:2], y[2][:, None]], 1) for x, y in ds]
        for ds in [examples().apply(tfmixup.two_streams(mixer, 4, seed=1))] * 2
    ]
    assert not np.array_equal(runs[0][0], runs[0][1])
    again = examples().apply(tfmixup.two_streams(mixer, 4, seed=1))
    again = [np.concatenate([x, *y[:2], y[2][:, None]], 1) for x, y in again]
    np.testing.assert_array_equal(runs[0], again)


def test_vectors_of_class_ids_look_batched_unless_they_are_kept():
    with pytest.raises(ValueError, match="look batched"):
        examples().apply(tfmixup.two_streams(tfmixup.MixUp(num_classes=4), 4))
    mixer = tfmixup.MixUp(targets="pair")
    with pytest.raises(ValueError, match="look batched"):
        examples().batch(4).apply(tfmixup.two_streams(mixer, 4))


def test_replacing_fields_keeps_pairs():
    mixer = tfmixup.MixUp(0.2, targets="pair")
    assert dataclasses.replace(mixer, alpha=0).targets == "pair"
