"""BetweenClass: the paper's formula, in NumPy and SciPy, written apart from it."""

import dataclasses

import numpy as np
import pytest
import scipy.signal
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup
from tfmixup.mixers import loudness

RATE = 16_000
LAM = np.array([0.0, 0.05, 0.3, 0.5, 0.77, 1.0], np.float32)
SIZE = len(LAM)
Y = (np.eye(SIZE, dtype="float32"), np.eye(SIZE, dtype="float32")[::-1])
JIT = [True, False, "auto"]


def params(lam=LAM):
    return tfmixup.MixUpParams(lam=tf.constant(lam, tf.float32))


def a_weighting_db(frequency):
    """A(f) of IEC 61672 from its four poles: an analogue filter, in dB."""
    poles = -2 * np.pi * np.repeat([20.6, 107.7, 737.9, 12194.0], [2, 1, 1, 2])
    _, reply = scipy.signal.freqs_zpk(
        [0, 0, 0, 0], poles, (2 * np.pi * 12194.0) ** 2, 2 * np.pi * frequency
    )
    with np.errstate(divide="ignore"):
        return np.maximum(20 * np.log10(np.abs(reply)) + 2.0, -80)


def level(wave, rate=RATE):
    """G of one waveform, in dB, window by window."""
    wave = np.asarray(wave, np.float64)
    n = {8000: 1024, 16_000: 2048, 44_100: 4096, 48_000: 4096}[rate]
    wave = np.concatenate([wave, np.zeros(max(n - len(wave), 0))])
    weights = 10 ** (a_weighting_db(np.arange(n // 2 + 1) * rate / n) / 10)
    window = scipy.signal.get_window("hann", n, fftbins=True)
    powers = [
        np.sum(weights * np.abs(np.fft.rfft(window * wave[start : start + n])) ** 2)
        for start in range(0, len(wave) - n + 1, n // 2)
    ]
    return 10 * np.log10(max(*powers, 1e-8))


def mixed_by_hand(first, second, lam, scale=1.0):
    """x of the paper, in float64, example by example."""
    rows = []
    for one, other, r in zip(first, second, lam.astype(np.float64)):
        one, other = one.astype(np.float64), other.astype(np.float64)
        if r in (0.0, 1.0):
            rows.append(one if r else other)
            continue
        difference = level(one / scale) - level(other / scale)
        p = 1 / (1 + 10 ** (difference / 20) * (1 - r) / r)
        rows.append((p * one + (1 - p) * other) / np.sqrt(p**2 + (1 - p) ** 2))
    return np.stack(rows)


def sounds(length, seed, size=SIZE):
    """Tones of several pitches and noise, loud and soft."""
    rng = np.random.default_rng(seed)
    time = np.arange(length) / RATE
    pitch = rng.uniform(60, 7000, (size, 1))
    waves = np.sin(2 * np.pi * pitch * time) + 0.3 * rng.normal(size=(size, length))
    gain = 10 ** rng.uniform(-3, 0, (size, 1))
    return (gain * waves).astype(np.float32)


# The level


def test_a_weighting_is_that_of_the_standard_table():
    """Table 3 of IEC 61672-1, to the tenth of a dB that it gives."""
    table = {63: -26.2, 125: -16.1, 250: -8.6, 500: -3.2, 1000: 0.0, 2000: 1.2}
    table |= {4000: 1.0, 8000: -1.1}
    for hz, decibels in table.items():
        exact = 1000 * 10 ** (round(10 * np.log10(hz / 1000)) / 10)
        assert a_weighting_db(np.array([exact]))[0] == pytest.approx(decibels, abs=0.06)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("length", [100, 2048, 5000])
def test_level_is_that_of_the_loudest_window(rate, length):
    waves = sounds(length, 1)
    got = loudness.a_weighted_level(waves, rate)
    want = [level(wave, rate) for wave in waves]
    np.testing.assert_allclose(got, want, atol=2e-3)


def test_level_of_half_the_amplitude_is_6_db_lower_and_of_silence_the_floor():
    wave = sounds(4000, 2, size=1)
    waves = np.concatenate([wave, wave / 2, 0 * wave])
    full, half, silent = np.asarray(loudness.a_weighted_level(waves, RATE))
    assert full - half == pytest.approx(20 * np.log10(2), abs=1e-3)
    assert silent == pytest.approx(-80, abs=1e-3)


def test_level_of_padded_time_is_the_same():
    """Whole windows of zeros are never the loudest."""
    waves = sounds(4096, 3)
    longer = np.pad(waves, [[0, 0], [0, 4096]])
    got = loudness.a_weighted_level(longer, RATE)
    # Windows that reach into the padding hear less, never more.
    want = loudness.a_weighted_level(waves, RATE)
    np.testing.assert_allclose(got, want, atol=0.5)


def test_window_is_the_power_of_two_nearest_to_a_tenth_of_a_second():
    lengths = {1000: 128, 8000: 1024, 16_000: 2048, 22_050: 2048, 44_100: 4096}
    for rate, length in lengths.items():
        assert loudness.window_length(rate) == length


# The mixture


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("length", [500, 6000])
def test_mixture_is_the_formula(jit, length):
    mixer = tfmixup.BetweenClass(RATE, jit_compile=jit)
    first, second = sounds(length, 4), sounds(length, 5)
    x, y = mixer.apply((first, Y[0]), (second, Y[1]), params())
    np.testing.assert_allclose(x, mixed_by_hand(first, second, LAM), atol=2e-4)
    lam = LAM[:, None]
    np.testing.assert_allclose(y, lam * Y[0] + (1 - lam) * Y[1], atol=1e-6)


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("dtype", ["int16", "int32", "int64"])
def test_pcm_is_cast_and_never_wraps(jit, dtype):
    loud = np.resize(np.array([32767, -32768], dtype), (SIZE, 4000))
    second = (sounds(4000, 6) * 20_000).clip(-32768, 32767).astype(dtype)
    mixer = tfmixup.BetweenClass(RATE, jit_compile=jit)
    for one, other in ((loud, second), (loud, loud)):
        x, _ = mixer.apply((one, Y[0]), (other, Y[1]), params())
        want = mixed_by_hand(one, other, LAM, scale=2**15)
        np.testing.assert_allclose(x, want, rtol=1e-3, atol=2)
        assert x.dtype == tf.float32
    # In step, two sounds of full scale add up beyond 16 bits.
    assert np.abs(x).max() > 40_000


@pytest.mark.parametrize("jit", [True, False])
def test_equally_loud_whatever_their_level(jit):
    """A sound 40 dB softer than the other gives the same mixture but for its gain."""
    one, other = sounds(4000, 7), sounds(4000, 8)
    mixer = tfmixup.BetweenClass(RATE, jit_compile=jit)
    x, _ = mixer.apply((one, Y[0]), (other, Y[1]), params())
    soft, _ = mixer.apply((one / 100, Y[0]), (other, Y[1]), params())
    for a, b, r in zip(x.numpy(), soft.numpy(), LAM):
        if 0 < r < 1:
            cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert cosine == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("jit", [True, False])
def test_silence_gives_no_nan(jit):
    wave, silence = sounds(3000, 9), np.zeros([SIZE, 3000], np.float32)
    mixer = tfmixup.BetweenClass(RATE, jit_compile=jit)
    for one, other in ((wave, silence), (silence, wave), (silence, silence)):
        x, _ = mixer.apply((one, Y[0]), (other, Y[1]), params())
        assert np.isfinite(x).all()
        np.testing.assert_allclose(x, mixed_by_hand(one, other, LAM), atol=1e-5)
        np.testing.assert_array_equal(x[-1], one[-1])
        np.testing.assert_array_equal(x[0], other[0])


@pytest.mark.parametrize("jit", [True, False])
def test_what_is_not_mixed_is_not_touched_by_a_broken_partner(jit):
    wave = sounds(3000, 10)
    mixer = tfmixup.BetweenClass(RATE, probability=0.5, jit_compile=jit)
    ones = params(np.ones(SIZE))
    x, y = mixer.apply((wave, Y[0]), (wave * np.nan, Y[1]), ones)
    np.testing.assert_array_equal(x, wave)
    np.testing.assert_array_equal(y, Y[0])


def test_a_batch_may_share_lambda():
    one, other = sounds(3000, 11), sounds(3000, 12)
    mixer = tfmixup.BetweenClass(RATE, per="batch")
    x, _ = mixer.apply((one, Y[0]), (other, Y[1]), params([0.3]))
    want = mixed_by_hand(one, other, np.full(SIZE, 0.3, np.float32))
    np.testing.assert_allclose(x, want, atol=2e-4)
    assert mixer.sample(SIZE, [1, 2]).lam.shape == (1,)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_one_channel_and_other_dtypes(dtype):
    one, other = sounds(3000, 13), sounds(3000, 14)
    mixer = tfmixup.BetweenClass(RATE, dtype=dtype)
    x, _ = mixer.apply((one[..., None], Y[0]), (other[..., None], Y[1]), params())
    assert (x.shape, x.dtype) == ((SIZE, 3000, 1), dtype)
    want = mixed_by_hand(one, other, LAM)
    np.testing.assert_allclose(tf.cast(x[..., 0], tf.float32), want, atol=2e-2)


# Lambda, pipelines


def test_lambda_is_uniform_by_default():
    """Kolmogorov and Smirnov's test at a false-alarm rate of 1e-4, seed fixed."""
    lam = tfmixup.BetweenClass(RATE).sample(20_000, [1, 2]).lam
    assert scipy.stats.kstest(np.asarray(lam), "uniform").pvalue > 1e-4


def test_lambda_of_another_distribution_and_range():
    mixer = tfmixup.BetweenClass(
        RATE, distribution=tfp.distributions.Beta(5.0, 1.0), lam_range=(0.5, 0.9)
    )
    lam = np.asarray(mixer.sample(1000, [1, 2]).lam)
    assert (lam.min() >= 0.5, lam.max() <= 0.9, lam.mean() > 0.7) == (True,) * 3


def dataset(length=3000, size=14):
    waves = sounds(length, 15, size=size)
    return tf.data.Dataset.from_tensor_slices((waves, np.arange(size) % 3))


@pytest.mark.parametrize("remainder", [True, False])
def test_two_streams_repeat_and_are_static(remainder):
    mixer = tfmixup.BetweenClass(RATE, num_classes=3)
    ds = dataset().apply(
        tfmixup.two_streams(mixer, 4, seed=3, drop_remainder=remainder)
    )
    assert ds.element_spec[0].shape == (4 if remainder else None, 3000)
    assert ds.element_spec[1].shape == (4 if remainder else None, 3)
    runs = [
        [np.concatenate([x, y], 1) for x, y in ds]
        for ds in (
            ds,
            dataset().apply(
                tfmixup.two_streams(mixer, 4, seed=3, drop_remainder=remainder)
            ),
        )
    ]
    assert len(runs[0]) == (3 if remainder else 4)
    for one, other in zip(*runs):
        np.testing.assert_array_equal(one, other)


def test_in_batch_map_and_pair():
    mixer = tfmixup.BetweenClass(RATE, num_classes=3)
    batches = dataset().batch(4)
    zipped = tf.data.Dataset.zip((batches, batches))
    for ds in (
        batches.apply(tfmixup.in_batch(mixer, seed=1)),
        batches.map(mixer),
        zipped.map(mixer.pair),
    ):
        assert ds.element_spec[0].shape == (None, 3000)
        assert [x.shape[0] for x, _ in ds] == [4, 4, 4, 2]
        for x, y in ds:
            assert np.isfinite(x).all()
            np.testing.assert_allclose(np.sum(y, axis=1), 1, atol=1e-6)


def test_padded_batches_of_dicts_with_lengths():
    def generate():
        for n in (3000, 2500, 100, 4100, 2048, 7):
            yield {"audio": sounds(n, n, size=1)[0], "label": n % 3, "length": n}

    spec = {
        "audio": tf.TensorSpec([None], tf.float32),
        "label": tf.TensorSpec([], tf.int64),
        "length": tf.TensorSpec([], tf.int32),
    }
    ds = tf.data.Dataset.from_generator(generate, output_signature=spec)
    mixer = tfmixup.BetweenClass(RATE, num_classes=3, length_keys=("length",))
    mixed = ds.padded_batch(3).apply(tfmixup.in_batch(mixer, seed=1))
    assert mixed.element_spec["audio"].shape == (None, None)
    for batch, longest in zip(mixed, (3000, 4100)):
        assert batch["audio"].shape == (3, longest)
        assert np.isfinite(batch["audio"]).all()
        assert batch["length"].dtype == tf.int32


def test_validation_data_are_only_cast_and_encoded():
    mixer = tfmixup.BetweenClass(RATE, num_classes=3)
    plain = dataclasses.replace(mixer, alpha=0)
    for (x, y), (x0, y0) in zip(dataset().batch(4).map(plain), dataset().batch(4)):
        np.testing.assert_array_equal(x, x0)
        np.testing.assert_array_equal(y, np.eye(3)[y0])


def test_it_is_a_value():
    mixer = tfmixup.BetweenClass(RATE, alpha=0.5)
    assert eval(repr(mixer), {"BetweenClass": tfmixup.BetweenClass}) == mixer
    assert mixer == tfmixup.BetweenClass(sample_rate=RATE, alpha=0.5)
    assert mixer != tfmixup.BetweenClass(8000, alpha=0.5)
    assert hash(mixer) == hash(tfmixup.BetweenClass(RATE, alpha=0.5))


# Bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, TypeError, "sample_rate"),
        ({"sample_rate": 0.2}, TypeError, r"BetweenClass: sample_rate must be an int"),
        ({"sample_rate": 1}, ValueError, r"sample_rate must be at least 1000, got 1"),
        ({"sample_rate": RATE, "alpha": -1}, ValueError, r"alpha must be finite"),
        ({"sample_rate": RATE, "dtype": "uint8"}, ValueError, r"dtype='uint8' cannot"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        tfmixup.BetweenClass(**arguments)


@pytest.mark.parametrize(
    ("shape", "dtype", "error", "message"),
    [
        ([100, 64], "float32", ValueError, r"float32\(4, 100, 64\). Mix before the sp"),
        ([100, 2], "int16", ValueError, r"mean several channels into one"),
        ([8, 8, 3], "float32", ValueError, r"mixes waveforms \(batch, time\)"),
        ([], "float32", ValueError, r"mixes waveforms \(batch, time\)"),
        ([100], "uint8", TypeError, r"signed integers, got uint8\(4, 100\). Unsigned"),
        ([100], "bool", TypeError, r"features must be numbers, got bool"),
    ],
    ids=str,
)
def test_what_is_no_waveform_is_refused_when_the_pipeline_is_built(
    shape, dtype, error, message
):
    x = tf.zeros([16, *shape], dtype)
    ds = tf.data.Dataset.from_tensor_slices((x, tf.zeros([16])))
    mixer = tfmixup.BetweenClass(RATE)
    with pytest.raises(error, match=rf"tfmixup\.two_streams: .*{message}"):
        ds.apply(tfmixup.two_streams(mixer, 4))
    with pytest.raises(error):
        ds.batch(4).apply(tfmixup.in_batch(mixer))
