"""Accuracy for mixed labels."""

from __future__ import annotations

from typing import Any

import keras

from tfmixup import checks

__all__ = ["MixedAccuracy"]

_NAME = "tfmixup.keras.MixedAccuracy"


@keras.saving.register_keras_serializable(package="tfmixup")
class MixedAccuracy(keras.metrics.MeanMetricWrapper):
    """Accuracy for mixed labels: the mean label mass on the predicted class.

        mean_n y_n[argmax_c p_n,c]

    For one sigmoid output, the metric is the mean of y_n where p_n is above the
    threshold, and of 1 − y_n elsewhere. `keras.metrics.BinaryAccuracy` counts every
    soft label as wrong.

    On one-hot labels the label mass is plain accuracy, so training and validation
    curves are comparable. `CategoricalAccuracy` compares only with the larger share of
    a mixed label. This misleads: a model that predicts the second example of a 51:49
    pair counts as wrong.

    A perfect model cannot reach 1 on mixed data. If two classes are mixed and the model
    predicts the class with the larger share, the metric is max(λ, 1 − λ).

    Give `update_state` labels and predictions of the same shape (..., C), of any float
    dtype. Predictions of two classes or more may be logits. Other shapes raise a
    ValueError.

    Args:
      name: the name of the metric, as Keras shows it.
      dtype: the dtype of the result.
      threshold: in [0, 1], for one output. The class is 1 where the probability is
        above the threshold. The default of 0.5 is Keras's.
      from_logits: for one output, whether it is a logit, without a sigmoid.

    Examples:
      >>> metric = MixedAccuracy()
      >>> metric.update_state([[0.7, 0.3], [0.0, 1.0]], [[0.9, 0.1], [0.8, 0.2]])
      >>> round(float(metric.result()), 3)
      0.35
    """

    def __init__(
        self,
        name: str = "mixed_accuracy",
        dtype: Any = None,
        *,
        threshold: float = 0.5,
        from_logits: bool = False,
    ) -> None:
        with checks.named(_NAME):
            checks.fraction("threshold", threshold)
            checks.boolean("from_logits", from_logits)
        super().__init__(
            _label_mass_on_prediction,
            name=name,
            dtype=dtype,
            threshold=threshold,
            from_logits=from_logits,
        )
        self.threshold, self.from_logits = threshold, from_logits
        # Callbacks with mode="auto", such as EarlyStopping, read this attribute and
        # raise an error where it is missing. Keras has no public way to set it. Keras's
        # own metrics set it in their constructors. Callbacks read the attribute since
        # https://github.com/keras-team/keras/issues/18798, in
        # https://github.com/keras-team/keras/blob/master/keras/src/callbacks/monitor_callback.py
        self._direction = "up"

    def get_config(self) -> dict[str, Any]:
        """The arguments to make the metric again."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "threshold": self.threshold,
            "from_logits": self.from_logits,
        }


def _label_mass_on_prediction(
    y_true: Any, y_pred: Any, threshold: float, from_logits: bool
) -> Any:
    """`y_true[argmax(y_pred)]` for labels and predictions (..., C)."""
    y_true = keras.ops.convert_to_tensor(y_true)
    y_pred = keras.ops.convert_to_tensor(y_pred)
    # A size that a graph does not know is None. Different sizes would broadcast
    # silently, so they are refused.
    sizes = [{*pair} - {None} for pair in zip(y_true.shape, y_pred.shape)]
    same_rank = len(y_true.shape) == len(y_pred.shape) > 0
    if not same_rank or any(len(size) > 1 for size in sizes):
        missing = len(y_true.shape) == len(y_pred.shape) - 1
        one_output = tuple(y_pred.shape[-1:]) == (1,) and missing
        mend = (
            "For one output give labels of shape (batch, 1): y[:, None]."
            if one_output
            else "One-hot encode integer labels: MixUp(num_classes=...) does so, and "
            "its off() for validation data too."
        )
        raise ValueError(
            f"{_NAME}: labels and predictions must have one shape "
            f"(..., classes), got {tuple(y_true.shape)} and {tuple(y_pred.shape)}. "
            + mend
        )
    if y_pred.shape[-1] == 1:
        share = keras.ops.cast(y_true, "float32")
        p = keras.ops.sigmoid(y_pred) if from_logits else y_pred
        return keras.ops.squeeze(
            keras.ops.where(p > threshold, share, 1 - share), axis=-1
        )
    predicted = keras.ops.argmax(y_pred, axis=-1)
    mass = keras.ops.take_along_axis(
        keras.ops.cast(y_true, "float32"), predicted[..., None], axis=-1
    )
    return keras.ops.squeeze(mass, axis=-1)
