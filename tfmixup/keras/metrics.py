"""Accuracy for mixed labels."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["MixedAccuracy"]

_NAME = "tfmixup.keras.MixedAccuracy"


@keras.saving.register_keras_serializable(package="tfmixup")
class MixedAccuracy(keras.metrics.MeanMetricWrapper):
    """Accuracy for mixed labels: the mean label mass on the predicted class.

        mean_n y_n[argmax_c p_n,c]

    On one-hot labels this mass is plain accuracy, so training and validation curves are
    comparable. `CategoricalAccuracy` compares with the larger share of a mixed label
    only, and misleads: a model that predicts the second example of a 51:49 pair counts
    as wrong.

    A perfect model cannot reach 1 on mixed data. Where two classes are mixed and the
    model predicts the larger share, it gets max(λ, 1 − λ).

    Labels and predictions are given to `update_state` in one shape (..., C), C ≥ 2, of
    any float dtype. Predictions may be logits. Other shapes raise a ValueError.

    Args:
      name: of the metric, as Keras shows it.
      dtype: of the result.

    Examples:
      >>> metric = MixedAccuracy()
      >>> metric.update_state([[0.7, 0.3], [0.0, 1.0]], [[0.9, 0.1], [0.8, 0.2]])
      >>> round(float(metric.result()), 3)
      0.35
    """

    def __init__(self, name: str = "mixed_accuracy", dtype: Any = None) -> None:
        super().__init__(_label_mass_on_prediction, name=name, dtype=dtype)
        # Callbacks with mode="auto", such as EarlyStopping, read this attribute and
        # raise an error where it is missing. Keras has no public way to set it; its own
        # metrics set it in their constructors. Since
        # https://github.com/keras-team/keras/issues/18798, in
        # https://github.com/keras-team/keras/blob/master/keras/src/callbacks/monitor_callback.py
        self._direction = "up"

    def get_config(self) -> dict[str, Any]:
        """The arguments to make it again."""
        return {"name": self.name, "dtype": self.dtype}


def _label_mass_on_prediction(y_true: Any, y_pred: Any) -> Any:
    """`y_true[argmax(y_pred)]` for labels and predictions (..., C)."""
    y_true = keras.ops.convert_to_tensor(y_true)
    y_pred = keras.ops.convert_to_tensor(y_pred)
    # A size that a graph does not know is None. Sizes that differ would broadcast.
    sizes = [{*pair} - {None} for pair in zip(y_true.shape, y_pred.shape)]
    same_rank = len(y_true.shape) == len(y_pred.shape) > 0
    if not same_rank or any(len(size) > 1 for size in sizes):
        raise ValueError(
            f"{_NAME}: labels and predictions must have one shape "
            f"(..., classes), got {tuple(y_true.shape)} and {tuple(y_pred.shape)}. "
            "One-hot encode integer labels: MixUp(num_classes=...) does so, with "
            "alpha=0 for validation data too."
        )
    if y_pred.shape[-1] == 1:
        raise ValueError(
            f"{_NAME}: predictions have one output, so there is no "
            "predicted class to look up. Use two outputs with softmax, or "
            "keras.metrics.BinaryAccuracy."
        )
    predicted = keras.ops.argmax(y_pred, axis=-1)
    mass = keras.ops.take_along_axis(
        keras.ops.cast(y_true, "float32"), predicted[..., None], axis=-1
    )
    return keras.ops.squeeze(mass, axis=-1)
