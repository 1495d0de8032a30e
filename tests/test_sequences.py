"""Waveforms, spectrograms and label sequences: padding and lengths."""

import numpy as np
import pytest
import tensorflow as tf

import tfmixup

LAM = np.array([0.0, 0.25, 0.5, 1.0], np.float32)
SIZE = len(LAM)
Y = (np.eye(SIZE, dtype="float32"), np.eye(SIZE, dtype="float32")[::-1])
JIT = [True, False]


def params(lam=LAM):
    return tfmixup.MixUpParams(lam=tf.constant(lam, tf.float32))


def wave(n):
    """A waveform that tells its length and where in it each sample is."""
    return n + np.arange(n, dtype=np.float32) / 128


LENGTHS = [5, 9, 3, 7, 1, 12, 4, 8, 2, 10]


def ragged(lengths=LENGTHS, features=None):
    """Elements {"audio", "length", "label"}, of unknown length."""

    def generate():
        for i, n in enumerate(lengths):
            x = wave(n)
            if features:
                x = np.repeat(x[:, None], features, axis=1)
            yield {"audio": x, "length": n, "label": i % 3}

    shape = [None, features] if features else [None]
    spec = {
        "audio": tf.TensorSpec(shape, tf.float32),
        "length": tf.TensorSpec([], tf.int32),
        "label": tf.TensorSpec([], tf.int64),
    }
    ds = tf.data.Dataset.from_generator(generate, output_signature=spec)
    return ds.apply(tf.data.experimental.assert_cardinality(len(lengths)))


def mixer(**arguments):
    keys = {"feature_keys": ("audio",), "length_keys": ("length",), "num_classes": 3}
    return tfmixup.MixUp(1.0, **{**keys, **arguments})


# Lengths and padding masks


@pytest.mark.parametrize("jit", JIT)
def test_length_or_padding_mask_is_of_what_is_heard(jit):
    lengths = np.array([[9, 9, 4, 2], [8, 2, 7, 6]])
    masks = np.random.default_rng(1).integers(0, 2, (2, SIZE, 6)).astype(bool)
    keys = ("int32", "int64", "uint8")
    elements = [
        {
            "audio": np.ones([SIZE, 9], np.float32),
            **{key: lengths[k].astype(key) for key in keys},
            "mask": masks[k],
            "column": masks[k, ..., None],
        }
        for k in (0, 1)
    ]
    mix = mixer(
        jit_compile=jit, num_classes=None, length_keys=(*keys, "mask", "column")
    )
    for as_dict in (True, False):  # or a tuple whose features are a dict
        one, other = (
            {**e, "label": y} if as_dict else (e, y) for e, y in zip(elements, Y)
        )
        got = mix.apply(one, other, params())
        shared = mix.apply(one, other, params([0.5]))
        if not as_dict:
            got, shared = got[0], shared[0]
        for key in keys:
            assert got[key].dtype == key
            np.testing.assert_array_equal(got[key], [8, 9, 7, 2])
            np.testing.assert_array_equal(shared[key], lengths.max(axis=0))
        either = masks[0] | masks[1]
        want = np.stack([masks[1][0], either[1], either[2], masks[0][3]])
        np.testing.assert_array_equal(got["mask"], want)
        np.testing.assert_array_equal(got["column"], want[..., None])
        np.testing.assert_array_equal(shared["mask"], either)


def test_lengths_of_validation_data_stay():
    plain = mixer().off()
    batches = ragged().padded_batch(4)
    for got, want in zip(batches.map(plain), batches):
        np.testing.assert_array_equal(got["length"], want["length"])
        np.testing.assert_array_equal(got["audio"], want["audio"])


# Batches of padded examples


def check_mixed(batch, first, second, lam):
    """Sample by sample: what is beyond an example's end is 0 in the mixture."""
    got = np.asarray(batch["audio"], np.float64)
    for row, (n, m, share) in enumerate(zip(first, second, lam)):
        want = np.zeros([got.shape[1]])
        want[:n] += share * wave(n)
        want[:m] += (1 - share) * wave(m)
        np.testing.assert_allclose(got[row], want, rtol=1e-6)


