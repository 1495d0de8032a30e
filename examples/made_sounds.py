"""Makes sounds by formulas, without recordings: tones, chirps and beats in noise."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

SAMPLE_RATE = 8000
LENGTH = 4000  # samples of the longest sound
NAMES = ["steady", "rising", "falling", "vibrato", "beating", "two tones", "up, down"]
NAMES += ["pulses"]


def sound(kind: int, rng: np.random.Generator) -> np.ndarray:
    """Makes one sound: int16 (T,) PCM, of random pitch, level and length."""
    length = int(rng.integers(LENGTH // 2, LENGTH + 1))
    time = np.linspace(0, 1, length)
    seconds = length / SAMPLE_RATE
    pitch = rng.uniform(400, 1600)
    width = rng.uniform(0.2, 0.5)  # how far the pitch changes, as a share of it
    rate = rng.uniform(4, 8)  # vibrato, beats and pulses per second
    bend = [
        0 * time,
        width * (time - 0.5),
        -width * (time - 0.5),
        0.15 * np.sin(2 * np.pi * rate * seconds * time),
        0 * time,
        0 * time,
        width * (0.5 - np.abs(2 * time - 1)),
        0 * time,
    ][kind]
    phase = 2 * np.pi * pitch * np.cumsum(1 + bend) / SAMPLE_RATE
    wave = np.sin(phase)
    beat = np.sin(np.pi * rate * seconds * time)
    if kind == NAMES.index("beating"):
        wave *= np.abs(beat)
    if kind == NAMES.index("two tones"):
        wave = (wave + np.sin(phase * rng.uniform(1.2, 1.5))) / 2
    if kind == NAMES.index("pulses"):
        wave *= beat > 0
    # The noise is about as loud as the sound. The level of both is drawn from 0 dB down
    # to -30 dB.
    wave = 0.3 * wave + 0.3 * rng.uniform(0.5, 1.5) * rng.normal(size=length)
    level = 10 ** (rng.uniform(-30, 0) / 20)
    pcm = np.round(wave * level * 2**14)
    return pcm.clip(-(2**15), 2**15 - 1).astype(np.int16)


def dataset(examples: int, seed: int) -> tf.data.Dataset:
    """A dataset of (waveform, label): int16 (T,) of differing T, and int64 ()."""
    rng = np.random.default_rng(seed)
    labels = np.arange(examples) % len(NAMES)
    sounds = [sound(int(label), rng) for label in labels]
    spec = (tf.TensorSpec([None], tf.int16), tf.TensorSpec([], tf.int64))
    ds = tf.data.Dataset.from_generator(
        lambda: zip(sounds, labels), output_signature=spec
    )
    return ds.cache().apply(tf.data.experimental.assert_cardinality(examples))
