"""Mixers as configurations: through JSON and back."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow_probability as tfp

import tfmixup

tfd = tfp.distributions
MIXERS = [
    tfmixup.MixUp(0.2, num_classes=10, lam_range=(0.5, 1), label_smoothing=0.1),
    tfmixup.MixUp(ignore_label=math.nan, dtype="bfloat16", jit_compile=False),
    tfmixup.MixUp(num_classes=(3, None), target_keys=("a", "b")),
    tfmixup.MixUp(num_classes={"a": 3, "b": [4, 5]}),
    tfmixup.MixUp(num_classes={"tuple": 3, "array": 4}),
    tfmixup.MixUp(distribution=tfd.Uniform(0.1, 0.9)),
    tfmixup.MixUp(distribution=tfd.Kumaraswamy(np.float64(0.4), np.float64(0.4))),
    tfmixup.MixUp(
        distribution=tfd.MixtureSameFamily(
            tfd.Categorical(probs=[0.3, 0.7]), tfd.Beta([0.2, 8.0], [0.2, 8.0])
        )
    ),
    tfmixup.CutMix(axes=(1,), probability=0.5, targets="pair"),
    tfmixup.ResizeMix(num_classes=3, scale=(0.2, 0.4)),
    tfmixup.Mosaic((0.1, 0.9), max_boxes=9, box_format="xyxy", min_visible=0.3),
    tfmixup.BetweenClass(16_000, keep_keys=["id"]),
    tfmixup.CMixup(bandwidth=0.5),
    tfmixup.Remix([10, 20, 30], num_classes=3),
    tfmixup.RandomChoice(
        [
            tfmixup.MixUp(0.8, num_classes=4),
            tfmixup.RandomChoice([tfmixup.CutMix(num_classes=4)], per="example"),
        ],
        weights=(3, 1),
    ),
]


@pytest.mark.parametrize("mixer", MIXERS, ids=lambda mixer: type(mixer).__name__)
def test_a_mixer_comes_back_from_json(mixer):
    text = json.dumps(keras.saving.serialize_keras_object(mixer))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert again == mixer
    assert hash(again) == hash(mixer)
    assert again.get_config() == mixer.get_config() or "nan" in repr(mixer)
    drawn = [m.sample(4, seed=[1, 2]) for m in (mixer, again)]
    for one, other in zip(*map(keras.tree.flatten, drawn)):
        np.testing.assert_array_equal(one, other)


def test_a_configuration_reads_as_the_arguments():
    config = tfmixup.CutMix(0.5, num_classes=3).get_config()
    told = {"alpha": 0.5, "num_classes": 3, "feature_keys": ["image"], "axes": None}
    assert {key: config[key] for key in told} == told


def test_what_json_cannot_hold_is_refused():
    logistic = tfd.TransformedDistribution(
        tfd.Normal(0.0, 1.0), tfp.bijectors.Sigmoid()
    )
    mixer = tfmixup.MixUp(distribution=logistic)
    with pytest.raises(TypeError, match=r"tfmixup\.MixUp: .*cannot be told in JSON"):
        mixer.get_config()

    mixer = tfmixup.MixUp(num_classes={0: 3, 1: None})  # JSON has strings as keys
    with pytest.raises(TypeError, match=r"num_classes=.*cannot be told in JSON"):
        mixer.get_config()

    class Own(tfd.Uniform):
        pass

    mixer = tfmixup.MixUp(distribution=Own(0.1, 0.9))
    with pytest.raises(TypeError, match=r"being none of tfp\.distributions"):
        mixer.get_config()


def test_a_mixer_of_ones_own_that_is_no_dataclass_says_so():
    class Plain(tfmixup.Mixer):
        def sample(self, batch_size, seed, num_batches=None):
            raise NotImplementedError

        def recipe(self, first, second, params):
            raise NotImplementedError

    with pytest.raises(
        TypeError, match="Plain is no dataclass: give it methods get_co"
    ):
        Plain().get_config()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_distribution_keeps_the_dtype_of_its_parameters(dtype):
    parameters = np.array([0.3, 0.4], dtype)
    mixer = tfmixup.MixUp(distribution=tfp.distributions.Beta(*parameters))
    again = tfmixup.MixUp.from_config(json.loads(json.dumps(mixer.get_config())))
    assert again.distribution.dtype == mixer.distribution.dtype == dtype
    assert again == mixer
