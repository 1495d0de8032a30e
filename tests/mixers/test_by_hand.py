"""Parameters and partners that are given by hand: what `sample` could have drawn."""

import re
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.reference import blend
from tfmixup.mixers import LambdaMixer, blend_recipe

N = 3
X, Y = np.arange(N * 16.0, dtype="float32").reshape(N, 4, 4, 1), np.eye(N, dtype="f4")
BATCH, OTHER = (X, Y), (X[::-1], Y[::-1])
MIXUP, CUTMIX = tfmixup.MixUp(), tfmixup.CutMix()
CHOICE = tfmixup.RandomChoice([MIXUP, CUTMIX], per="example")
Lam, Cut = tfmixup.MixUpParams, tfmixup.CutMixParams
ONES, CENTRE, NAN = np.ones(N, "f4"), np.full([N, 2], 0.5, "f4"), float("nan")


def entries(mixer, params):
    """The two ways to give parameters, eagerly and in a graph."""
    calls = (
        lambda: mixer.apply(BATCH, OTHER, params),
        lambda: mixer.apply_in_batch(BATCH, tf.range(N), params),
    )
    return [*calls, *(tf.function(call, autograph=False) for call in calls)]


@pytest.mark.parametrize(
    ("mixer", "params", "message"),
    [
        *(
            (MIXUP, junk, r"params must be MixUpParams\(lam\), .*seed=\[1, 2\]\) ret")
            for junk in (None, 0.5, (ONES,), Cut(ONES, CENTRE), {"lam": ONES})
        ),
        (CUTMIX, Lam(ONES), r"params must be CutMixParams\(lam, centre\)"),
        (MIXUP, Lam(None), "params.lam must be a tensor of float32, got None"),
        (MIXUP, Lam("a"), "params.lam must be float32, got string"),
        (MIXUP, Lam(ONES > 0), "params.lam must be float32, got bool"),
        *(
            (
                MIXUP,
                Lam(ONES[:n]),
                rf"params.lam must have shape \(3,\), .*\(1,\) .*{n}",
            )
            for n in (0, 2)
        ),
        (MIXUP, Lam(0.5), r"params.lam must have shape \(3,\).*got \(\)"),
        (MIXUP, Lam(ONES[:, None]), r"params.lam must have shape .*got \(3, 1\)"),
        (CUTMIX, Cut(ONES, ONES), r"params.centre must have shape \(3, 2\), or \(1, 2"),
        (
            CHOICE,
            tfmixup.RandomChoiceParams([0, 1, 0], (Lam(ONES), None)),
            r"params.mixers\[1\] must be CutMixParams",
        ),
        (
            CHOICE,
            tfmixup.RandomChoiceParams([0, 1, 0], (Lam(ONES),)),
            r"params.mixers must be tuple\(..., ...\)",
        ),
        (
            CHOICE,
            tfmixup.RandomChoiceParams([0.0] * 3, (Lam(ONES), Cut(ONES, CENTRE))),
            "params.choice must be int32, got float32",
        ),
    ],
)
def test_parameters_that_cannot_be(mixer, params, message):
    for call in entries(mixer, params):
        with pytest.raises((TypeError, ValueError), match=f"^{mixer.name}: {message}"):
            call()


@pytest.mark.parametrize(
    ("mixer", "params", "message"),
    [
        *(
            (MIXUP, Lam(tf.constant([1.0, bad, 0.0])), "params.lam must be in [0, 1]")
            for bad in (-0.01, 1.01, NAN)
        ),
        (CUTMIX, Cut(ONES, CENTRE + 1), "params.centre must be in [0, 1]"),
        (
            CHOICE,
            tfmixup.RandomChoiceParams([0, 2, 1], (Lam(ONES), Cut(ONES, CENTRE))),
            "params.choice must be in [0, 1]",
        ),
        (
            CHOICE,
            tfmixup.RandomChoiceParams([0, 1, 1], (Lam(2 * ONES), Cut(ONES, CENTRE))),
            "params.mixers[0].lam must be in [0, 1]",
        ),
    ],
)
def test_parameters_out_of_range(mixer, params, message):
    for call in entries(mixer, params):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=re.escape(f"{mixer.name}: {message}")
        ):
            call()


@pytest.mark.parametrize("lam", [[1, 0, 1], np.array([0.25]), tf.ones([3], tf.float64)])
def test_parameters_of_other_dtypes_are_taken(lam):
    for call in entries(MIXUP, Lam(lam))[::2]:
        np.testing.assert_allclose(
            call()[0], blend(X, X[::-1], np.asarray(lam)), rtol=1e-6
        )


@pytest.mark.parametrize(
    ("partner", "message"),
    [
        (None, "partner must be integers, got None"),
        ([0.0, 1.0, 2.0], "partner must be integers, got .*which example"),
        ([0, 1], r"partner must have shape \(3,\), got \(2,\)"),
        ([[0], [1], [2]], r"partner must have shape \(3,\), got \(3, 1\)"),
        ([0, 1, 3], "partner must be indices of examples"),
        ([0, -1, 2], "partner must be indices of examples"),
        (np.array([0, 1, 255], "uint8"), "partner must be indices of examples"),
    ],
)
def test_partners_that_are_not_in_the_batch(partner, message):
    def call():
        return MIXUP.apply_in_batch(BATCH, partner, Lam(ONES))

    errors = (TypeError, ValueError, tf.errors.InvalidArgumentError)
    for run in (call, tf.function(call, autograph=False)):
        with pytest.raises(errors, match=f"(?s)tfmixup.MixUp: {message}"):
            run()


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_partners_of_every_integer_dtype(dtype):
    partner = np.array([2, 0, 1], dtype)
    got, _ = MIXUP.apply_in_batch(BATCH, partner, Lam(0 * ONES))
    np.testing.assert_array_equal(got, X[partner])


class Angle(NamedTuple):
    angle: tf.Tensor


class Turned(LambdaMixer):
    def sample(self, batch_size, seed, num_batches=None):
        return Angle(180 * self.draw_lam(batch_size, seed, num_batches))

    def recipe(self, first, second, params):
        return blend_recipe(self, params.angle / 180)


def test_parameters_of_another_package_have_ranges_of_their_own():
    got, _ = Turned().apply(BATCH, OTHER, Angle(90 * ONES))
    np.testing.assert_allclose(got, blend(X, X[::-1], 0.5 * ONES))
    with pytest.raises(TypeError, match=r"Turned: params must be Angle\(angle\)"):
        Turned().apply(BATCH, OTHER, Lam(ONES))
