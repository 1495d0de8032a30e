"""What train_cnn.py reports: calibration error, table and pictures."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Result:
    """The measurements of one training run.

    Attributes:
      name: The row's name in the table.
      test_error: Percentage of the test images with a wrong prediction.
      test_loss: Mean cross-entropy on the test split.
      calibration_error: Expected calibration error on the test split.
      seconds_per_epoch: Median duration of an epoch, validation included.
      history: Keras's history, a list of values an epoch for every metric.
    """

    name: str
    test_error: float
    test_loss: float
    calibration_error: float
    seconds_per_epoch: float
    history: dict[str, list[float]]

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict, for JSON."""
        return dataclasses.asdict(self)


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
    # Bins are (lower, upper], so that a confidence of exactly 1 is in the last.
    bins = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)
    gaps = [
        abs(np.sum(correct[bins == b]) - np.sum(confidence[bins == b], dtype=float))
        for b in range(num_bins)
    ]
    return float(sum(gaps) / len(labels))


def table(results: Sequence[Result]) -> str:
    """Formats the results as a table of one row a run."""
    width = max(len(result.name) for result in results)
    lines = [
        f"{'':{width}}  test error  test loss    ECE  s/epoch",
        f"{'-' * width}  ----------  ---------  -----  -------",
    ]
    lines += [
        f"{result.name:{width}}  {result.test_error:8.2f} %  {result.test_loss:9.4f}  "
        f"{result.calibration_error:5.3f}  {result.seconds_per_epoch:7.2f}"
        for result in results
    ]
    return "\n".join(lines)


def save_mixed_images(
    path: pathlib.Path,
    images: np.ndarray,
    labels: np.ndarray,
    lam: np.ndarray,
    class_names: Sequence[str],
    *,
    rows: int = 3,
    columns: int = 8,
) -> None:
    """Saves a grid of mixed images, each with its lambda and its mixed label.

    Args:
      path: The PNG to write.
      images: A batch of mixed images, pixel values 0..255.
      labels: Their mixed labels, of shape (batch, classes).
      lam: The share of the first image in each of them.
      class_names: The names of the classes.
      rows: Rows of the grid.
      columns: Columns of the grid.
    """
    plt = _pyplot()
    # Evenly spaced ranks of lambda show how it is spread over the batch.
    shown = min(rows * columns, len(images))
    ranks = np.linspace(0, len(images) - 1, shown).round().astype(int)
    indices = np.argsort(-lam, kind="stable")[ranks]
    figure, axes = plt.subplots(
        rows, columns, figsize=(1.35 * columns, 2.0 * rows + 0.4), layout="constrained"
    )
    figure.suptitle("Mixed images of one batch, in the order of λ")
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, index in zip(axes.flat, indices, strict=False):
        axis.imshow(np.clip(images[index] / 255, 0, 1))
        axis.set_title(
            _image_title(float(lam[index]), labels[index], class_names), fontsize=9
        )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _image_title(lam: float, label: np.ndarray, class_names: Sequence[str]) -> str:
    """Three lines: lambda, and the label's two largest shares if there are two."""
    lines = [f"λ = {lam:.2f}"]
    for index in np.argsort(-label, kind="stable")[:2]:
        # An empty line keeps all the images of the grid at the same height.
        share = f"{class_names[index]}: {label[index]:.0%}"
        lines.append(share if label[index] >= 0.005 else "")
    return "\n".join(lines)


def save_training_curves(path: pathlib.Path, results: Sequence[Result]) -> None:
    """Saves the losses and the test error of every run over the epochs.

    Args:
      path: The PNG to write.
      results: The runs; each has a colour of its own, of different lightness.
    """
    plt = _pyplot()
    figure, (losses, errors) = plt.subplots(
        1, 2, figsize=(10, 4.2), layout="constrained"
    )
    colours = ("#16325c", "#e08214", "#7fbf7b", "#af8dc3")
    for number, result in enumerate(results):
        look: dict[str, Any] = {
            "color": colours[number % len(colours)],
            "marker": "os^D"[number % 4],
            "markersize": 3.5,
        }
        history = result.history
        epochs = range(1, len(history["loss"]) + 1)
        losses.plot(
            epochs, history["loss"], "--", **look, label=f"{result.name}, training"
        )
        losses.plot(
            epochs, history["val_loss"], "-", **look, label=f"{result.name}, test"
        )
        wrong = [100 * (1 - accuracy) for accuracy in history["val_accuracy"]]
        errors.plot(epochs, wrong, "-", **look, label=result.name)
    # The first epochs are worse by far; on a linear scale they would hide the rest.
    losses.set_yscale("log")
    losses.yaxis.set_major_formatter("{x:g}")
    errors.set_ylim(bottom=0)
    losses.set_title("Cross-entropy (training: mixed labels, dropout)")
    losses.set_ylabel("loss")
    errors.set_title("Test error")
    errors.set_ylabel("wrong predictions, %")
    for axis in (losses, errors):
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, handlelength=3.5)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _pyplot() -> Any:
    """Imports Matplotlib only when there is a picture to draw, without a display."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot

    return matplotlib.pyplot
