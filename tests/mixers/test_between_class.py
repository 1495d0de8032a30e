"""BetweenClass: the paper's formula, in NumPy and SciPy, written apart from it."""

import numpy as np
import pytest
import scipy.signal
import scipy.stats
import tensorflow as tf

import tfmixup
from tests.reference import assert_follows, truncated

RATE = 16_000
LAM = np.array([0.0, 0.05, 0.3, 0.5, 0.77, 1.0], np.float32)
SIZE = len(LAM)
Y = (np.eye(SIZE, dtype="float32"), np.eye(SIZE, dtype="float32")[::-1])
JIT = [True, False]


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
    # The power of two nearest to a tenth of a second.
    windows = {1000: 128, 16_000: 2048, 22_050: 2048, 44_100: 4096}
    n = windows[rate]
    wave = np.concatenate([wave, np.zeros(max(n - len(wave), 0))])
    weights = 10 ** (a_weighting_db(np.arange(n // 2 + 1) * rate / n) / 10)
    window = scipy.signal.get_window("hann", n, fftbins=True)
    powers = [
        np.sum(weights * np.abs(np.fft.rfft(window * wave[start : start + n])) ** 2)
        for start in range(0, len(wave) - n + 1, n // 2)
    ]
    return 10 * np.log10(max(*powers, 1e-8))


def mixed_by_hand(first, second, lam=LAM, scale=1.0, rate=RATE):
    """x of the paper, in float64, example by example."""
    rows = []
    for one, other, r in zip(first, second, lam.astype(np.float64)):
        one, other = one.astype(np.float64), other.astype(np.float64)
        if r in (0.0, 1.0):
            rows.append(one if r else other)
            continue
        difference = level(one / scale, rate) - level(other / scale, rate)
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


def test_the_reference_has_the_a_weighting_of_the_standard_table():
    """Table 3 of IEC 61672-1, to the tenth of a dB that it gives."""
    table = {63: -26.2, 125: -16.1, 250: -8.6, 500: -3.2, 1000: 0.0, 2000: 1.2}
    table |= {4000: 1.0, 8000: -1.1}
    for hz, decibels in table.items():
        exact = 1000 * 10 ** (round(10 * np.log10(hz / 1000)) / 10)
        assert a_weighting_db(np.array([exact]))[0] == pytest.approx(decibels, abs=0.06)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize(
    ("rate", "length"),
    [(16_000, 500), (16_000, 6000), (1000, 300), (22_050, 5000), (44_100, 9000)],
)
def test_mixture_is_the_formula(rate, length, jit):
    mixer = tfmixup.BetweenClass(rate, jit_compile=jit)
    first, second = sounds(length, 4), sounds(length, 5)
    x, y = mixer.apply((first, Y[0]), (second, Y[1]), params())
    np.testing.assert_allclose(x, mixed_by_hand(first, second, rate=rate), atol=2e-4)
    lam = LAM[:, None]
    np.testing.assert_allclose(y, lam * Y[0] + (1 - lam) * Y[1], atol=1e-6)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("dtype", ["int16", "int64"])
def test_pcm_is_cast_and_never_wraps(jit, dtype):
    loud = np.resize(np.array([32767, -32768], dtype), (SIZE, 4000))
    second = (sounds(4000, 6) * 20_000).clip(-32768, 32767).astype(dtype)
    mixer = tfmixup.BetweenClass(RATE, jit_compile=jit)
    for one, other in ((loud, second), (loud, loud)):
        x, _ = mixer.apply((one, Y[0]), (other, Y[1]), params())
        want = mixed_by_hand(one, other, scale=2**15)
        np.testing.assert_allclose(x, want, rtol=1e-3, atol=2)
        assert x.dtype == tf.float32
    # In step, two sounds of full scale add up beyond 16 bits.
    assert np.abs(x).max() > 40_000
    # Silence has the level of the floor on the scale of 16 bits, too.
    x, _ = mixer.apply((second, Y[0]), (0 * second, Y[1]), params())
    want = mixed_by_hand(second, 0 * second, scale=2**15)
    np.testing.assert_allclose(x, want, rtol=1e-2)


def test_equally_loud_whatever_their_level():
    """A sound 40 dB softer than the other gives the same mixture but for its gain."""
    one, other = sounds(4000, 7), sounds(4000, 8)
    mixer = tfmixup.BetweenClass(RATE)
    x, _ = mixer.apply((one, Y[0]), (other, Y[1]), params())
    soft, _ = mixer.apply((one / 100, Y[0]), (other, Y[1]), params())
    for a, b, r in zip(x.numpy(), soft.numpy(), LAM):
        if 0 < r < 1:
            cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert cosine == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("jit", JIT)
def test_silence_gives_no_nan(jit):
    wave, silence = sounds(3000, 9), np.zeros([SIZE, 3000], np.float32)
    mixer = tfmixup.BetweenClass(RATE, jit_compile=jit)
    for one, other in ((wave, silence), (silence, wave), (silence, silence)):
        x, _ = mixer.apply((one, Y[0]), (other, Y[1]), params())
        assert np.isfinite(x).all()
        np.testing.assert_allclose(x, mixed_by_hand(one, other), atol=1e-5)
        np.testing.assert_array_equal(x[-1], one[-1])
        np.testing.assert_array_equal(x[0], other[0])


@pytest.mark.parametrize("jit", JIT)
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
    want = mixed_by_hand(one, other)
    np.testing.assert_allclose(tf.cast(x[..., 0], tf.float32), want, atol=2e-2)


def test_lambda_is_uniform_by_default_and_else_what_is_asked_for():
    assert_follows(tfmixup.BetweenClass(RATE).sample(20_000, [1, 2]).lam, "uniform")
    mixer = tfmixup.BetweenClass(RATE, alpha=3, lam_range=(0.5, 0.9))
    lam = mixer.sample(20_000, [1, 2]).lam
    assert_follows(lam, truncated(scipy.stats.beta(3, 3).cdf, 0.5, 0.9))


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
