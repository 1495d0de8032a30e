"""The loss of a pair of targets: λ·loss(y_i) + (1 − λ)·loss(y_j)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tfmixup import elements
from tfmixup.checks import see_docs

__all__ = ["Pair", "PairLoss"]

_NAME = "tfmixup.keras.PairLoss"


@keras.saving.register_keras_serializable(package="tfmixup")
@elements.never_convert
class PairLoss(keras.losses.Loss):
    """Turns a loss into the loss of a pair of targets.

        λ·loss(y_i, p) + (1 − λ)·loss(y_j, p)

    The formula holds for each example. Sample weights, masks and the reduction of the
    given loss are applied afterwards. For a cross-entropy, the formula equals the
    cross-entropy with the soft label λ·y_i + (1 − λ)·y_j. CTC and other losses have no
    soft labels. `PairModel` makes a `PairLoss` of each loss. In a training loop of your
    own, make and call a `PairLoss` yourself.

    If λ is exactly 1 or 0, one label has no share, and its loss is not computed. That
    loss may be infinite or NaN, and 0 times the loss would be NaN.

    Args:
      loss: a `keras.losses.Loss`, a function of (y_true, y_pred), or its name in Keras.
        The loss must give one value for each example, or for each position of each
        example.
      name: as Keras shows it; None for the name of the given loss.

    Raises:
      ValueError: the loss leaves a class out (`ignore_class`), which has no meaning if
        only one label of the two is of this class. When called: the given loss returns
        a single value for the whole batch.

    Examples:
      >>> loss = PairLoss("sparse_categorical_crossentropy")
      >>> pair = [0, 1], [1, 1], [0.25, 0.5]
      >>> p = tf.constant([[0.5, 0.5], [0.2, 0.8]])
      >>> expected = (0.6931 + 0.2231) / 2
      >>> abs(float(loss(pair, p)) - expected) < 1e-4
      True
    """

    def __init__(self, loss: Any, name: str | None = None) -> None:
        no_tf_keras(_NAME, "loss", loss)
        self.loss = keras.losses.get(loss)
        if self.loss is None:
            raise ValueError(
                f"{_NAME}: loss must be a Keras loss, a function or a name, got "
                f"{loss!r}. For example: keras.losses.CTC()."
                + see_docs("pairs_of_targets")
            )
        if getattr(self.loss, "ignore_class", None) is not None:
            raise ValueError(
                f"{_NAME}: {type(self.loss).__name__}(ignore_class="
                f"{self.loss.ignore_class}) cannot leave a class out of a pair, of "
                "which the other label may be of another class. Give such positions "
                "the sample weight 0." + see_docs("pairs_of_targets")
            )
        settings = {}
        if isinstance(self.loss, keras.losses.Loss):
            settings = {"reduction": self.loss.reduction, "dtype": self.loss.dtype}
        super().__init__(name=name or _name(self.loss), **settings)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The reduced loss.

        Args:
          y_true: `(y_i, y_j, λ)` with λ of shape (B,). If sample weights differ within
            an example, λ has one value for each value of the loss. Labels (B, ...) that
            are no pairs, such as those of validation data, are allowed too.
          y_pred: predictions (B, ...).
          sample_weight: as for any Keras loss.

        Returns:
          A scalar, or what the reduction of the given loss leaves.
        """
        if isinstance(y_true, Pair):
            y_true = (y_true.first, y_true.second, y_true.lam)
        elif isinstance(y_true, tuple):
            y_true = tuple(keras.ops.convert_to_tensor(part) for part in y_true)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of every example, before the reduction."""
        if not isinstance(y_true, tuple):
            return self._values(y_true, y_pred)
        first, second, lam = y_true
        if not 1 <= len(lam.shape) <= len(first.shape):
            raise ValueError(
                f"{_NAME}: the third of a pair of targets (y_i, y_j, λ) must be λ of "
                f"shape (batch,), got {tuple(lam.shape)}. A mixer with targets='pair' "
                "makes them." + see_docs("pairs_of_targets")
            )
        first = keras.ops.where(_like(lam, first) == 0, second, first)
        second = keras.ops.where(_like(lam, second) == 1, first, second)
        first_loss = self._values(first, y_pred)
        second_loss = self._values(second, y_pred)
        if len(first_loss.shape) == 0:
            raise ValueError(
                f"{_NAME}: {_name(self.loss)} returned one value for a whole batch, "
                "and every example has a λ of its own. Return a value for each example."
            )
        if len(lam.shape) > len(first_loss.shape):
            raise ValueError(
                f"{_NAME}: λ has the shape {tuple(lam.shape)}, as sample weights of "
                f"each entry make it, and {_name(self.loss)} gives values of shape "
                f"{tuple(first_loss.shape)}. Give labels and predictions a last "
                "dimension of 1, so that the loss is one of each entry."
                + see_docs("pairs_of_targets")
            )
        lam = _like(keras.ops.cast(lam, first_loss.dtype), first_loss)
        return lam * first_loss + (1 - lam) * second_loss

    def _values(self, y_true: Any, y_pred: Any) -> Any:
        """The given loss of plain labels, before the reduction."""
        if isinstance(self.loss, keras.losses.Loss):
            return self.loss.call(y_true, y_pred)
        # Keras's loss objects give labels the rank of the predictions. Keras's loss
        # functions do not. Labels (B,) would broadcast against predictions (B, 1) to
        # (B, B).
        if len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1:
            y_true = keras.ops.expand_dims(y_true, -1)
        elif len(y_true.shape) == len(y_pred.shape) + 1 and y_true.shape[-1] == 1:
            y_true = keras.ops.squeeze(y_true, -1)
        return self.loss(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """The arguments to make the loss again."""
        loss = keras.saving.serialize_keras_object(self.loss)
        return {"loss": loss, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PairLoss:
        """Makes the loss from its config."""
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(loss, config["name"])


class Pair:
    """`(y_i, y_j, λ)` of one output, as one leaf of the labels' structure.

    Keras wants labels in the structure of the predictions, and refuses a tuple of three
    for one output (https://github.com/keras-team/keras/issues/19855). An object of a
    class that `keras.tree` does not know is a leaf. Keras hands a leaf to the loss as
    it is. `PairModel` gives a `Pair` to Keras only in `compute_loss`, so that no other
    part of Keras meets one.

    Attributes:
      first: y_i, of shape (B, ...).
      second: y_j, of the same shape.
      lam: λ, of shape (B,), or with more of the labels' dimensions.
      steps: whether each example has several predictions, one for each step or pixel.
    """

    def __init__(self, first: Any, second: Any, lam: Any, steps: bool = False) -> None:
        self.first, self.second, self.lam, self.steps = first, second, lam, steps


def no_tf_keras(caller: str, name: str, value: Any) -> None:
    """Refuses an object or class of Keras 2, which has other base classes."""
    kinds = [value, *type(value).__mro__]
    if any(getattr(k, "__module__", "").startswith("tf_keras.") for k in kinds):
        raise TypeError(
            f"{caller}: {name} must be of Keras 3 (import keras), got {value!r} of "
            "tf_keras, which is Keras 2. tf.keras is Keras 3 without "
            "TF_USE_LEGACY_KERAS=1."
        )


def _name(loss: keras.losses.Loss | Callable[..., Any]) -> str:
    name = getattr(loss, "name", None) or getattr(loss, "__name__", None)
    return name or type(loss).__name__


def _like(lam: Any, values: Any) -> Any:
    for _ in range(len(lam.shape), len(values.shape)):
        lam = keras.ops.expand_dims(lam, -1)
    return lam
