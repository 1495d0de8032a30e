"""RandomChoice: each of its mixers does what it does alone, as often as it should."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfmixup

JIT = [True, False]
N = 6


def members(**arguments):
    arguments = {"num_classes": 4, **arguments}
    return [
        tfmixup.MixUp(0.8, **arguments),
        tfmixup.CutMix(1.0, **arguments),
        tfmixup.ResizeMix(**arguments),
    ]


def batch(seed, masks=False):
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 256, (N, 7, 9, 3), np.uint8)
    shape = (N, 7, 9) if masks else (N,)
    y = draw.integers(0, 5 if masks else 4, shape).astype(np.uint8)
    return x, np.where(y == 4, 255, y)


def assert_same(got, want):
    tf.nest.assert_same_structure(got, want)
    for one, other in zip(tf.nest.flatten(got), tf.nest.flatten(want)):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("masks", [False, True])
def test_per_batch_is_the_chosen_mixer_alone(masks, jit):
    extra = {"ignore_label": 255} if masks else {}
    mixers = members(jit_compile=jit, **extra)
    mixer = tfmixup.RandomChoice(mixers)
    drawn = mixer.sample(N, [1, 2])
    for k in range(3):
        params = drawn._replace(choice=tf.constant([k]))
        got = mixer.apply(batch(1, masks), batch(2, masks), params)
        want = mixers[k].apply(batch(1, masks), batch(2, masks), drawn.mixers[k])
        assert_same(got, want)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("targets", ["blend", "pair"])
def test_per_example_every_row_is_of_its_mixer(targets, jit):
    mixers = members(jit_compile=jit, targets=targets)
    mixer = tfmixup.RandomChoice(mixers, per="example")
    choice = np.array([0, 1, 2, 2, 1, 0], np.int32)
    drawn = mixer.sample(N, [1, 2])._replace(choice=tf.constant(choice))
    x, w = batch(1), np.linspace(1, 2, N).astype(np.float32)
    first, second = (*x, w), (*batch(2), w[::-1])
    got = mixer.apply(first, second, drawn)
    alone = [m.apply(first, second, p) for m, p in zip(mixers, drawn.mixers)]
    want = tf.nest.map_structure(
        lambda *made: tf.stack([made[k][row] for row, k in enumerate(choice)]), *alone
    )
    assert_same(got, want)


@dataclasses.dataclass(frozen=True, repr=False)
class Counted(tfmixup.MixUp):
    """MixUp that counts how often it is computed."""

    calls: ClassVar[dict[float, int]] = {}

    def mix_features(self, first, second, params):
        def count(x):
            self.calls[self.alpha] = self.calls.get(self.alpha, 0) + 1
            return x

        counted = tf.ensure_shape(tf.py_function(count, [first], tf.uint8), first.shape)
        return super().mix_features(counted, second, params)


def test_per_batch_computes_only_the_chosen_one():
    mixers = [Counted(a, num_classes=4, jit_compile=False) for a in (0.25, 4.0)]
    mixer = tfmixup.RandomChoice(mixers)
    for k, times in ((0, 2), (1, 5)):
        drawn = mixer.sample(N, [1, 2])._replace(choice=tf.constant([k]))
        for _ in range(times):
            mixer.apply(batch(1), batch(2), drawn)
    assert Counted.calls == {0.25: 2, 4.0: 5}


@pytest.mark.parametrize("per", ["batch", "example"])
@pytest.mark.parametrize("weights", [None, (3, 1, 2)])
def test_chosen_as_often_as_the_odds_say(weights, per):
    mixer = tfmixup.RandomChoice(members(), weights=weights, per=per)
    drawn = mixer.sample(4, [5, 6], num_batches=3000)
    assert drawn.choice.shape == ((3000, 1) if per == "batch" else (3000, 4))
    counts = np.bincount(np.ravel(drawn.choice), minlength=3)
    odds = np.array(weights or (1, 1, 1)) / np.sum(weights or (1, 1, 1))
    # Multinomial: false alarms 1e-6 each.
    assert stats.chisquare(counts, odds * counts.sum()).pvalue > 1e-6
    # Independent of the parameters that the chosen one uses.
    lam = np.broadcast_to(drawn.mixers[1].lam, (3000, 4))
    first = np.broadcast_to(np.asarray(drawn.choice) == 0, lam.shape)
    assert stats.ks_2samp(lam[first], lam[~first]).pvalue > 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("per", ["batch", "example"])
def test_pipelines_with_partial_batches(per, jit):
    x = np.random.default_rng(0).normal(size=(10, 6, 8, 1)).astype(np.float32)
    elements = {"image": x, "label": np.arange(10), "id": np.arange(10)}
    ds = tf.data.Dataset.from_tensor_slices(elements)
    mixer = tfmixup.RandomChoice(
        members(num_classes=10, jit_compile=jit), weights=(1, 2, 3), per=per
    )

    def stream():
        return ds.apply(
            tfmixup.two_streams(
                mixer, 4, seed=1, drop_remainder=False, keep_originals=True
            )
        )

    got = list(stream().as_numpy_iterator())
    assert [len(b["id"]) for b in got] == [4, 4, 4, 4, 2, 2]
    for one, other in zip(got, stream().as_numpy_iterator()):
        np.testing.assert_array_equal(one["image"], other["image"])
    for original in got[::2]:
        np.testing.assert_array_equal(original["image"], x[original["id"]])
    batches = ds.batch(5, drop_remainder=True)
    for mixed in (batches.apply(tfmixup.in_batch(mixer)), batches.map(mixer)):
        assert mixed.element_spec["image"].shape == (5, 6, 8, 1)
        for each in mixed.as_numpy_iterator():
            np.testing.assert_allclose(each["label"].sum(axis=1), 1, atol=1e-6)


def test_nested_choices_and_share():
    inner = tfmixup.RandomChoice(members()[1:], per="example")
    outer = tfmixup.RandomChoice([members()[0], inner])
    drawn = outer.sample(N, [1, 2])
    params = drawn._replace(choice=tf.constant([1]))
    got = outer.apply(batch(1), batch(2), params)
    assert_same(got, inner.apply(batch(1), batch(2), drawn.mixers[1]))
    parts = [
        outer.split((tf.constant(x), tf.constant(y))) for x, y in (batch(1), batch(2))
    ]
    rows = list(enumerate(drawn.mixers[1].choice))
    pairs = list(zip(inner.mixers, drawn.mixers[1].mixers))
    assert len({int(k) for _, k in rows}) == 2
    shares = [m.share(*parts, p) for m, p in pairs]
    np.testing.assert_array_equal(
        outer.share(*parts, params), [shares[k][row] for row, k in rows]
    )
    x = [part.features for part in parts]
    features = [m.mix_features(*x, p) for m, p in pairs]
    np.testing.assert_array_equal(
        outer.mix_features(*x, params), [features[k][row] for row, k in rows]
    )


def test_value():
    mixer = tfmixup.RandomChoice(members(dtype="uint8"), weights=[1, 2, 3])
    same = tfmixup.RandomChoice(tuple(members(dtype="uint8")), weights=(1.0, 2.0, 3.0))
    assert mixer == same == dataclasses.replace(mixer)
    assert hash(mixer) == hash(same)
    assert mixer != dataclasses.replace(mixer, per="example")
    assert repr(tfmixup.RandomChoice([tfmixup.MixUp(0.8), tfmixup.CutMix()])) == (
        "RandomChoice(mixers=(MixUp(alpha=0.8), CutMix(alpha=1.0)))"
    )
    for field in dataclasses.fields(tfmixup.Mixer):
        # A field that RandomChoice forgot would be an argument that does nothing.
        own = {f.name: f.init for f in dataclasses.fields(mixer)}
        assert own[field.name] is False
        assert getattr(mixer, field.name) == getattr(mixer.mixers[0], field.name)
    with pytest.raises((ValueError, TypeError), match="num_classes"):
        dataclasses.replace(mixer, num_classes=3)


def test_switched_off():
    mixer = tfmixup.RandomChoice(members())
    x, y = batch(1)
    validation = dataclasses.replace(mixer.mixers[0], alpha=0)
    for off in (
        validation,
        tfmixup.RandomChoice([validation, tfmixup.CutMix(0, num_classes=4)]),
    ):
        got, label = off(x, y)
        np.testing.assert_array_equal(got, x)
        np.testing.assert_array_equal(label, np.eye(4)[y])


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("num_classes", (4, 5)),
        ("label_smoothing", (0.0, 0.1)),
        ("targets", ("blend", "pair")),
        ("ignore_label", (None, 255)),
        ("integer_masks", (False, True)),
        ("feature_keys", (("image",), ("rgb",))),
        ("target_keys", (("label",), ("mask",))),
        ("dtype", ("float32", "uint8")),
        ("jit_compile", ("auto", True)),
    ],
)
def test_mixers_with_different_outputs(field, values):
    one, other = (
        cls(**{"num_classes": 4, field: value})
        for cls, value in zip((tfmixup.MixUp, tfmixup.CutMix), values)
    )
    message = rf"^tfmixup.RandomChoice: mixers must agree in {field}, but MixUp.* has "
    with pytest.raises(ValueError, match=message) as caught:
        tfmixup.RandomChoice([one, other])
    assert all(f"has {value!r}" in str(caught.value) for value in values)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"mixers": tfmixup.MixUp()},
            TypeError,
            "mixers must be a list of mixers, got",
        ),
        ({"mixers": [tfmixup.MixUp]}, TypeError, "mixers must be mixers, such as"),
        ({"mixers": [tfmixup.MixUp()]}, ValueError, "mixers must be two or more"),
        ({"weights": (1, 2)}, ValueError, "weights must be 3 positive numbers.*odds"),
        ({"weights": (1, 2, 0)}, ValueError, "weights must be 3 positive numbers"),
        ({"weights": (1, 2, "3")}, ValueError, "weights must be 3 positive numbers"),
        ({"weights": 0.5}, TypeError, "weights must be a list of numbers"),
        ({"per": "image"}, ValueError, "per must be one of 'batch', 'example'"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=f"^tfmixup.RandomChoice: {message}"):
        tfmixup.RandomChoice(**{"mixers": members(), **arguments})


def test_what_one_mixer_cannot_mix_no_choice_can():
    mixer = tfmixup.RandomChoice(members())
    table = tf.data.Dataset.from_tensor_slices((tf.zeros([8, 5]), tf.range(8) % 4))
    with pytest.raises(ValueError, match=r"two_streams: CutMix pastes .*needs images"):
        table.apply(tfmixup.two_streams(mixer, 4))