@pytest.mark.parametrize("jit", JIT)
def test_mixture_of_padded_sounds_is_the_formula(jit):
    (one, other) = ragged(LENGTHS[:8]).padded_batch(4, padded_shapes=SHAPES)
    got = mixer(jit_compile=jit).apply(one, other, params())
    check_mixed(got, LENGTHS[:4], LENGTHS[4:8], LAM)


SHAPES = {"audio": [12], "length": [], "label": []}


@pytest.mark.parametrize("known", [True, False])
def test_in_batch_of_padded_batches(known):
    shapes = SHAPES if known else {**SHAPES, "audio": [None]}
    batches = ragged().padded_batch(4, padded_shapes=shapes)
    mixed = batches.apply(tfmixup.in_batch(mixer(per="batch"), seed=2))
    assert mixed.element_spec["audio"].shape == (None, 12 if known else None)
    assert len(mixed) == 3
    for got, given in zip(mixed, batches):
        lengths = given["length"].numpy()
        assert got["audio"].shape == given["audio"].shape
        # The partners of a batch are a shift of it.
        fits = [
            shift
            for shift in range(1, len(lengths))
            if np.array_equal(
                np.maximum(lengths, np.roll(lengths, -shift)), got["length"]
            )
        ]
        assert fits


def test_in_batch_of_bucketed_batches():
    batches = ragged(features=4).bucket_by_sequence_length(
        lambda e: e["length"],
        bucket_boundaries=[6],
        bucket_batch_sizes=[3, 3],
        drop_remainder=True,
    )
    mixed = batches.apply(tfmixup.in_batch(mixer(), seed=2))
    assert mixed.element_spec["audio"].shape == (None, None, 4)
    sizes = [got["audio"].shape[1] for got in mixed]
    assert len(sizes) >= 2
    assert len(set(sizes)) > 1
    assert all(got["length"].numpy().max() <= got["audio"].shape[1] for got in mixed)


# Two streams of different length


@pytest.mark.parametrize(("features", "remainder"), [(None, True), (2, False)])
def test_two_streams_pad_to_the_longer_of_two_batches(features, remainder):
    shapes = {"audio": [None, 2] if features else [None], "length": [], "label": []}
    mix = mixer(lam_range=(0.4, 0.6), per="batch")

    def stream():
        return ragged(features=features).apply(
            tfmixup.two_streams(
                mix, 4, padded_shapes=shapes, seed=5, drop_remainder=remainder
            )
        )

    ds = stream()
    batch, rest = (4 if remainder else None), ((2,) if features else ())
    assert ds.element_spec["audio"].shape == (batch, None, *rest)
    assert len(ds) == (2 if remainder else 3)
    got = list(ds)
    for one, again in zip(got, stream()):
        np.testing.assert_array_equal(one["audio"], again["audio"])
        audio = one["audio"][..., 0] if features else one["audio"]
        # Both are heard, so the mixture ends where the longer one does.
        heard = [int(np.flatnonzero(row)[-1]) + 1 for row in audio.numpy()]
        np.testing.assert_array_equal(one["length"], heard)
    assert sum(int(b["audio"].shape[0]) for b in got) == (8 if remainder else 10)


