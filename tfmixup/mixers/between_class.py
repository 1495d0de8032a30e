"""BetweenClass: two sounds, mixed by their perceived loudness."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfmixup import checks
from tfmixup.blending import at_ends, blend, per_example
from tfmixup.elements import Parts, describe
from tfmixup.mixers.base import Recipe
from tfmixup.mixers.lam import LambdaMixer, blend_recipe
from tfmixup.mixers.mixup import MixUpParams

__all__ = ["BetweenClass", "a_weighted_level"]

# The full scale of 16 bits. TFDS decodes audio on this scale, even into int64.
_FULL_SCALE = 2.0**15


@dataclasses.dataclass(frozen=True, repr=False)
class BetweenClass(LambdaMixer):
    """Mixes two sounds so that λ is the share that is heard, and mixes their labels.

        p = 1 / (1 + 10^((G_i − G_j)/20) · (1 − λ)/λ)
        x = (p·x_i + (1 − p)·x_j) / √(p² + (1 − p)²)
        y = λ·y_i + (1 − λ)·y_j

    λ is uniform on [0, 1]. G is the A-weighted level in dB of the sound's loudest tenth
    of a second. The formula makes a loud and a quiet sound equally loud before it mixes
    them. The energies of two sounds add up, not their amplitudes. Dividing by the root
    gives the mixture the energy of one sound.

    The level is computed as in the authors' code: Hann windows of the power of two
    nearest to 0.1 s (2048 samples at 16 kHz, 4096 at 44.1 kHz), overlapping by half,
    A-weighting of IEC 61672, floor −80 dB, with waveforms on the scale [−1, 1]. Silence
    has the level of the floor and is mixed like any other sound: speech mixed with
    silence becomes very quiet at every λ < 1. The paper draws the two sounds from
    different classes. Here `two_streams` and `in_batch` choose the two sounds, of
    whatever classes.

    Args:
      sample_rate: samples in a second (Hz), at least 1000.
      alpha: λ ~ Beta(α, α), a number >= 0; 1, the default, is uniform as in the paper,
        0 means no mixing, for validation data.
      distribution: any scalar `tfp.distributions.Distribution` on [0, 1], in place of
        Beta(α, α).
      lam_range: (low, high), 0 <= low < high <= 1: the distribution truncated to that
        range.
      per: "example" for one λ per example, or "batch" for one for the whole batch.
      probability: chance that an example (or the batch) is mixed at all, in [0, 1].
      num_classes: integer labels are one-hot encoded to this many classes.
      feature_keys: keys of dict elements that hold waveforms, (B, T) or (B, T, 1):
        floats on the scale [−1, 1], or signed integers of 16 bits in any signed dtype.
      target_keys: keys of dict elements that hold targets.
      dtype: of the mixed waveforms: "float32", "float16", "bfloat16" or "float64".
        Integer PCM stays on its scale of 16 bits. Divide it by 32768 afterwards.

    Other arguments are those of `tfmixup.mixers.Options`.

    Raises:
      TypeError, ValueError: an argument is invalid; the message says which and why.

    Examples:
      >>> mixer = BetweenClass(16000, num_classes=10)
      >>> waveforms, labels = tf.random.normal([8, 4000]), tf.range(8)
      >>> mixed, mixed_labels = mixer(waveforms, labels)
      >>> mixed.shape, mixed_labels.shape
      (TensorShape([8, 4000]), TensorShape([8, 10]))

    References:
      Tokozume et al., "Learning from Between-class Examples for Deep Sound
      Recognition", 2018, arXiv 1711.10282
    """

    sample_rate: int
    alpha: float = dataclasses.field(default=1.0, kw_only=True)
    feature_keys: tuple[str, ...] = dataclasses.field(default=("audio",), kw_only=True)

    integers_are_quantities: ClassVar[bool] = True

    def check_arguments(self) -> None:
        """Refuses invalid arguments."""
        super().check_arguments()
        sample_rate = checks.integer("sample_rate", self.sample_rate, least=1000)
        object.__setattr__(self, "sample_rate", sample_rate)
        if self.dtype == "uint8":
            raise ValueError(
                "dtype='uint8' cannot hold waveforms, which have a sign. Leave it out."
            )

    def sample(
        self,
        batch_size: int | tf.Tensor,
        seed: tf.Tensor,
        num_batches: int | None = None,
    ) -> MixUpParams:
        """Draws λ for a batch, or for `num_batches` at once, as `MixUp.sample` does."""
        return MixUpParams(self.draw_lam(batch_size, seed, num_batches))

    def recipe(self, first: Parts, second: Parts, params: MixUpParams) -> Recipe:
        """Mixes waveforms by their levels, and labels by λ, the share that is heard."""

        def feature(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
            levels = self._level(first), self._level(second)
            p = _amplitude(*levels, params.lam)
            compute = tf.float64 if self.dtype == "float64" else tf.float32
            mixed = blend(first, second, p, compute)
            p = tf.cast(p, compute)
            energy = p**2 + (1 - p) ** 2
            return tf.cast(mixed / per_example(tf.sqrt(energy), mixed), self.dtype)

        return blend_recipe(self, params.lam, feature=feature)

    def check_spec(self, parts: Parts) -> None:
        """Refuses features that are not waveforms."""
        for spec in tf.nest.flatten(parts.features):
            self._check_waveform(spec)

    def _check_waveform(self, spec: tf.TensorSpec) -> None:
        came = describe(spec)
        rank = spec.shape.rank
        if not (rank == 2 or (rank == 3 and spec.shape[2] == 1)):
            raise ValueError(
                f"{type(self).__name__} mixes waveforms (batch, time) or "
                f"(batch, time, 1), whose loudness it measures, got {came}. Mix before "
                "the spectrogram is made, mean several channels into one, or use "
                "tfmixup.MixUp."
            )
        if spec.dtype.is_unsigned:
            raise TypeError(
                f"waveforms must be floats or signed integers, got {came}. "
                "Unsigned PCM is silent at half its range: "
                "tf.cast(x, tf.float32) / 128 - 1."
            )

    def _level(self, waveform: tf.Tensor) -> tf.Tensor:
        scale = _FULL_SCALE if waveform.dtype.is_integer else 1.0
        wave = tf.cast(waveform, tf.float32) / scale
        if wave.shape.rank == 3:
            wave = tf.squeeze(wave, -1)
        return a_weighted_level(wave, self.sample_rate)


def _amplitude(first: tf.Tensor, second: tf.Tensor, lam: tf.Tensor) -> tf.Tensor:
    """The first sound's share p of the amplitude: float32 (B,).

    Both sides of the fraction in the paper's formula are multiplied by
    λ / 10^((G_i − G_j)/40). Without this factor (1 − λ)/λ would be infinite at λ = 0.

    Args:
      first: the first sound's level G_i in dB, float32 (B,).
      second: the second sound's level G_j in dB, float32 (B,).
      lam: float32 (B,) or (1,).
    """
    ratio = tf.pow(10.0, (first - second) / 40)
    mine, other = lam / ratio, (1 - lam) * ratio
    p = mine / (mine + other)
    # p is exactly 1 at λ = 1 and exactly 0 at λ = 0, even where a level is NaN.
    return at_ends(lam, tf.ones_like(p), tf.zeros_like(p), p)


# The floor in dB, as in the authors' code. Without a floor, silence would have the
# level −∞ dB, and so would the A-weighting at 0 Hz.
_FLOOR = -80.0
_SECONDS = 0.1


def _window_length(sample_rate: int) -> int:
    """Samples in a window: the power of two nearest to 0.1 s, 2048 at 16 kHz."""
    wanted = _SECONDS * sample_rate
    lower = 2 ** math.floor(math.log2(wanted))
    return lower if wanted - lower < 2 * lower - wanted else 2 * lower


def a_weighted_level(waveform: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """The A-weighted level of a sound's loudest window, in dB.

        G = max_t 10·log₁₀ Σ_f A(f)·|X_t(f)|²

    t counts Hann windows of about 0.1 s that overlap by half. A is the A-weighting of
    IEC 61672 (0 dB at 1 kHz). Neither A nor G is below −80 dB, so silence has a level
    too. The level is relative: a sine wave of 1 kHz and amplitude 1 has about 56 dB at
    a sample rate of 16 kHz.

    Args:
      waveform: float32 (B, T); a waveform shorter than a window is padded with zeros.
      sample_rate: samples in a second (Hz).

    Returns:
      float32 (B,).

    Examples:
      >>> time = tf.range(16000, dtype=tf.float32) / 16000
      >>> tone = tf.sin(2 * 3.14159265 * 1000 * time)[tf.newaxis]
      >>> round(float(a_weighted_level(tone, 16000)[0]), 1)
      55.9
    """
    length = _window_length(sample_rate)
    short = tf.maximum(length - tf.shape(waveform)[1], 0)
    if waveform.shape[1] is not None:
        short = max(length - waveform.shape[1], 0)
    padded = tf.pad(waveform, [[0, 0], [0, short]])
    frames = tf.signal.frame(padded, length, length // 2)
    spectrum = tf.signal.rfft(frames * _hann(length))
    power = tf.math.real(spectrum) ** 2 + tf.math.imag(spectrum) ** 2
    total = tf.reduce_sum(power * _a_weighting(length, sample_rate), axis=-1)
    loudest = tf.reduce_max(total, axis=-1)
    return 10 / math.log(10) * tf.math.log(tf.maximum(loudest, 10 ** (_FLOOR / 10)))


def _hann(length: int) -> np.ndarray:
    phase = 2 * np.pi * np.arange(length) / length
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


def _a_weighting(length: int, sample_rate: int) -> np.ndarray:
    """A(f), the gain of power at the frequencies of `rfft`, by IEC 61672, Annex E."""
    square = np.fft.rfftfreq(length, 1 / sample_rate) ** 2
    amplitude = (12194.0**2 * square**2) / (
        (square + 20.6**2)
        * np.sqrt((square + 107.7**2) * (square + 737.9**2))
        * (square + 12194.0**2)
    )
    # Adding 2.00 dB makes the gain 0 dB at 1 kHz.
    power = amplitude**2 * 10 ** (2.0 / 10)
    return np.maximum(power, 10 ** (_FLOOR / 10)).astype(np.float32)
