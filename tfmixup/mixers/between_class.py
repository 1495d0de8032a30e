"""BetweenClass: two sounds, mixed by how loud they are to the ear."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfmixup import checks
from tfmixup.blending import blend, per_example
from tfmixup.elements import Parts
from tfmixup.mixers import loudness
from tfmixup.mixers.lam import LambdaMixer
from tfmixup.mixers.mixup import MixUpParams

__all__ = ["BetweenClass"]

# Of 16 bits, as TFDS decodes audio, into int64 too.
_FULL_SCALE = 2.0**15


@dataclasses.dataclass(frozen=True, repr=False)
class BetweenClass(LambdaMixer):
    """Mixes two sounds so that λ is the share that is heard, and mixes their labels.

        p = 1 / (1 + 10^((G_i − G_j)/20) · (1 − λ)/λ)
        x = (p·x_i + (1 − p)·x_j) / √(p² + (1 − p)²)
        y = λ·y_i + (1 − λ)·y_j

    with λ uniform on [0, 1] and G the A-weighted level in dB of the sound's loudest
    tenth of a second: a loud and a quiet sound are made equally loud before they are
    mixed, and the mixture has the energy of one sound, since energies add up and not
    amplitudes.

    The level is computed as in the authors' code: Hann windows of the power of two
    nearest to 0.1 s (2048 samples at 16 kHz, 4096 at 44.1 kHz), overlapping by half,
    A-weighting of IEC 61672, floor −80 dB, with waveforms on the scale [−1, 1]. A sound
    of that floor, silence, is taken for a sound like others: mixed with it, speech
    becomes very quiet at every λ < 1. The paper draws the two sounds from different
    classes; which are drawn here is left to `two_streams` and `in_batch`.

    Args:
      sample_rate: samples in a second (Hz), at least 1000.
      alpha: λ ~ Beta(α, α), a number >= 0; 1, the default, is uniform as in the paper,
        0 means no mixing, for validation data.
      distribution: any scalar `tfp.distributions.Distribution` on [0, 1], in place of
        Beta(α, α).
      lam_range: (low, high), 0 <= low < high <= 1: the distribution truncated to that.
      per: "example" for one λ per example, or "batch" for one for the whole batch.
      probability: chance that an example (or the batch) is mixed at all, in [0, 1].
      num_classes: integer labels are one-hot encoded to this many classes.
      feature_keys: keys of dict elements that hold waveforms, (B, T) or (B, T, 1):
        floats on the scale [−1, 1], or signed integers of 16 bits in any signed dtype.
      target_keys: keys of dict elements that hold targets.
      dtype: of the mixed waveforms: "float32", "float16" or "bfloat16"; PCM stays on
        its scale, so divide it by 32768 afterwards.

    Other arguments are those of `Mixer`.

    Raises:
      TypeError, ValueError: an argument cannot be; the message says which and why.

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

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integer(self.name, "sample_rate", self.sample_rate, least=1000)
        if self.dtype == "uint8":
            raise ValueError(
                f"{self.name}: dtype='uint8' cannot hold waveforms, which have a sign. "
                "Leave it out."
            )

    def sample(
        self,
        batch_size: int | tf.Tensor,
        seed: tf.Tensor,
        num_batches: int | None = None,
    ) -> MixUpParams:
        """Draws λ for a batch, or for `num_batches` at once; see `MixUp.sample`."""
        return MixUpParams(
            self.draw_lam(self.draw_shape(batch_size, num_batches), seed)
        )

    def mix_features(
        self, first: tf.Tensor, second: tf.Tensor, params: MixUpParams
    ) -> tf.Tensor:
        """Mixes one waveform by p; what p is, λ and the two levels tell."""
        p = self._amplitude(self._level(first), self._level(second), params.lam)
        mixed = blend(first, second, p, tf.float32, self.sometimes)
        energy = p**2 + (1 - p) ** 2
        return tf.cast(mixed / per_example(tf.sqrt(energy), mixed), self.dtype)

    def share(self, first: Parts, second: Parts, params: MixUpParams) -> tf.Tensor:
        """The label's λ is the share that is heard."""
        return params.lam

    def check_spec(self, parts: Parts, owner: str | None = None) -> None:
        """Refuses features that are no waveforms, and what every mixer refuses."""
        super().check_spec(parts, owner)
        for spec in tf.nest.flatten(parts.features):
            self._check_waveform(owner or self.name, spec)

    def _check_waveform(self, owner: str, spec: tf.TensorSpec) -> None:
        came = f"{spec.dtype.name}{spec.shape}"
        rank = spec.shape.rank
        if not (rank == 2 or (rank == 3 and spec.shape[2] == 1)):
            raise ValueError(
                f"{owner}: {type(self).__name__} mixes waveforms (batch, time) or "
                f"(batch, time, 1), whose loudness it measures, got {came}. Mix before "
                "the spectrogram is made, mean several channels into one, or use "
                "tfmixup.MixUp."
            )
        if spec.dtype.is_unsigned:
            raise TypeError(
                f"{owner}: waveforms must be floats or signed integers, got {came}. "
                "Unsigned PCM is silent at half its range: "
                "tf.cast(x, tf.float32) / 128 - 1."
            )

    def _level(self, waveform: tf.Tensor) -> tf.Tensor:
        scale = _FULL_SCALE if waveform.dtype.is_integer else 1.0
        wave = tf.cast(waveform, tf.float32) / scale
        if wave.shape.rank == 3:
            wave = tf.squeeze(wave, -1)
        return loudness.a_weighted_level(wave, self.sample_rate)

    def _amplitude(
        self, first: tf.Tensor, second: tf.Tensor, lam: tf.Tensor
    ) -> tf.Tensor:
        """The first sound's share p of the amplitude: float32 (B,).

        The paper's formula, of which numerator and denominator are multiplied by λ and
        by the root of the ratio, so that nothing is infinite at λ = 0.
        """
        ratio = tf.pow(10.0, (first - second) / 40)
        mine, other = lam / ratio, (1 - lam) * ratio
        p = mine / (mine + other)
        # Exactly, and also where a level is not a number.
        return tf.where(lam == 1, 1.0, tf.where(lam == 0, 0.0, p))
