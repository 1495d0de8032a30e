"""Partners within a batch: who, how often, and never oneself."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfmixup
from tests.reference import RATE
from tfmixup import seeding

SEED = [3, 11]


@pytest.mark.parametrize("batch_size", [2, 3, 8, 257])
@pytest.mark.parametrize("num_batches", [None, 50])
def test_partners_are_a_permutation_without_fixed_points(batch_size, num_batches):
    drawn = seeding.partners(batch_size, SEED, num_batches)
    assert drawn.dtype == tf.int32
    want = (batch_size,) if num_batches is None else (num_batches, batch_size)
    assert drawn.shape == want
    everybody = np.arange(batch_size)
    for partner in np.reshape(drawn, [-1, batch_size]):
        np.testing.assert_array_equal(np.sort(partner), everybody)
        assert not np.any(partner == everybody)


def assert_equally_likely(drawn: np.ndarray) -> None:
    # The shift is shared by a batch, so that one example's partners are all there is.
    size = drawn.shape[1]
    counts = np.bincount(drawn[:, 0], minlength=size)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > RATE


@pytest.mark.parametrize("batch_size", [3, 64])
def test_every_other_example_is_equally_likely(batch_size):
    drawn = seeding.partners(batch_size, SEED, num_batches=20_000).numpy()
    assert_equally_likely(drawn)


def test_every_other_example_is_equally_likely_from_seed_to_seed():
    seeds = tf.data.Dataset.range(5000).map(
        lambda i: tf.stack([tf.cast(i, tf.int32), 7])
    )
    samples = seeds.map(lambda seed: seeding.partners(6, seed)).batch(5000)
    assert_equally_likely(samples.get_single_element().numpy())


def test_batches_drawn_at_once_are_independent():
    shift = seeding.partners(6, SEED, num_batches=20_000).numpy()[:, 0]
    table = np.zeros([5, 5], int)
    np.add.at(table, (shift[:-1] - 1, shift[1:] - 1), 1)
    assert stats.chi2_contingency(table).pvalue > RATE


def test_one_has_only_itself():
    np.testing.assert_array_equal(seeding.partners(1, SEED), [0])
    np.testing.assert_array_equal(seeding.partners(1, SEED, 3), [[0], [0], [0]])


@pytest.mark.parametrize("num_batches", [None, 4])
def test_batch_size_may_be_a_tensor(num_batches):
    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def sample(batch_size: tf.Tensor) -> tf.Tensor:
        return seeding.partners(batch_size, tf.constant(SEED), num_batches)

    for batch_size in (1, 2, 9):
        want = seeding.partners(batch_size, SEED, num_batches)
        got = sample(tf.constant(batch_size))
        np.testing.assert_array_equal(got, want, strict=True)


def test_same_seed_same_partners_other_seed_other_partners():
    drawn = seeding.partners(9, SEED, 20)
    np.testing.assert_array_equal(drawn, seeding.partners(9, SEED, 20))
    assert not np.array_equal(drawn, seeding.partners(9, [3, 12], 20))


def test_seeds_of_64_bits_are_not_cut_to_32():
    mixer = tfmixup.MixUp(1.0)

    def lam(seed, dtype):
        x, y = np.zeros([4, 1]), np.eye(4)
        return mixer(x, y, seed=tf.constant(seed, dtype))[1].numpy().tolist()

    for seed in ([1, 2], [-1, -(2**31)], [2**31 - 1, 0]):
        assert lam(seed, tf.int64) == lam(seed, tf.int32)
    others = [[1, 2], [2**32 + 1, 2], [2**33 + 1, 2], [-(2**32) + 1, 2]]
    drawn = [lam(seed, tf.int64) for seed in others]
    assert all(a != b for i, a in enumerate(drawn) for b in drawn[:i])


def test_parts_of_parts_of_a_seed_are_all_others():
    parts = [part for one in seeding.split(SEED, 3) for part in seeding.split(one, 3)]
    assert len({tuple(np.array(part)) for part in parts}) == 9


def test_replicas_have_other_seeds_and_the_first_has_the_step_s():
    seeds = [np.array(seeding.of_replica(tf.constant(SEED), k)) for k in range(4)]
    assert seeds[0].tolist() == SEED
    assert len({tuple(seed) for seed in seeds}) == 4


@pytest.mark.parametrize(
    "mixer", [tfmixup.CutMix(1.0), tfmixup.ResizeMix(), tfmixup.CMixup(1.0, alpha=1.0)]
)
def test_parameters_of_a_batch_are_drawn_from_numbers_of_their_own(mixer):
    """One number for both would be seen in the ranks."""
    first, second = mixer.sample(1, SEED, num_batches=10_000)
    several = [np.ravel(first), np.ravel(second)[:10_000]]
    assert stats.spearmanr(*several).pvalue > RATE


def test_chance_decides_without_a_look_at_lambda():
    lam = tfmixup.MixUp(1.0, probability=0.5).sample(20_000, SEED).lam.numpy()
    assert stats.kstest(lam[lam < 1], stats.uniform.cdf).pvalue > RATE
