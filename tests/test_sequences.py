"""Waveforms, spectrograms and label sequences: padding, lengths, integer PCM."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tfmixup.mixers import compiled

LAM = np.array([0.0, 0.25, 0.5, 1.0], np.float32)
SIZE = len(LAM)
Y = (np.eye(SIZE, dtype="float32"), np.eye(SIZE, dtype="float32")[::-1])
JIT = [True, False, "auto"]


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
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_length_is_the_longer_of_what_is_heard(jit, dtype):
    first, second = np.array([[9, 9, 4, 2], [8, 2, 7, 6]], dtype)
    x = np.ones([SIZE, 9], np.float32)
    mix = mixer(jit_compile=jit, num_classes=None)
    one = {"audio": x, "length": first, "label": Y[0]}
    other = {"audio": x, "length": second, "label": Y[1]}
    got = mix.apply(one, other, params())["length"]
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, [8, 9, 7, 2])
    shared = mix.apply(one, other, params([0.5]))["length"]
    np.testing.assert_array_equal(shared, np.maximum(first, second))


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("extra", [(), (1,)], ids=str)
def test_padding_mask_is_of_whatever_is_heard(jit, extra):
    rng = np.random.default_rng(1)
    masks = rng.integers(0, 2, (2, SIZE, 6, *extra)).astype(bool)
    x = np.ones([SIZE, 6], np.float32)
    mix = mixer(jit_compile=jit, num_classes=None)
    got = mix.apply(
        ({"audio": x, "length": masks[0]}, Y[0]),
        ({"audio": x, "length": masks[1]}, Y[1]),
        params(),
    )[0]["length"]
    want = [masks[1][0], masks[0][1] | masks[1][1], masks[0][2] | masks[1][2]]
    np.testing.assert_array_equal(got, [*want, masks[0][3]])


def test_lengths_of_validation_data_stay():
    plain = dataclasses.replace(mixer(), alpha=0)
    batches = ragged().padded_batch(4)
    for got, want in zip(batches.map(plain), batches):
        np.testing.assert_array_equal(got["length"], want["length"])
        np.testing.assert_array_equal(got["audio"], want["audio"])


@pytest.mark.parametrize("dtype", ["float32", "string"])
def test_lengths_of_another_dtype_are_refused(dtype):
    x = {"audio": tf.zeros([8, 5]), "length": tf.fill([8], tf.zeros([], dtype))}
    ds = tf.data.Dataset.from_tensor_slices((x, tf.zeros([8])))
    message = r"tfmixup\.two_streams: length_keys name integer lengths.* 'length' is "
    with pytest.raises(TypeError, match=message + dtype):
        ds.apply(tfmixup.two_streams(mixer(num_classes=None), 4))


def test_length_keys_that_are_not_there_are_named():
    with pytest.raises(KeyError, match="no key 'n', which length_keys"):
        ragged().padded_batch(4).map(mixer(length_keys=("n",)))
    with pytest.raises(TypeError, match=r"length_keys=.* needs elements or features"):
        mixer()(tf.zeros([4, 5]), tf.range(4) % 3)


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


@pytest.mark.parametrize("features", [None, 4])
def test_in_batch_of_bucketed_batches(features):
    batches = ragged(features=features).bucket_by_sequence_length(
        lambda e: e["length"],
        bucket_boundaries=[6],
        bucket_batch_sizes=[3, 3],
        drop_remainder=True,
    )
    mixed = batches.apply(tfmixup.in_batch(mixer(), seed=2))
    rest = () if features is None else (features,)
    assert mixed.element_spec["audio"].shape == (None, None, *rest)
    sizes = [got["audio"].shape[1] for got in mixed]
    assert len(sizes) >= 2
    assert len(set(sizes)) > 1
    assert all(got["length"].numpy().max() <= got["audio"].shape[1] for got in mixed)


# Two streams of different length


@pytest.mark.parametrize("remainder", [True, False])
@pytest.mark.parametrize("features", [None, 2])
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
        (None, 0, 0),
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


def test_lengths_that_vary_are_not_compiled_again_and_again(monkeypatch):
    seen = []
    function = compiled._function

    def spy(mixer, body, jit_compile, *rest, **named):
        seen.append(jit_compile)
        return function(mixer, body, jit_compile, *rest, **named)

    monkeypatch.setattr(compiled, "_function", spy)
    batches = ragged().padded_batch(2)
    assert len(list(batches.apply(tfmixup.in_batch(mixer())))) == 5
    assert seen == [False]  # traced once, for every length
    fixed = ragged().padded_batch(2, SHAPES)
    list(fixed.apply(tfmixup.in_batch(mixer())))
    assert seen == [False, True]


# Integer PCM


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize(
    ("dtype", "extremes"),
    [
        ("int16", [-(2**15), 2**15 - 1, -1, 0]),
        ("int32", [-(2**31), 2**31 - 1, -(2**23), 2**23]),
        ("int64", [-(2**15), 2**15 - 1, -(2**62), 2**62]),
    ],
)
def test_pcm_is_cast_and_never_wraps(jit, dtype, extremes):
    lam = np.linspace(0, 1, 33, dtype=np.float32)
    first, second = (
        np.array(values, dtype).repeat(len(extremes) if i else 1)
        for i, values in enumerate((extremes * len(extremes), extremes))
    )
    one, other = (np.tile(row, (len(lam), 1)) for row in (first, second))
    y = np.zeros([len(lam), 1], np.float32)
    x, _ = tfmixup.MixUp(jit_compile=jit).apply((one, y), (other, y), params(lam))
    weight = lam[:, None].astype(np.float64)
    terms = one.astype(np.float64), other.astype(np.float64)
    want = weight * terms[0] + (1 - weight) * terms[1]
    scale = np.maximum(*np.abs(terms))
    assert x.dtype == tf.float32
    assert (np.abs(np.asarray(x, np.float64) - want) <= 4e-7 * scale).all()
