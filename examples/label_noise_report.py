"""The results file, the table and the figure of label_noise.py."""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from over_seeds import mean_and_error, shown


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of the grid, described by all of its settings.

    Attributes:
      dataset: The name of the dataset.
      limit: The number of training images, or 0 for all of them.
      epochs: The number of epochs.
      batch_size: The number of examples in a batch.
      learning_rate: The learning rate of Adam.
      epsilon: Size of the attack, in grey levels of 255.
      noise: Percentage of the training labels that are drawn anew.
      alpha: α of mixup. 0 is no mixup.
      seed: The seed of the noise, the weights, the order and the mixing.
      same_batch: 1 if every batch has its originals beside its mixed examples.
    """

    dataset: str
    limit: int
    epochs: int
    batch_size: int
    learning_rate: float
    epsilon: float
    noise: float
    alpha: float
    seed: int
    same_batch: int = 0


@dataclasses.dataclass(frozen=True)
class Result:
    """The measurements of one run.

    Attributes:
      best_error: Lowest test error of all epochs, in per cent. The epoch is chosen by
        the test images, so that an honest choice would give a higher error.
      last_error: Test error of the last epoch, in per cent.
      nll: Mean cross-entropy of the test images, last epoch.
      ece: Expected calibration error of the test images, last epoch, from 0 to 1.
      fgsm_error: Test error under the attack, in per cent, last epoch.
      fitted: Percentage of the training images that are predicted as they were
        labelled, images with corrupted labels included, last epoch.
      undone_error: Test error of the unmixed predictions, in per cent, last epoch.
      undone_nll: Mean cross-entropy of the unmixed predictions, last epoch.
      undone_ece: Expected calibration error of the unmixed predictions, last epoch.
      seconds: Duration of the run.
      errors: Test error of every epoch.
    """

    best_error: float
    last_error: float
    nll: float
    ece: float
    fgsm_error: float
    fitted: float
    undone_error: float
    undone_nll: float
    undone_ece: float
    seconds: float
    errors: tuple[float, ...]


Results = Mapping[Cell, Result]
_COLUMNS = [f.name for kind in (Cell, Result) for f in dataclasses.fields(kind)]
_KINDS = {"str": str, "int": int, "float": float}


class FileError(ValueError):
    """The results file was not written by this version of the program."""


def read(path: pathlib.Path) -> dict[Cell, Result]:
    """Reads the finished runs. A last row that a stop cut off is left out.

    Raises:
      FileError: If the columns are different, or a row cannot be read.
    """
    if not path.exists() or not path.stat().st_size:
        return {}
    # A row without a line break was not written to the end.
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = list(csv.reader(line for line in lines if line.endswith("\n")))
    if not rows or rows[0] != _COLUMNS:
        raise FileError(
            f"{path} has other columns than this version writes; move it away or "
            f"choose another folder"
        )
    results: dict[Cell, Result] = {}
    for number, row in enumerate(rows[1:], 2):
        try:
            texts = dict(zip(_COLUMNS, row, strict=True))
            cell, result = _parse(Cell, texts), _parse(Result, texts)
        except ValueError as problem:
            raise FileError(f"{path}, line {number}: {problem}") from problem
        results.setdefault(cell, result)
    return results


def _parse(kind: Any, texts: Mapping[str, str]) -> Any:
    fields = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    return kind(
        **{
            name: _KINDS[of](texts[name])
            if of in _KINDS
            else tuple(float(text) for text in texts[name].split())
            for name, of in fields.items()
        }
    )


def append(path: pathlib.Path, cell: Cell, result: Result) -> None:
    """Adds a finished run to the file, after the last whole row."""
    values = dataclasses.asdict(cell) | dataclasses.asdict(result)
    values["errors"] = " ".join(f"{error:.4f}" for error in result.errors)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    old = path.read_bytes() if path.exists() else b""
    whole = old[: old.rfind(b"\n") + 1]
    if not whole:
        writer.writerow(_COLUMNS)
    writer.writerow([values[name] for name in _COLUMNS])
    with path.open("ab") as file:
        file.truncate(len(whole))
        file.write(text.getvalue().encode("utf-8"))


def by_setting(results: Results) -> dict[tuple[float, float, int], list[Result]]:
    """Groups the runs by (noise, alpha, same_batch). In a group only seeds differ."""
    groups: dict[tuple[float, float, int], list[Result]] = {}
    for cell, result in results.items():
        key = (cell.noise, cell.alpha, cell.same_batch)
        groups.setdefault(key, []).append(result)
    return dict(sorted(groups.items()))


# For each column, its title and the digits after the decimal point.
_SHOWN = {
    "best_error": ("best %", 1),
    "last_error": ("last %", 1),
    "nll": ("NLL", 2),
    "ece": ("ECE", 3),
    "fgsm_error": ("FGSM %", 1),
    "fitted": ("fitted %", 1),
}
_UNDONE = {"last_error": "undone_error", "nll": "undone_nll", "ece": "undone_ece"}


def table(results: Results) -> str:
    """Formats mean ± standard error over the seeds, a row for each kind of run.

    Below each row with mixup, a row "undone" shows what `tfmixup.keras.unmix` makes of
    the same predictions.
    """
    titles = "".join(f"{title:>{10 + 2 * digits}}" for title, digits in _SHOWN.values())
    lines = [f"{'noise':>6}  {'mixup':<15}{'runs':>4}{titles}"]
    last = None
    for (noise, alpha, same_batch), runs in by_setting(results).items():
        if last not in (None, noise):
            lines.append("")
        last = noise
        name = f"alpha = {alpha:g}" if alpha else "none"
        name = "  both at once" if same_batch else name
        lines.append(f"{noise:>4g} %  {name:<15}{_row(runs, {k: k for k in _SHOWN})}")
        if alpha:
            lines.append(f"{noise:>4g} %  {'  undone':<15}{_row(runs, _UNDONE)}")
    return "\n".join(lines)


def _row(runs: list[Result], columns: Mapping[str, str]) -> str:
    line = f"{len(runs):>4}"
    for column, (_, digits) in _SHOWN.items():
        text = ""
        if column in columns:
            text = shown([getattr(run, columns[column]) for run in runs], digits)
        line += f"{text:>{10 + 2 * digits}}"
    return line.rstrip()


# For each panel of the figure, its title and its unit.
_DRAWN = {
    "last_error": ("Test error, last epoch", "wrong predictions, %"),
    "ece": ("Expected calibration error, last epoch", "ECE"),
    "fgsm_error": ("Test error under attack, last epoch", "wrong predictions, %"),
}


def save_figure(path: pathlib.Path, results: Results) -> None:
    """Saves the test error over the epochs, and the last epoch over the noise.

    Args:
      path: The PNG to write.
      results: The runs. Every alpha has a lightness, a marker and dashes of its own.
        Runs with the originals in the same batch are left out.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups = {
        (noise, alpha): runs
        for (noise, alpha, same_batch), runs in by_setting(results).items()
        if not same_batch
    }
    noises = sorted({noise for noise, _ in groups})
    middle = noises[len(noises) // 2]  # the noise of the curves
    figure, axes = plt.subplots(2, 2, figsize=(10, 7.6), layout="constrained")
    curves, *panels = axes.flat
    for number, alpha in enumerate(sorted({alpha for _, alpha in groups})):
        colour = ("#000000", "#1f5fa8", "#d0661a", "#a8a8a8")[number % 4]
        look: dict[str, Any] = {
            "color": colour,
            "marker": "os^D"[number % 4],
            "linestyle": ("-", "--", "-.", ":")[number % 4],
            "markersize": 6,
            "label": f"mixup, α = {alpha:g}" if alpha else "no mixup",
        }
        if (middle, alpha) in groups:
            mean, spread = mean_and_error([run.errors for run in groups[middle, alpha]])
            epochs = np.arange(1, len(mean) + 1)
            every = max(1, len(mean) // 8)
            curves.plot(epochs, mean, **look, markevery=(number * every // 4, every))
            curves.fill_between(
                epochs, mean - spread, mean + spread, color=colour, alpha=0.15, lw=0
            )
        here = [noise for noise in noises if (noise, alpha) in groups]
        for axis, column in zip(panels, _DRAWN):
            points = [
                mean_and_error([getattr(run, column) for run in groups[noise, alpha]])
                for noise in here
            ]
            means, spreads = zip(*points)
            axis.errorbar(here, means, np.nan_to_num(spreads), **look, capsize=3)
    curves.set(title=f"Test error while training, noise {middle:g} %", xlabel="epoch")
    curves.set_ylabel("wrong predictions, %")
    for axis, (title, unit) in zip(panels, _DRAWN.values()):
        axis.set(title=title, xlabel="training labels drawn anew, %", ylabel=unit)
        axis.set_xticks(noises)
    for axis in axes.flat:
        axis.set_ylim(0, 1.05 * axis.dataLim.y1 or 1)
        axis.grid(alpha=0.3)
    panels[0].legend(handlelength=3.5)
    figure.suptitle("Mean of the runs; bars and bands: standard error")
    figure.savefig(path, dpi=120)
    plt.close(figure)
