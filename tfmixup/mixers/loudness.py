"""How loud a sound is to the ear: A-weighted level in dB."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

__all__ = ["FLOOR", "a_weighted_level", "window_length"]

# In dB: of the level, since silence has none, and of the weighting, which is 0 at 0 Hz.
# That of the authors of between-class learning.
FLOOR = -80.0
_SECONDS = 0.1


def window_length(sample_rate: int) -> int:
    """Samples in a window: the power of two nearest to 0.1 s; 2048 at 16 kHz."""
    wanted = _SECONDS * sample_rate
    lower = 2 ** math.floor(math.log2(wanted))
    return lower if wanted - lower < 2 * lower - wanted else 2 * lower


def a_weighted_level(waveform: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """The loudest moment's A-weighted level, in dB.

        G = max_t 10·log₁₀ Σ_f A(f)·|X_t(f)|²

    over Hann windows of about 0.1 s that overlap by half, with the A-weighting of
    IEC 61672 (0 dB at 1 kHz); neither is below −80 dB, so that silence has a level.
    That is relative: a sine wave of 1 kHz and amplitude 1 has about 56 dB at 16 kHz.

    Args:
      waveform: float32 (B, T); one shorter than a window is padded with zeros.
      sample_rate: samples in a second.

    Returns:
      float32 (B,).

    Examples:
      >>> time = tf.range(16000, dtype=tf.float32) / 16000
      >>> tone = tf.sin(2 * 3.14159265 * 1000 * time)[tf.newaxis]
      >>> round(float(a_weighted_level(tone, 16000)[0]), 1)
      55.9
    """
    length = window_length(sample_rate)
    short = tf.maximum(length - tf.shape(waveform)[1], 0)
    if waveform.shape[1] is not None:
        short = max(length - waveform.shape[1], 0)
    padded = tf.pad(waveform, [[0, 0], [0, short]])
    frames = tf.signal.frame(padded, length, length // 2)
    spectrum = tf.signal.rfft(frames * _hann(length))
    power = tf.math.real(spectrum) ** 2 + tf.math.imag(spectrum) ** 2
    total = tf.reduce_sum(power * _a_weighting(length, sample_rate), axis=-1)
    loudest = tf.reduce_max(total, axis=-1)
    return 10 / math.log(10) * tf.math.log(tf.maximum(loudest, 10 ** (FLOOR / 10)))


def _hann(length: int) -> np.ndarray:
    phase = 2 * np.pi * np.arange(length) / length
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


def _a_weighting(length: int, sample_rate: int) -> np.ndarray:
    """Gain of power at the frequencies of `rfft`: the formula of IEC 61672, Annex E."""
    square = np.fft.rfftfreq(length, 1 / sample_rate) ** 2
    amplitude = (12194.0**2 * square**2) / (
        (square + 20.6**2)
        * np.sqrt((square + 107.7**2) * (square + 737.9**2))
        * (square + 12194.0**2)
    )
    # +2.00 dB make it 0 dB at 1 kHz.
    power = amplitude**2 * 10 ** (2.0 / 10)
    return np.maximum(power, 10 ** (FLOOR / 10)).astype(np.float32)
