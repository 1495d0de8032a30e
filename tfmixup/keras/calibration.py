"""Undoes in predictions what training with mixup did to the labels."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmixup import checks
from tfmixup.mixers.mixup import MixUp

__all__ = ["unmix"]

# Keras clips probabilities at the same value before it takes their logarithm.
_LEAST = 1e-7
# The sum of a row may differ from 1 by this much: float16 and bfloat16 round so far.
_SUM_TOLERANCE = 0.01


@checks.named("tfmixup.keras.unmix")
def unmix(probabilities: Any, mixer: MixUp, class_shares: Any) -> np.ndarray:
    """Undoes mixup's shrinking of labels in the predictions of a trained network.

        p′ ∝ max(ȳ + (p − ȳ) / θ̄, 1e-7),   θ̄ = E[max(λ, 1 − λ)]

    In a mixed example, let (x, y) be the part with the larger share, max(λ, 1 − λ). The
    smaller part is drawn from all of the data, whose means are x̄ and ȳ. So the mixed
    example and its label are, on average over λ and the smaller part,

        x̄ + θ̄·(x − x̄)   and   ȳ + θ̄·(y − ȳ)

    A network that has learnt these labels is underconfident about x. The formula is the
    inverse of the second map. Classes that are equally frequent keep their order.

    The paper derives both maps. At prediction the paper applies the first map to the
    input and the inverse of the second map to the logits. This function leaves the
    input as it is and rescales probabilities, which stay a distribution.

    On average, mixed labels give a class at least (1 − θ̄)·ȳ. A smaller probability
    becomes 1e-7. This costs 16 in the cross-entropy if the class is the right one. A
    network that has memorised wrong labels is not underconfident, and `unmix` makes its
    predictions worse. Compare cross-entropy and calibration on validation data first,
    as the page "Evidence" does.

    Args:
      probabilities: (..., C), an array or tensor of any float dtype: class
        probabilities, such as `model.predict` of a model that ends with a softmax.
      mixer: the `tfmixup.MixUp` of the training, with `targets="blend"`. Its
        `label_smoothing` ε is not undone: ȳ is smoothed too, and p′ are predictions of
        smoothed labels. With `keep_originals`, half of the training examples were not
        mixed. Give a mixer of half the `probability` then.
      class_shares: (C,), the share of each class among the training labels, or its
        count. They are divided by their sum. A wrong training label counts for the
        class that it names. `tfmixup.class_counts` counts.

    Returns:
      float32 NumPy array (..., C), whose rows sum to 1. θ̄ is exact for Beta(α, α).
      With `lam_range` or `distribution`, θ̄ is the mean of 2²⁰ seeded draws, and its
      standard error is below 0.0003.

    Raises:
      TypeError, ValueError: an argument is invalid. The message says which and why.
      RuntimeError: `unmix` is called inside a tf.function.

    Examples:
      >>> mixer = tfmixup.MixUp(1.0, num_classes=2)  # θ̄ = 3/4
      >>> unmix([[0.8, 0.2], [0.5, 0.5]], mixer, class_shares=[30, 30]).round(3)
      array([[0.9, 0.1],
             [0.5, 0.5]], dtype=float32)

    References:
      Carratino, Cissé, Jenatton, Vert, "On Mixup Regularization", JMLR 23, 2022,
        arXiv 2006.06049
    """
    _check_mixer(mixer)
    p = _checked(probabilities)
    classes = p.shape[-1]
    known = tf.nest.flatten(mixer.num_classes)
    if mixer.num_classes is not None and classes not in known:
        raise ValueError(
            f"probabilities have {classes} classes, and the mixer num_classes="
            f"{mixer.num_classes!r}. Give the mixer and the output of one classifier."
        )
    shares = checks.numbers_by_class(
        "class_shares", class_shares, classes, positive=False
    )
    total = math.fsum(shares)
    if not total > 0:
        raise ValueError(
            f"class_shares must have a class with a positive share, got {shares!r}."
        )
    mean = np.array(shares, np.float64) / total
    mean = (1 - mixer.label_smoothing) * mean + mixer.label_smoothing / classes
    p = p / p.sum(axis=-1, keepdims=True)
    p = np.maximum(mean + (p - mean) / _mean_larger_share(mixer), _LEAST)
    return (p / p.sum(axis=-1, keepdims=True)).astype(np.float32)


def _check_mixer(mixer: Any) -> None:
    if type(mixer) is not MixUp:
        raise TypeError(
            "mixer must be a tfmixup.MixUp, which blends examples and labels by one λ, "
            f"got {mixer!r}. Calibrate the predictions of others on validation data, "
            "for example by temperature scaling."
        )
    if mixer.targets != "blend":
        raise ValueError(
            f"mixer must blend labels, and its targets={mixer.targets!r}. Give the "
            "mixer without it if the loss was a cross-entropy with targets='pair', "
            "which is the same."
        )


def _checked(probabilities: Any) -> np.ndarray:
    """The probabilities as float64 (..., C). Their rows sum to about 1."""
    checks.eager("probabilities")
    try:
        p = np.asarray(keras.ops.convert_to_numpy(probabilities)).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            "probabilities must be an array or a tensor of numbers, got "
            f"{type(probabilities).__name__}: {error}"
        ) from None
    if p.ndim < 1 or p.shape[-1] < 2:
        raise ValueError(
            "probabilities must have shape (..., classes) with two classes or more, "
            f"got {p.shape}. Of one sigmoid output p make two: "
            "np.concatenate([1 - p, p], axis=-1)."
        )
    if not np.all((p >= 0) & (p <= 1)):
        wrong = p[~((p >= 0) & (p <= 1))][0]
        raise ValueError(
            f"probabilities must be in [0, 1], got {wrong:g}. Make probabilities of "
            "logits: keras.ops.softmax(logits)."
        )
    sums = p.sum(axis=-1)
    off = np.abs(sums - 1) > _SUM_TOLERANCE
    if off.any():
        raise ValueError(
            "probabilities must sum to 1 over the last axis, the classes, got a sum of "
            f"{sums[off][0]:g}. Independent sigmoid outputs cannot be unmixed so."
        )
    return p


# The number of draws, and their seed, so that the same mixer always gives the same θ̄.
_DRAWS, _SEED = 1 << 20, (0, 0)


def _mean_larger_share(mixer: MixUp) -> float:
    """θ̄ = E[max(λ, 1 − λ)], with λ = 1 for an example that is not mixed."""
    if mixer.is_off():
        return 1.0
    if mixer.distribution is None and mixer.lam_range is None:
        larger = _larger_share_of_beta(mixer.alpha)
        return 1 - mixer.probability * (1 - larger)
    lam = mixer.sample(1, _SEED, num_batches=_DRAWS).lam.numpy().astype(np.float64)
    return float(np.maximum(lam, 1 - lam).mean())


def _larger_share_of_beta(alpha: float) -> float:
    """E[max(λ, 1 − λ)] = 1 − I_½(α + 1, α) = ½ + Γ(α + ½) / (2·√π·Γ(α + 1))."""
    if alpha > 1e6:  # the difference of such logarithms is lost to rounding
        ratio = alpha**-0.5
    else:
        ratio = math.exp(math.lgamma(alpha + 0.5) - math.lgamma(alpha + 1))
    return 0.5 + ratio / (2 * math.sqrt(math.pi))
