"""What every mixer has from `Mixer`: its own compiled functions, copies, `off`."""

import copy
import dataclasses
import gc
import pickle
import weakref
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tfmixup.mixers import LambdaMixer, Options, Recipe, blend_recipe

X = np.arange(12, dtype="float32").reshape(4, 3)
Y = np.eye(4, dtype="float32")
HALF = tfmixup.MixUpParams(lam=tf.fill([4], 0.5))


class Scaled(tfmixup.MixUp):
    """No dataclass: its factor takes no part in `==`."""

    def __init__(self, factor):
        super().__init__(0.2)
        object.__setattr__(self, "factor", factor)

    def recipe(self, first, second, params):
        feature = lambda a, b: self.factor * (a + b)  # noqa: E731
        return blend_recipe(self, params.lam, feature=feature)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_mixers_that_compare_equal_do_not_run_each_other(jit_compile):
    one, ten = Scaled(1.0), Scaled(10.0)
    for mixer in (one, ten):
        object.__setattr__(mixer, "jit_compile", jit_compile)
    assert one == ten
    for mixer in (one, ten, one):
        got = mixer.apply((X, Y), (X[::-1], Y[::-1]), HALF)[0]
        np.testing.assert_allclose(got, mixer.factor * (X + X[::-1]))
    np.testing.assert_array_equal(ten.off()(X, Y)[0], X)
    assert ten.off().factor == 10.0


@dataclasses.dataclass(frozen=True, repr=False)
class Compared(tfmixup.MixUp):
    table: object = dataclasses.field(default=(), kw_only=True)


@dataclasses.dataclass(frozen=True, repr=False)
class NotCompared(tfmixup.MixUp):
    table: object = dataclasses.field(default=(), kw_only=True, compare=False)


@pytest.mark.parametrize("table", [[1, 2], {}, np.ones(2), tf.ones([2])])
def test_fields_by_which_mixers_are_compared_are_hashable(table):
    message = r"^Compared: table must be hashable, .*a tuple, .*field\(compare=False"
    with pytest.raises(TypeError, match=message):
        Compared(table=table)
    assert NotCompared(table=table) == NotCompared()
    assert hash(NotCompared(table=table)) == hash(NotCompared())
    assert Compared(table=(1, 2)) != Compared()


class Counts(tfmixup.MixUp):
    """Knows that its integers are no names."""

    integers_are_quantities = True


def test_a_mixer_that_knows_integers_takes_them():
    counts = np.array([[2**20], [0], [4], [8]], "int64")
    got = Counts().apply((counts, Y), (counts[::-1], Y), HALF)[0]
    np.testing.assert_array_equal(got, [[2**19 + 4], [2], [2], [2**19 + 4]])


@pytest.mark.parametrize(
    "mixer",
    [
        tfmixup.CutMix(num_classes=4),
        tfmixup.Mosaic(num_classes=4),
        tfmixup.RandomChoice(
            [tfmixup.MixUp(num_classes=4), tfmixup.ResizeMix(num_classes=4)]
        ),
    ],
    ids=["one", "four", "choice"],
)
def test_a_used_mixer_is_copied_and_pickled_as_a_new_one(mixer):
    images, ids = np.random.default_rng(0).random([4, 6, 6, 1]), np.arange(4)
    expected = mixer(images, ids, seed=[1, 2])
    for other in (
        copy.copy(mixer),
        copy.deepcopy(mixer),
        pickle.loads(pickle.dumps(mixer)),
    ):
        assert other == mixer
        for got, want in zip(other(images, ids, seed=[1, 2]), expected):
            np.testing.assert_array_equal(got, want)


def test_a_used_mixer_goes_when_nobody_holds_it():
    mixer = Scaled(2.0)
    mixer(X, Y)
    gone = weakref.ref(mixer)
    del mixer
    gc.collect()
    assert gone() is None


@dataclasses.dataclass(frozen=True, repr=False)
class Mean(Options, tfmixup.Mixer):
    """Draws nothing, and so has no probability of mixing."""

    def sample(self, batch_size, seed, num_batches=None):
        shape = [1] if num_batches is None else [num_batches, 1]
        return tfmixup.MixUpParams(tf.fill(shape, 0.5))

    def recipe(self, first, second, params):
        def mean(a, b):
            return (tf.cast(a, tf.float32) + tf.cast(b, tf.float32)) / 2

        return Recipe(mean, params.lam)


def test_a_mixer_without_lambda():
    ds = tf.data.Dataset.from_tensor_slices((X, np.arange(4)))
    mixer = Mean(num_classes=4)
    x, y = next(iter(ds.apply(tfmixup.two_streams(mixer, 4, seed=1))))
    np.testing.assert_allclose(y.numpy().sum(1), 1)
    np.testing.assert_allclose(x, (y.numpy() @ X), atol=1e-6)
    with pytest.raises(TypeError, match=r"^Mean: off\(\) sets probability=0, and this"):
        mixer.off()


def test_a_mixer_without_options_is_told_so():
    class Bare(tfmixup.Mixer):
        sample = recipe = None

    message = r"^Bare: a mixer must derive from .*Options too, or from tfmixup\.mixers"
    with pytest.raises(TypeError, match=message):
        Bare()(X, Y)


@pytest.mark.parametrize("bases", [(Options, tfmixup.Mixer), (tfmixup.Mixer, Options)])
def test_options_are_checked_in_either_order_of_the_bases(bases):
    @dataclasses.dataclass(frozen=True, repr=False)
    class Own(*bases):
        sample = recipe = None

    assert Own(dtype=tf.float16).dtype == "float16"
    with pytest.raises(
        ValueError, match=r"^Own: num_classes must be at least 2, got 1"
    ):
        Own(num_classes=1)


class Refusing(LambdaMixer):
    def check_arguments(self):
        raise ValueError("no such thing.")

    sample = recipe = None


def test_errors_of_a_mixer_of_ones_own_begin_with_its_name():
    with pytest.raises(ValueError, match=r"^Refusing: no such thing\.$"):
        Refusing()


class Weighted(NamedTuple):
    x: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray


def test_named_tuples_come_out_as_named_tuples():
    element = Weighted(X, Y, np.ones(4, "float32"))
    mixer, kind = tfmixup.MixUp(0.2), type(element)
    ds = tf.data.Dataset.from_tensor_slices(element)
    for mixed in (
        ds.apply(tfmixup.two_streams(mixer, 2)),
        ds.batch(2).apply(tfmixup.in_batch(mixer)),
        ds.batch(2).map(mixer),
        tfmixup.from_tensors(element, mixer, 2),
        tf.data.Dataset.zip((ds.batch(2), ds.batch(2))).map(mixer.pair),
    ):
        assert isinstance(mixed.element_spec, kind)
        assert isinstance(next(iter(mixed)), kind)
    assert isinstance(mixer(element), kind)
    original, mixed = mixer.apply(element, element, HALF, keep_first=True)
    assert isinstance(original, kind)
    assert isinstance(mixed, kind)
