"""What every mixer is: a value, a function of batches, and something to turn off."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup
from tests.reference import ROUTES, assert_same, eye, mixed, numbers, one_hot

tfd = tfp.distributions

SEED = [3, 11]
N, CLASSES = 10, 4
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 6, 8, 1), np.uint8)
IDS = np.arange(N) % CLASSES
CHOICE = [tfmixup.MixUp(1.0, num_classes=CLASSES), tfmixup.CutMix(num_classes=CLASSES)]

# Each with a mixer equal to it, its repr, and the elements that it mixes.
MIXERS = {
    "MixUp": (
        tfmixup.MixUp(1, num_classes=CLASSES),
        tfmixup.MixUp(alpha=1.0, num_classes=CLASSES),
        "MixUp(num_classes=4, alpha=1.0)",
        (IMAGES, IDS),
    ),
    "CutMix": (
        tfmixup.CutMix(num_classes=CLASSES),
        tfmixup.CutMix(1.0, num_classes=CLASSES),
        "CutMix(num_classes=4, alpha=1.0)",
        (IMAGES, IDS),
    ),
    "ResizeMix": (
        tfmixup.ResizeMix([0.1, 0.8], num_classes=CLASSES),
        tfmixup.ResizeMix(num_classes=CLASSES),
        "ResizeMix(num_classes=4, scale=(0.1, 0.8))",
        (IMAGES, IDS),
    ),
    "Mosaic": (
        tfmixup.Mosaic([0.25, 0.75], num_classes=CLASSES),
        tfmixup.Mosaic(num_classes=CLASSES),
        "Mosaic(num_classes=4, centre_range=(0.25, 0.75))",
        (IMAGES, IDS),
    ),
    "Remix": (
        tfmixup.Remix(np.array([5, 3, 1, 1])),
        tfmixup.Remix(tf.constant([5, 3, 1, 1]), 3, 0.5, alpha=1.0, num_classes=4),
        None,
        (IMAGES, IDS),
    ),
    "CMixup": (
        tfmixup.CMixup(2),
        tfmixup.CMixup(bandwidth=2.0),
        "CMixup(bandwidth=2.0)",
        (IMAGES, IDS.astype(np.float32)),
    ),
    "BetweenClass": (
        tfmixup.BetweenClass(1000, num_classes=CLASSES),
        tfmixup.BetweenClass(sample_rate=1000, alpha=1.0, num_classes=CLASSES),
        "BetweenClass(num_classes=4, sample_rate=1000)",
        (np.sin(np.arange(N * 300.0)).reshape(N, 300).astype(np.float32), IDS),
    ),
    "RandomChoice": (
        tfmixup.RandomChoice(CHOICE, weights=[1, 2]),
        tfmixup.RandomChoice(tuple(CHOICE), weights=(1.0, 2.0)),
        f"RandomChoice(mixers=({CHOICE[0]!r}, {CHOICE[1]!r}), weights=(1.0, 2.0))",
        (IMAGES, IDS),
    ),
}
each_mixer = pytest.mark.parametrize("name", MIXERS)


# A value


@each_mixer
def test_a_mixer_is_a_value(name):
    mixer, same, text, _ = MIXERS[name]
    assert mixer == same == dataclasses.replace(mixer)
    assert hash(mixer) == hash(same)
    assert len({mixer, same, mixer.off()}) == 2
    assert mixer != 0.2
    if text is not None:
        assert repr(mixer) == text
    assert eval(repr(mixer), vars(tfmixup)) == mixer


@each_mixer
def test_mixers_are_frozen(name):
    mixer = MIXERS[name][0]
    for field in ("alpha", "num_classes", "_distribution_key", "new"):
        with pytest.raises(dataclasses.FrozenInstanceError, match=field):
            setattr(mixer, field, 1)
        with pytest.raises(dataclasses.FrozenInstanceError, match=field):
            delattr(mixer, field)


def mixture(share: float = 0.3) -> tfd.Distribution:
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=[share, 1 - share]), tfd.Beta([2.0, 8.0], [8.0, 3.0])
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"alpha": np.float64(0.2), "dtype": np.dtype("float32")}),
        ({"feature_keys": ["x"]}, {"feature_keys": ("x",)}),
        ({"lam_range": [0, 1]}, {"lam_range": (0.0, 1.0)}),
        ({"dtype": tf.float16}, {"dtype": "float16"}),
        ({"distribution": tfd.Beta(0.4, 1.0)}, {"distribution": tfd.Beta(0.4, 1.0)}),
        ({"distribution": mixture()}, {"distribution": mixture()}),
    ],
)
def test_equal_arguments_make_equal_mixers(one, other):
    first, second = tfmixup.MixUp(**one), tfmixup.MixUp(**other)
    assert first == second
    assert hash(first) == hash(second)


FIELDS = {
    "axes": (2, 3),
    "min_visible": 0.3,
    "alpha": 0.3,
    "distribution": tfd.Uniform(0.0, 1.0),
    "lam_range": (0.1, 0.9),
    "per": "batch",
    "probability": 0.5,
    "num_classes": 11,
    "label_smoothing": 0.1,
    "targets": "pair",
    "ignore_label": 255,
    "integer_masks": True,
    "feature_keys": ("audio",),
    "target_keys": ("y",),
    "length_keys": ("length",),
    "keep_keys": ("id",),
    "max_boxes": 7,
    "box_format": "xyxy",
    "box_weights": False,
    "dtype": "float16",
    "jit_compile": True,
}


def test_mixers_that_differ_in_one_field():
    base = tfmixup.CutMix(num_classes=10, max_boxes=8)
    assert {f.name for f in dataclasses.fields(base) if f.init} == {*FIELDS}
    others = [dataclasses.replace(base, **{k: v}) for k, v in FIELDS.items()]
    for other, (name, value) in zip(others, FIELDS.items()):
        assert getattr(other, name) == value
        assert f"{name}={value!r}" in repr(other) or name == "distribution"
    assert len({base, *others, *map(dataclasses.replace, others)}) == 1 + len(FIELDS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (tfd.Beta(0.4, 1.0), tfd.Beta(1.0, 0.4)),
        (
            tfd.TruncatedNormal(0.5, 0.2, 0.0, 1.0),
            tfd.TruncatedCauchy(0.5, 0.2, 0.0, 1.0),
        ),
        (tfd.Beta(0.4, 1.0), tfd.Beta(np.float64(0.4), np.float64(1.0))),
        (mixture(0.3), mixture(0.4)),
        (tfd.FiniteDiscrete([0.1, 0.2], probs=[0.5, 0.5]), tfd.Deterministic(0.1)),
    ],
)
def test_different_distributions_make_different_mixers(one, other):
    first, second = (tfmixup.MixUp(distribution=d) for d in (one, other))
    assert first != second
    assert dataclasses.replace(first, distribution=other) == second


def test_repr_names_the_distribution():
    text = repr(tfmixup.MixUp(distribution=tfd.Beta(0.4, 1.0)))
    assert "distribution=<tfp.distributions.Beta" in text
    assert "_key" not in text


def test_only_alpha_is_positional():
    assert tfmixup.MixUp(0.7).alpha == 0.7
    assert tfmixup.MixUp().alpha == 0.2
    with pytest.raises(TypeError, match="positional argument"):
        tfmixup.MixUp(0.7, 10)


# A function of one batch or two


@pytest.mark.parametrize("jit", [True, False])
def test_call_pairs_every_example_with_one_other(jit):
    size = 32
    mixer = tfmixup.MixUp(1.0, num_classes=size, jit_compile=jit)
    x, y = (part.numpy() for part in mixer(*eye(size), seed=SEED))
    np.testing.assert_array_equal(x, y)
    # With α = 1, λ is 0 or 1 for one of 32 with p < 1e-5; the seed is fixed.
    np.testing.assert_array_equal(np.count_nonzero(x, axis=1), 2)
    lam = np.diag(x)
    assert len(np.unique(lam)) == size
    others = x - np.diag(lam)
    np.testing.assert_allclose(np.max(others, axis=1), 1 - lam, atol=1e-7)
    # Everybody is a partner once.
    np.testing.assert_array_equal(np.sort(np.argmax(others, axis=1)), np.arange(size))


def test_call_with_one_lambda_per_batch():
    mixer = tfmixup.MixUp(1.0, num_classes=8, per="batch")
    x, y = (part.numpy() for part in mixer(*eye(8), seed=SEED))
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(np.count_nonzero(x, axis=1), 2)
    assert len(np.unique(np.diag(x))) == 1


def test_pair_takes_the_first_from_the_first_batch():
    mixer = tfmixup.MixUp(1.0, num_classes=16, lam_range=(0.6, 0.9))
    first, ids = eye(16)
    reverse = first[::-1], ids[::-1]
    x, y = (part.numpy() for part in mixer.pair((first, ids), reverse, seed=SEED))
    np.testing.assert_array_equal(x, y)
    lam = np.diag(x)
    assert len(np.unique(lam)) == 16
    assert np.all((lam >= 0.6) & (lam <= 0.9))
    np.testing.assert_allclose(np.diag(x[:, ::-1]), 1 - lam, atol=1e-7)


@pytest.mark.parametrize("wrap", [lambda fn: fn, tf.function])
def test_calls_without_a_seed_are_fresh_every_time(wrap: Callable[..., Any]):
    mixer = tfmixup.MixUp(1.0, num_classes=8)
    first, ids = eye(8)
    call = wrap(lambda: mixer(first, ids)[0])
    pair = wrap(lambda: mixer.pair((first, ids), (first[::-1], ids[::-1]))[0])
    for draw in (call, pair):
        drawn = []
        for _ in range(2):
            tf.random.set_seed(1)  # must not make it repeat
            drawn += [draw().numpy(), draw().numpy()]
        # Equal with a chance below 1e-40.
        assert len({one.tobytes() for one in drawn}) == 4


def test_calls_with_a_seed_repeat():
    mixer = tfmixup.MixUp(1.0, num_classes=8)
    reverse = tuple(part[::-1] for part in eye(8))
    for call in (
        lambda seed: mixer(*eye(8), seed=seed)[0].numpy(),
        lambda seed: mixer.pair(eye(8), reverse, seed=seed)[0].numpy(),
    ):
        one = call(SEED)
        np.testing.assert_array_equal(one, call(tf.constant(SEED)))
        assert np.any(one != call([3, 12]))
        assert np.all(np.isfinite(call([-5, 0])))


@pytest.mark.parametrize("weights", [(), (tf.range(8.0),)])
def test_a_batch_may_come_as_one_tuple(weights):
    mixer = tfmixup.MixUp(1.0, num_classes=8)
    batch = (*eye(8), *weights)
    assert_same(mixer(batch, seed=SEED), mixer(*batch, seed=SEED))


def test_keep_first_returns_the_first_encoded_and_cast_and_the_mixed():
    mixer = tfmixup.MixUp(num_classes=CLASSES, label_smoothing=0.1, dtype="float16")
    batches = [
        {"image": numbers((N, 3), "uint8", k), "label": ids, "id": np.arange(N)}
        for k, ids in enumerate((IDS, IDS[::-1]))
    ]
    half, one = (tfmixup.MixUpParams(tf.fill([N], lam)) for lam in (0.5, 1.0))
    original, got = mixer.apply(*batches, half, keep_first=True)
    assert_same(original, mixer.apply(*batches, one))
    assert_same(got, mixer.apply(*batches, half))


# In pipelines, and turned off


@each_mixer
def test_every_way_to_mix_a_dataset(name):
    mixer, _, _, (x, y) = MIXERS[name]
    mixer = with_jit(mixer, False)  # compilation is tested mixer by mixer
    examples = tf.data.Dataset.from_tensor_slices((x, y))
    ways = ["in_batch", "map"] if mixer.in_batch_only else ROUTES
    for route in ways:
        got = mixed(route, examples, mixer, 4)
        label = [None] if name == "CMixup" else [None, CLASSES]
        assert got.element_spec[0] == tf.TensorSpec([None, *x.shape[1:]])
        assert got.element_spec[1] == tf.TensorSpec(label)
        batches = list(got.as_numpy_iterator())
        assert [len(x) for x, _ in batches] == [4, 4, 2]
        assert all(np.isfinite(x).all() for x, _ in batches)
        labels = np.concatenate([label for _, label in batches])
        if name == "CMixup":
            assert not np.isin(labels, y).all()
        else:
            np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
            assert np.any(np.sum(labels > 0, axis=1) >= 2)


OFF = {
    "alpha": (lambda m: dataclasses.replace(m, alpha=0)),
    "probability": (lambda m: dataclasses.replace(m, probability=0.0)),
    "off": (lambda m: m.off()),
}


@each_mixer
def test_a_mixer_that_is_off_only_casts_and_encodes(name):
    mixer, _, _, (x, y) = MIXERS[name]
    x = x.astype(np.float32)
    x[3] = np.inf  # the partner of an example is not looked at: 0 · ∞ is NaN
    want = y if name == "CMixup" else one_hot(y, CLASSES)
    fields = {field.name for field in dataclasses.fields(mixer)}
    ways = [turn for field, turn in OFF.items() if field in {"off", *fields}]
    assert ways
    for turn in ways:
        off = turn(mixer)
        assert off != mixer
        mixed_x, mixed_y = off(x, y, seed=SEED)
        np.testing.assert_array_equal(mixed_x, x)
        np.testing.assert_array_equal(mixed_y, want)


@each_mixer
def test_off_gives_hard_labels_and_smooth_ones_where_asked_for(name):
    if name == "CMixup":
        pytest.skip("its labels are numbers")
    mixer, _, _, (x, y) = MIXERS[name]
    smooth = mixer.off(label_smoothing=0.2)
    for off, epsilon in (
        (mixer.off(), 0.0),
        (smooth, 0.2),
        (smooth.off(), 0.0),  # a mixer that smooths gives hard labels too
    ):
        _, label = off(x, y, seed=SEED)
        want = (1 - epsilon) * one_hot(y, CLASSES) + epsilon / CLASSES
        np.testing.assert_allclose(label, want, rtol=1e-6)


def test_off_refuses_smoothing_that_cannot_be():
    with pytest.raises(
        ValueError, match=r"^tfmixup\.MixUp: label_smoothing=0\.1 is for"
    ):
        tfmixup.MixUp(0.2).off(label_smoothing=0.1)
    with pytest.raises(
        ValueError, match=r"^tfmixup\.CutMix: label_smoothing must be in"
    ):
        tfmixup.RandomChoice(
            [tfmixup.CutMix(num_classes=3), tfmixup.MixUp(num_classes=3)]
        ).off(label_smoothing=1.0)


@pytest.mark.parametrize(
    "arguments",
    [
        {"distribution": tfd.Uniform(0.1, 0.9)},
        {"lam_range": (0.1, 0.9)},
        {"probability": 0.5, "per": "batch"},
    ],
    ids=str,
)
def test_alpha_0_is_no_mixing_whatever_else_is_given(arguments):
    x = np.float32([[1, 2], [np.inf, np.nan], [3, 4]])
    got, _ = tfmixup.MixUp(0, **arguments)(x, x)
    np.testing.assert_array_equal(got, x)


@pytest.mark.parametrize(("jit", "size"), [(True, None), (False, None), (True, 1)])
def test_an_example_alone_in_its_batch_is_not_mixed(jit, size):
    for name in ("MixUp", "CutMix", "ResizeMix", "Mosaic", "RandomChoice"):
        mixer, _, _, (x, y) = MIXERS[name]
        mixer = with_jit(mixer, jit)
        batches = tf.data.Dataset.from_tensor_slices((x[:3], y[:3])).batch(
            size or 2, drop_remainder=size is not None
        )
        *_, last = batches.apply(tfmixup.in_batch(mixer, seed=1))
        np.testing.assert_array_equal(last[0], x[2:3])
        np.testing.assert_array_equal(last[1], one_hot(y[2:3], CLASSES))


def with_jit(mixer: tfmixup.Mixer, jit: bool) -> tfmixup.Mixer:
    if isinstance(mixer, tfmixup.RandomChoice):
        members = [with_jit(member, jit) for member in mixer.mixers]
        return dataclasses.replace(mixer, mixers=members)
    return dataclasses.replace(mixer, jit_compile=jit)


def test_elements_that_differ_in_their_targets_alone_share_no_plan():
    x, ids, lam = tf.eye(4), tf.range(4), tfmixup.MixUpParams(tf.fill([4], 0.75))
    mixer = tfmixup.MixUp(num_classes=4, jit_compile=False)
    for second in (ids, tf.eye(4), (tf.eye(4), ids)):
        element = (x, second)
        partner = tf.constant([1, 2, 3, 0])
        want = 0.75 * np.eye(4) + 0.25 * np.roll(np.eye(4), 1, axis=1)
        _, made = mixer.apply_in_batch(element, partner, lam)
        for target in tf.nest.flatten(made):
            np.testing.assert_allclose(target, want)