def test_two_streams_pad_with_the_values_asked_for():
    def generate():
        for n in (3, 8, 5, 2):
            yield np.zeros([n], np.float32), np.full([n], 2, np.int64)

    spec = (tf.TensorSpec([None], tf.float32), tf.TensorSpec([None], tf.int64))
    ds = tf.data.Dataset.from_generator(generate, output_signature=spec)
    mix = tfmixup.MixUp(lam_range=(0.4, 0.6), targets="pair")
    for values, x_value, y_value in (
        ((-80.0, None), -80, 0),
        ((-80.0, -1), -80, -1),
        (7, 7, 7),
    ):
        mixed = ds.apply(
            tfmixup.two_streams(
                mix, 2, padded_shapes=([None], [None]), padding_values=values, seed=1
            )
        )
        for x, (one, other, lam) in mixed:
            # 2 is a label, so that labels tell how long each sound was.
            want = 0
            for y, share in ((one, lam), (other, 1 - lam)):
                assert set(y.numpy().ravel()) <= {2, y_value}
                want += share[:, None] * np.where(y == 2, 0.0, x_value)
            np.testing.assert_allclose(x, want, rtol=1e-5)


def test_two_streams_of_one_static_length_are_compiled():
    mix = mixer()
    ds = ragged().apply(tfmixup.two_streams(mix, 4, padded_shapes=SHAPES, seed=1))
    assert ds.element_spec["audio"].shape == (4, 12)
    assert all(batch["audio"].shape == (4, 12) for batch in ds)


def test_a_partner_is_padded_too():
    ds = ragged(LENGTHS[:4]).apply(
        tfmixup.two_streams(
            mixer(lam_range=(0.4, 0.6)),
            2,
            partner=ragged([20, 21]),
            padded_shapes={**SHAPES, "audio": [None]},
            keep_originals=True,
            seed=1,
        )
    )
    batches = list(ds)
    assert len(batches) == 4
    for original, mixed in zip(batches[::2], batches[1::2]):
        longest = mixed["length"].numpy().max()
        assert original["audio"].shape[1] == mixed["audio"].shape[1] == longest
        assert original["length"].numpy().max() <= 9
        assert set(mixed["length"].numpy()) <= {20, 21}


def test_padding_errors():
    with pytest.raises(ValueError, match=r"padding_values=0 needs padded_shapes"):
        tfmixup.two_streams(mixer(), 4, padding_values=0)
    message = r"two_streams: padded_shapes=\(\[None\], \[\]\).* must have the structure"
    with pytest.raises((TypeError, ValueError), match=message):
        ragged().apply(tfmixup.two_streams(mixer(), 4, padded_shapes=([None], [])))
    x = tf.TensorSpec([None], tf.float32)
    ds = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=(x, x))
    with pytest.raises(ValueError, match="different length need padded_shapes"):
        ds.apply(tfmixup.two_streams(tfmixup.MixUp(), 4))


def test_without_padded_shapes_lengths_that_differ_raise():
    ds = ragged().apply(tfmixup.two_streams(mixer(), 4))
    with pytest.raises(tf.errors.InvalidArgumentError, match="different shapes"):
        list(ds)


def test_batches_of_different_length_mixed_by_hand_raise():
    one, other = (np.ones([SIZE, n], np.float32) for n in (5, 6))
    with pytest.raises(ValueError, match=r"shape \(4, 6\) is not \(4, 5\)"):
        tfmixup.MixUp().apply((one, Y[0]), (other, Y[1]), params())
    batches = ragged(LENGTHS[:8]).padded_batch(4)
    zipped = tf.data.Dataset.zip((batches, batches.skip(1)))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"different shapes\. Zip"):
        list(zipped.map(mixer().pair))


def test_the_shorter_of_two_batches_is_padded_with_the_value_too():
    def lengths():
        for length in [1, 3] * 4:
            yield np.ones(length, "float32"), 0.0

    spec = tf.TensorSpec([None]), tf.TensorSpec([])
    dataset = tf.data.Dataset.from_generator(lengths, output_signature=spec)
    mixer = tfmixup.MixUp(0, jit_compile=False)  # shows the first of both
    stage = tfmixup.two_streams(
        mixer, 1, padded_shapes=([None], []), padding_values=(-7.0, 0.0), seed=1
    )
    seen = [x.numpy().ravel().tolist() for x, _ in dataset.apply(stage)]
    assert [1.0, -7.0, -7.0] in seen
    assert {value for x in seen for value in x} == {1.0, -7.0}
