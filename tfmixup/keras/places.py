"""Places in a model where `MixingModel` mixes."""

from __future__ import annotations

import copy
import dataclasses
import functools
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmixup import elements
from tfmixup.keras.steps import NAME, STEP
from tfmixup.mixers import Mixer, RandomChoice
from tfmixup.specs import check_batched

__all__ = ["Mix", "Places"]


@keras.saving.register_keras_serializable(package="tfmixup")
class _MixedMask(keras.Operation):
    """Mixes the padding masks of the tensors that pass a `Mix` layer.

    Args:
      place: the name of the `Mix` layer.
    """

    def __init__(self, place: str, name: str | None = None) -> None:
        super().__init__(name=name)
        self.place = place

    def call(self, inputs: Any, mask: Any) -> Any:
        step = STEP.get()
        return mask if step is None else step.mix_masks(self.place, inputs, mask)

    def compute_output_spec(self, inputs: Any, mask: Any) -> Any:
        return [keras.KerasTensor(m.shape, m.dtype) for m in mask]


@keras.saving.register_keras_serializable(package="tfmixup")
class Mix(keras.layers.Layer):
    """A place in a model where `MixingModel` mixes; anywhere else it changes nothing.

    `MixingModel(model, mixer, at="layer")` puts a `Mix` behind a layer of a functional
    or sequential model. In a model of your own class, call a `Mix` yourself, and give
    this layer as `at`. `Mix` mixes its inputs only in the wrapper's training step. In
    `evaluate`, `predict` and plain calls, `Mix` returns its inputs. Call a `Mix` once
    in a step. To mix several tensors by the same λ, call `mix((first, second))`.

    Args:
      name: the name of the layer, by which `at` may name it.

    Examples:
      >>> Mix()(tf.constant([[1.0, 2.0]])).numpy()
      array([[1., 2.]], dtype=float32)
    """

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        # The inputs keep their dtype.
        super().__init__(name=name, **{"autocast": False, **kwargs})
        self.supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        """There are no weights."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Mixes in a training step of the wrapper, else returns the inputs.

        Args:
          inputs: a tensor (B, ...), or a nest of such tensors.
          mask: their padding masks (B, T), or None.

        Returns:
          A nest like `inputs`.
        """
        step = STEP.get()
        return inputs if step is None else step.mix(self.name, inputs, mask)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The masks of the mixture. A position counts if it does in either example."""
        flat = keras.tree.flatten(mask)
        given = [one for one in flat if one is not None]
        if not given:
            return mask
        # In a functional model, later layers depend on `_MixedMask` as a node of its
        # own. A node returns only tensors, so each None is left out and put back.
        mixed = iter(_MixedMask(self.name)(inputs, given))
        flat = [None if one is None else next(mixed) for one in flat]
        return keras.tree.pack_sequence_as(mask, flat)

    def compute_output_spec(self, inputs: Any, mask: Any = None) -> Any:
        """The shapes and dtypes of the inputs."""
        return keras.tree.map_structure(
            lambda x: keras.KerasTensor(x.shape, x.dtype), inputs
        )


class Places:
    """The places where a model is mixed, found and checked when the model is built.

    Attributes:
      names: the names of the layers whose outputs are mixed; None for the inputs.
      mixer: the mixer for the inputs. `mixer_at` gives the mixer for hidden tensors.
      outputs: the number of outputs of the model, or None if it is not known.
    """

    def __init__(self, model: keras.Model, mixer: Mixer, at: Any) -> None:
        given = list(at) if isinstance(at, (list, tuple)) else [at]
        self._own = {p.name: p for p in given if isinstance(p, Mix)}
        self.names = tuple(map(_name_of, given))
        self.mixer = mixer
        if not given or len(set(self.names)) < len(given):
            raise ValueError(
                f"at={at!r} must name one place or more, each once: a layer, its name, "
                "or None for the inputs."
            )
        hidden = [name for name in self.names if name is not None]
        layers = {layer.name: layer for layer in model.layers} | self._own
        for layer in model._flatten_layers():  # a Mix within another layer counts too
            if isinstance(layer, Mix):
                layers.setdefault(layer.name, layer)
        for name in hidden:
            if name not in layers:
                raise ValueError(
                    f"at={name!r} is no layer of the model, whose layers are "
                    f"{sorted(layers)}. Of a model within the model, name the inner "
                    "model."
                )
        for layer in given:
            if isinstance(layer, keras.Layer) and layers[layer.name] is not layer:
                raise ValueError(f"at={layer!r} is no layer of the model.")
            if isinstance(layers.get(_name_of(layer)), keras.layers.InputLayer):
                raise ValueError(
                    f"at={layer!r} is an input. Give None, which is all inputs, or the "
                    "layer behind it."
                )
        self._own |= {n: layers[n] for n in hidden if isinstance(layers[n], Mix)}
        self._inserted = {n for n in hidden if n not in self._own}
        if self._inserted and not _is_graph(model):
            raise TypeError(
                f"at={sorted(self._inserted)[0]!r} needs a functional or sequential "
                f"model, got {type(model).__name__}, which has a call of its own. Put "
                "a tfmixup.keras.Mix into its call, and give that layer as `at`."
            )
        self._network: keras.Model | None = None
        self._layers: list[keras.layers.Layer] | None = None
        self.outputs: int | None = None
        if model.built:
            self.find(model)

    def find(self, model: keras.Model) -> None:
        """Makes the model with mixing in it, and checks that it can be mixed."""
        if not _is_graph(model) or not model.built or model.layers == self._layers:
            return
        self._layers = model.layers  # a layer may be added to a sequential model
        self.outputs = len(model.outputs)
        if isinstance(model, keras.Sequential):
            model = keras.Model(model.inputs, model.outputs)
        elif model.compiled:  # or Keras would make the optimizer's variables again
            model = keras.Model(model.input, model.output)
        dtypes = keras.tree.map_structure(lambda x: x.dtype, model.input)
        if None in self.names:
            self._check(None, model.input)
            dtypes = self._mixed_dtypes(model.input)
        called: set[str] = set()

        def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
            if layer.name in self._own:
                self._check(layer.name, args[0])
            inferred = _inferred_masks(layer, model)
            kwargs = {k: v for k, v in kwargs.items() if k not in inferred}
            if None in self.names and _is_graph(layer) and layer.built:
                _check_not_rounded(layer, args)
            made = layer(*args, **kwargs)
            if layer.name not in self._inserted:
                return made
            if layer.name in called:
                raise ValueError(
                    f"layer {layer.name!r} is called more than once in the model: at "
                    "which call to mix is not known. Put a tfmixup.keras.Mix behind "
                    "one of them, and give that layer as `at`."
                )
            called.add(layer.name)
            self._check(layer.name, made)
            return Mix(name=layer.name + _SUFFIX)(made)

        # `clone_model` calls the layers themselves again, not copies of the layers, so
        # that weights and masks are theirs.
        self._network = keras.models.clone_model(
            model,
            input_tensors=keras.tree.map_structure(_input_like, model.input, dtypes),
            clone_function=lambda layer: layer,
            call_function=call,
        )
        self._tell_what_goes_around()

    def _tell_what_goes_around(self) -> None:
        """Warns if an input reaches an output without passing a place."""
        network: Any = self._network
        known = {layer.name for layer in network.layers}
        for name in self.names:
            layer = str(name) if name in self._own else f"{name}{_SUFFIX}"
            # A `Mix` within another layer is not in the network's graph.
            if layer in known and _goes_around(network, layer):
                warnings.warn(
                    f"{NAME}: something of the inputs goes around "
                    f"layer {name!r} and stays the first example's, while labels are "
                    "mixed. Name the layer in which all of it has come together.",
                    stacklevel=2,
                )

    def _mixed_dtypes(self, inputs: Any) -> Any:
        """The dtypes of mixed inputs, which the network with mixing has to take.

        A model casts its inputs to the dtype of its `Input`. An integer dtype would
        round mixed inputs.
        """
        dtype = self.mixer.options.dtype
        parts = self.mixer.split((inputs,))
        floats = elements.map_nest(
            lambda x: (
                x
                if keras.backend.is_float_dtype(x.dtype)
                else keras.KerasTensor(x.shape, dtype)
            ),
            parts.features,
        )
        made = elements.join(parts._replace(features=floats), (inputs,))[0]
        return keras.tree.map_structure(lambda x: x.dtype, made)

    def network(self, model: keras.Model) -> keras.Model:
        """The model with mixing in it."""
        return model if self._network is None else self._network

    def place_of(self, name: str | None) -> int | None:
        """The index of the place that a `Mix` layer is, or None if it is no place."""
        if name is not None and name not in self._own:
            name = name.removesuffix(_SUFFIX)
        return self.names.index(name) if name in self.names else None

    def mixer_at(self, name: str | None, features: Any) -> Mixer:
        """The mixer for the inputs (None), or for the hidden tensors at a layer."""
        if name is None:
            return self.mixer
        dtypes = {x.dtype for x in tf.nest.flatten(features)}
        return _hidden(self.mixer, tf.as_dtype(dtypes.pop()).name)

    def _check(self, name: str | None, features: Any) -> None:
        """Refuses tensors that the mixer cannot mix, by their shapes and dtypes."""
        what = "the inputs" if name is None else f"what layer {name!r} returns"
        specs = keras.tree.map_structure(
            lambda x: tf.TensorSpec(x.shape, x.dtype), features
        )
        flat = tf.nest.flatten(specs)
        for spec in flat:
            if name is not None and not spec.dtype.is_floating:
                raise TypeError(
                    f"{what} cannot be mixed: {elements.describe(spec)}. Name a layer "
                    "that returns floats, such as the embedding behind it."
                )
        if name is not None and len({spec.dtype for spec in flat}) > 1:
            raise TypeError(f"{what} has several dtypes, {flat}: mix before it.")
        for mixer in _each(self.mixer_at(name, specs)):
            try:
                parts = mixer.split((specs,))
                sure = mixer.integers_are_quantities
                check_batched(parts, mixer.options.dtype, sure)
                # `check_spec` of other mixers may want to see a label.
                if mixer.options.moves_pixels:
                    mixer.check_spec(parts)
            except (TypeError, ValueError, KeyError) as error:
                reason = error.args[0]  # not the repr that str() of a KeyError is
                raise type(error)(f"{mixer!r} cannot mix {what}: {reason}") from None


_SUFFIX = "_mixed"


def _inferred_masks(layer: Any, model: keras.Model) -> set[str]:
    """The arguments whose masks Keras has found by itself in the calls of a layer.

    Keras keeps such masks in the graph as if the user had given them. A layer that is
    called again behind a place would get the mask from before the mixing. See
    `Layer.__call__` in
    https://github.com/keras-team/keras/blob/v3.15.1/keras/src/layers/layer.py
    """
    inferred: set[str] = set()
    given: set[str] = set()
    nodes = [node for depth in model._nodes_by_depth.values() for node in depth]
    for node in nodes:
        if node.operation is not layer:
            continue
        found = [getattr(x, "_keras_mask", None) for x in node.input_tensors]
        for name, mask in node.arguments.kwargs.items():
            if name != "mask" and not name.endswith("_mask"):
                continue
            flat = [m for m in keras.tree.flatten(mask) if m is not None]
            if flat:
                own = all(any(_is_same(m, one) for one in found) for m in flat)
                (inferred if own else given).add(name)
    if inferred & given:
        raise TypeError(
            f"layer {layer.name!r} is called with a mask of yours and with its "
            "input's: which is meant behind a place is not known. Use two layers."
        )
    return inferred


def _goes_around(network: keras.Model, place: str) -> bool:
    """Whether an input reaches an output without passing the `Mix` layer `place`."""
    left, seen = list(network.outputs), set()
    while left:
        tensor = left.pop()
        operation, node, _ = tensor._keras_history
        mask_of = operation.place if isinstance(operation, _MixedMask) else None
        if place in (operation.name, mask_of) or (operation, node) in seen:
            continue
        if isinstance(operation, keras.layers.InputLayer):
            return True
        seen.add((operation, node))
        left.extend(operation._inbound_nodes[node].input_tensors)
    return False


def _input_like(x: Any, dtype: str) -> Any:
    """A new Input like the input `x`, with this dtype."""
    layer = x._keras_history.operation
    return keras.Input(
        batch_shape=x.shape,
        dtype=dtype,
        name=x.name,
        sparse=layer.sparse,
        optional=layer.optional,
    )


def _check_not_rounded(inner: Any, args: Any) -> None:
    """Refuses to pass floats to a model within the model that takes integers."""
    for came, own in zip(keras.tree.flatten(args), inner.inputs):
        floats = map(keras.backend.is_float_dtype, (came.dtype, own.dtype))
        if list(floats) == [True, False]:
            raise TypeError(
                f"the model {inner.name!r} within the model has inputs of {own.dtype}, "
                f'and would round mixed ones. Give its Input dtype="{came.dtype}".'
            )


def _is_same(one: Any, other: Any) -> bool:
    """Whether two symbolic tensors, or two values, are the same or computed alike.

    In a loaded model a mask is computed twice. One node comes from the saved graph, and
    Keras makes another node when it calls the layer.
    """
    if not all(isinstance(x, keras.KerasTensor) for x in (one, other)):
        return one is other or (type(one) is type(other) and bool(np.all(one == other)))
    first, second = one._keras_history, other._keras_history
    if isinstance(first.operation, keras.Layer):
        if first.operation is not second.operation:
            return False
    elif type(first.operation) is not type(second.operation):
        return False
    if one is other or first == second:
        return True
    made = [h.operation._inbound_nodes[h.node_index].arguments for h in (first, second)]
    parts = [keras.tree.flatten([list(a.args), a.kwargs]) for a in made]
    alike = first.tensor_index == second.tensor_index and len(parts[0]) == len(parts[1])
    return alike and all(map(_is_same, *parts))


def _name_of(place: Any) -> str | None:
    if isinstance(place, keras.Layer):
        return place.name
    if place is None or isinstance(place, str):
        return place
    raise TypeError(
        f"at must be None, a layer, its name or a list of such, got {place!r} "
        f"({type(place).__name__})."
    )


def _is_graph(model: keras.Model) -> bool:
    """Whether a model is functional or sequential, without a `call` of its own."""
    kinds: tuple[Any, ...] = _functional(), keras.Sequential
    return type(model).call in [kind.call for kind in kinds]


@functools.cache
def _functional() -> type:
    """The class of functional models, which Keras does not export."""
    x = keras.Input([1], name="x")
    # Keras 3.12, the last that Python 3.10 has, refuses an output that is the input.
    y = keras.layers.Identity(name="y")(x)
    return type(keras.Model(x, y, name="functional"))


def _each(mixer: Mixer) -> list[Mixer]:
    if not isinstance(mixer, RandomChoice):
        return [mixer]
    return [one for inner in mixer.mixers for one in _each(inner)]


def _hidden(mixer: Mixer, dtype: str) -> Mixer:
    """The same mixer for hidden tensors, through which the gradient has to pass."""
    if isinstance(mixer, RandomChoice):
        mixers = tuple(_hidden(inner, dtype) for inner in mixer.mixers)
        made: Any = dataclasses.replace(mixer, mixers=mixers)
        object.__setattr__(made, "computes_all", True)
        return made
    made = copy.copy(mixer)  # a mixer of one's own need not be a dataclass
    fields = {"dtype": dtype, "length_keys": (), "keep_keys": ()}
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    made.check_arguments()
    return made
