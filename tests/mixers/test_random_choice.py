"""RandomChoice: each of its mixers does what it does alone, as often as it should."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfmixup
from tests.reference import RATE, assert_same

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
        assert_same(got, want, atol=1e-4)


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
    assert_same(got, want, atol=1e-4)


@pytest.mark.parametrize("per", ["batch", "example"])
def test_per_batch_computes_only_the_chosen_one(per):
    mixer = tfmixup.RandomChoice(members(jit_compile=False), per=per)
    mix = tf.function(lambda params: mixer.apply(batch(1), batch(2), params))
    graph = mix.get_concrete_function(mixer.sample(N, [1, 2])).graph.as_graph_def()
    ops = {node.op for function in graph.library.function for node in function.node_def}
    assert bool(ops & {"Case", "StatelessCase"}) == (per == "batch")


@pytest.mark.parametrize("per", ["batch", "example"])
@pytest.mark.parametrize("weights", [None, (3, 1, 2)])
def test_chosen_as_often_as_the_odds_say(weights, per):
    mixer = tfmixup.RandomChoice(members(), weights=weights, per=per)
    drawn = mixer.sample(4, [5, 6], num_batches=3000)
    assert drawn.choice.shape == ((3000, 1) if per == "batch" else (3000, 4))
    counts = np.bincount(np.ravel(drawn.choice), minlength=3)
    odds = np.array(weights or (1, 1, 1)) / np.sum(weights or (1, 1, 1))
    assert stats.chisquare(counts, odds * counts.sum()).pvalue > RATE
    # Independent of the parameters that the chosen one uses.
    lam = np.broadcast_to(drawn.mixers[1].lam, (3000, 4))
    first = np.broadcast_to(np.asarray(drawn.choice) == 0, lam.shape)
    assert stats.ks_2samp(lam[first], lam[~first]).pvalue > RATE


def test_nested_choices():
    inner = tfmixup.RandomChoice(members()[1:], per="example")
    outer = tfmixup.RandomChoice([members()[0], inner])
    drawn = outer.sample(N, [1, 2])
    params = drawn._replace(choice=tf.constant([1]))
    got = outer.apply(batch(1), batch(2), params)
    want = inner.apply(batch(1), batch(2), drawn.mixers[1])
    assert len(set(drawn.mixers[1].choice.numpy())) == 2
    assert_same(got, want, atol=1e-4)


def test_a_choice_with_cmixup_takes_its_partners():
    nearest = tfmixup.CMixup(1e-3, lam_range=(0.4, 0.6))
    mixer = tfmixup.RandomChoice([tfmixup.MixUp(lam_range=(0.4, 0.6)), nearest])
    drawn = mixer.sample(4, [1, 2])
    labels, shift = np.float32([0.0, 10.0, 0.1, 10.1]), tf.constant([1, 2, 3, 0])
    for choice, partner in ((0, [1, 2, 3, 0]), (1, [2, 3, 0, 1])):
        params = drawn._replace(choice=tf.constant([choice]))
        x, _ = mixer.apply_in_batch((np.eye(4), labels), shift, params)
        others = np.where(np.eye(4), 0, x)
        np.testing.assert_array_equal(others.argmax(axis=1), partner)
    with pytest.raises(ValueError, match=r"RandomChoice chooses .*in_batch"):
        tfmixup.two_streams(mixer, 4)


def test_arguments_that_all_mixers_share_are_those_of_its_mixers():
    mixer = tfmixup.RandomChoice(members(dtype="uint8"), weights=[1, 2, 3])
    assert mixer != dataclasses.replace(mixer, per="example")
    for field in dataclasses.fields(tfmixup.mixers.Options):
        assert getattr(mixer, field.name) == getattr(mixer.mixers[0], field.name)
    with pytest.raises(TypeError, match="num_classes"):
        dataclasses.replace(mixer, num_classes=3)
    with pytest.raises(AttributeError, match="RandomChoice has no attribute 'alpha'"):
        _ = mixer.alpha


def test_a_choice_of_mixers_that_are_off_is_off():
    for turned in (
        tfmixup.RandomChoice(members()).off(),
        tfmixup.RandomChoice([m.off() for m in members()]),
    ):
        x, y = batch(1)
        got, label = turned(x, y)
        np.testing.assert_array_equal(got, x)
        np.testing.assert_array_equal(label, np.eye(4)[y])


def test_a_choice_with_a_mixer_that_is_off_mixes():
    mixers = members()
    choice = tfmixup.RandomChoice([mixers[0].off(), *mixers[1:]])
    x, y = batch(1)
    params = choice.sample(len(y), [1, 2])._replace(choice=tf.constant([1]))
    got, _ = choice.apply_in_batch((x, y), tf.roll(tf.range(len(y)), 1, 0), params)
    assert np.any(got.numpy() != np.asarray(x))


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
        ("length_keys", ((), ("length",))),
        ("keep_keys", ((), ("id",))),
        ("max_boxes", (4, 5)),
        ("dtype", ("float32", "uint8")),
        ("jit_compile", ("auto", True)),
    ],
)
def test_mixers_with_different_outputs_are_refused(field, values):
    one, other = (
        cls(**{"num_classes": 4, field: value})
        for cls, value in zip((tfmixup.MixUp, tfmixup.CutMix), values)
    )
    message = rf"^tfmixup.RandomChoice: mixers must agree in {field}, but MixUp.* has "
    with pytest.raises(ValueError, match=message) as caught:
        tfmixup.RandomChoice([one, other])
    assert all(f"has {value!r}" in str(caught.value) for value in values)


@pytest.mark.parametrize("per", ["batch", "example"])
def test_a_choice_of_one_mixer_is_that_mixer(per):
    only = tfmixup.CutMix(num_classes=4)
    x, y = batch(1)
    choice = tfmixup.RandomChoice([only], weights=[3], per=per)
    params = choice.sample(len(x), [1, 2])
    assert not np.any(params.choice)
    got = choice.apply((x, y), (x[::-1], y[::-1]), params)
    want = only.apply((x, y), (x[::-1], y[::-1]), params.mixers[0])
    for mine, theirs in zip(got, want):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_mixers_with_nan_for_unknown_labels_agree():
    first = tfmixup.MixUp(ignore_label=float("nan"))
    again = tfmixup.MixUp(ignore_label=np.float32("nan"))
    assert first == again
    assert hash(first) == hash(again)
    assert first != tfmixup.MixUp()
    assert first != tfmixup.MixUp(ignore_label=-1)
    tfmixup.RandomChoice([first, again])
    with pytest.raises(ValueError, match="must agree in ignore_label"):
        tfmixup.RandomChoice([first, tfmixup.MixUp(ignore_label=-1)])
