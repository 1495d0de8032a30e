"""The calibration error, the table and the pictures of train_cnn.py."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from over_seeds import mean_and_error, shown

import tfmixup


@dataclasses.dataclass(frozen=True)
class Result:
    """The measurements of one training run.

    Attributes:
      name: The method, a row of the table.
      seed: The seed of weights, order, augmentation and mixing.
      test_error: Percentage of the test images with a wrong prediction.
      test_nll: Mean cross-entropy on the test split.
      calibration_error: Expected calibration error on the test split, in per cent.
      seconds: Duration of the training, evaluations for the curves included.
      history: Keras's history, a list of values for every metric.
    """

    name: str
    seed: int
    test_error: float
    test_nll: float
    calibration_error: float
    seconds: float
    history: dict[str, list[float]]

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict, for JSON."""
        return dataclasses.asdict(self)


def measured(
    name: str,
    seed: int,
    probabilities: np.ndarray,
    labels: np.ndarray,
    history: dict[str, list[float]],
    seconds: float,
) -> Result:
    """Measures predictions of shape (examples, classes) on labels (examples,)."""
    # 1e-7 is also Keras's lower limit for the logarithm.
    right = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-7)
    return Result(
        name=name,
        seed=seed,
        test_error=100 * float(np.mean(probabilities.argmax(axis=1) != labels)),
        test_nll=-float(np.mean(np.log(right))),
        calibration_error=100 * expected_calibration_error(probabilities, labels),
        seconds=seconds,
        history=history,
    )


def expected_calibration_error(
    probabilities: np.ndarray, labels: Sequence[int], num_bins: int = 15
) -> float:
    """Measures how far the confidence of predictions is from their accuracy.

    Predictions are put in bins of equal width by their confidence, the probability
    of the predicted class. The result is the mean over the predictions of
    |accuracy - mean confidence| of their bin (arXiv 1706.04599).

    Args:
      probabilities: Predictions of shape (examples, classes).
      labels: The true class of each example, as an integer.
      num_bins: The number of bins.

    Returns:
      The expected calibration error, between 0 and 1.

    Raises:
      ValueError: If the shapes do not fit together.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(
            f"probabilities must have shape (examples, classes) and labels "
            f"(examples,), got {probabilities.shape} and {labels.shape}; give labels "
            f"as integers, not one-hot."
        )
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    # Bins are (lower, upper], so that a confidence of exactly 1 is in the last bin.
    bins = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)
    gaps = [
        abs(np.sum(correct[bins == b]) - np.sum(confidence[bins == b], dtype=float))
        for b in range(num_bins)
    ]
    return float(sum(gaps) / len(labels))


def by_method(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Groups the runs by method. In a group only seeds differ."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.name, []).append(result)
    return groups


def table(results: Sequence[Result]) -> str:
    """Formats mean ± standard error over the seeds, a row for each method."""
    columns = {
        "test error, %": ("test_error", 1),
        "NLL": ("test_nll", 2),
        "calibration error, %": ("calibration_error", 1),
    }
    groups = by_method(results)
    width = max(map(len, groups))
    seeds = len({result.seed for result in results})
    count = f"{seeds} seed{'s' * (seeds > 1)}"
    lines = [f"{count:{width}}" + "".join(f"{title:>22}" for title in columns)]
    for name, runs in groups.items():
        cells = (
            shown([getattr(run, field) for run in runs], digits)
            for field, digits in columns.values()
        )
        lines.append(f"{name:{width}}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def save_mixed_images(
    path: pathlib.Path, train: tf.data.Dataset, class_names: Sequence[str]
) -> None:
    """Saves pairs of training images, blended and cut, each under its λ and label."""
    # TensorFlow's global seed takes part in the drawing. Set it, so that the picture is
    # the same after any runs.
    tf.random.set_seed(1)
    rows, pairs = [], min(8, len(train))
    for kind in (tfmixup.MixUp, tfmixup.CutMix):
        # With λ near 0 or 1 there is nothing to see. Blended labels do not tell λ, but
        # pairs of targets do. With one seed both mixers get the same pairs.
        mixer = kind(
            1.0, lam_range=(0.25, 0.75), num_classes=len(class_names), targets="pair"
        )
        batches = train.apply(tfmixup.two_streams(mixer, pairs, seed=5))
        rows.append(next(iter(batches)))
    both = tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *rows)
    figure = tfmixup.plot.batch(
        both,
        class_names,
        examples=2 * pairs,
        columns=pairs,
        title="Above: MixUp. Below: CutMix.",
    )
    figure.savefig(path, dpi=100)


def save_training_curves(path: pathlib.Path, results: Sequence[Result]) -> None:
    """Saves loss and error of test images over the epochs: mean ± standard error.

    Args:
      path: The PNG to write.
      results: The runs. Each method has a colour of its own, of different lightness.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    colours = ("#16325c", "#e08214", "#7fbf7b", "#af8dc3")
    for number, (name, runs) in enumerate(by_method(results).items()):
        # `fit` evaluated after every `every` epochs (`validation_freq`).
        points = len(runs[0].history["val_loss"])
        every = -(-len(runs[0].history["loss"]) // 5)
        epochs = every * np.arange(1, points + 1)
        loss = [run.history["val_loss"] for run in runs]
        wrong = [100 * (1 - np.array(run.history["val_accuracy"])) for run in runs]
        for axis, values in zip(axes, (loss, wrong)):
            mean, error = mean_and_error(values)
            axis.errorbar(
                epochs,
                mean,
                np.nan_to_num(error),
                color=colours[number % len(colours)],
                marker="os^D"[number % 4],
                markersize=4,
                capsize=3,
                label=name,
            )
    axes[0].set(title="Cross-entropy of 500 test images", ylabel="loss")
    axes[1].set(title="Error on 500 test images", ylabel="wrong predictions, %")
    for axis in axes:
        axis.set(xlabel="epoch", ylim=(0, None))
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)
