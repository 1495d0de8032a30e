"""Which examples meet: orders and reads of two streams, and partners in a batch."""

import collections
import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfmixup
from tests.pipelines import (
    BATCH,
    FIRST,
    SECOND,
    VALUES,
    N,
    from_tensors,
    in_batch,
    order,
    two_streams,
)


def streams(seed, mixer, n=N, partner=None, **kwargs):
    """two_streams of the first n of VALUES, like from_tensors below."""
    values = tf.data.Dataset.from_tensor_slices((VALUES[:n], VALUES[:n]))
    if partner is not None:
        kwargs["partner"] = tf.data.Dataset.from_tensor_slices((partner, partner))
    return two_streams(seed, mixer, values, **kwargs)


def tensors(seed, mixer, n=N, partner=None, **kwargs):
    if partner is not None:
        kwargs["partner"] = (partner, partner)
    return from_tensors(seed, mixer, (VALUES[:n], VALUES[:n]), **kwargs)


both = pytest.mark.parametrize("make", [streams, tensors])
each_stream = pytest.mark.parametrize("mixer", [FIRST, SECOND], ids=["first", "second"])


@both
@each_stream
def test_an_epoch_has_every_example_once(make, mixer):
    dataset = make(1, mixer, drop_remainder=False)
    for _ in range(3):
        epoch = order(dataset)
        assert epoch != list(range(N))
        assert sorted(epoch) == list(range(N))


@both
@each_stream
def test_a_dropped_remainder_is_another_one_in_every_epoch(make, mixer):
    dataset = make(1, mixer)
    dropped = [frozenset(range(N)) - set(order(dataset)) for _ in range(4)]
    assert {len(left) for left in dropped} == {N % BATCH}
    assert len(set(dropped)) > 1


@both
def test_every_order_is_equally_likely_and_both_are_independent(make):
    """χ² over 600 epochs of four examples; each in three has a chance of 1e-3."""
    orders = []
    for mixer in (FIRST, SECOND):
        epochs = make(3, mixer, 4).repeat(600).as_numpy_iterator()
        orders.append([tuple(x[:, 0].astype(int)) for x, _ in epochs])
        seen = collections.Counter(orders[-1])
        assert set(seen) == set(itertools.permutations(range(4)))
        assert stats.chisquare(list(seen.values())).pvalue > 1e-3
    # Who meets whom is a permutation of each epoch: a sum of uniform permutation
    # matrices has covariance epochs / (n − 1) · (I − 1/n) ⊗ (I − 1/n).
    counts = np.zeros((4, 4))
    np.add.at(counts, tuple(np.array(orders)), 1)
    statistic = np.sum((counts - 600 / 4) ** 2) * 3 / 600
    low, high = stats.chi2(9).ppf([5e-4, 1 - 5e-4])
    assert low < statistic < high


@both
def test_a_partner_is_where_the_second_stream_comes_from(make):
    other = VALUES[:5] + 100
    drawn = order(make(1, SECOND, partner=other, drop_remainder=False))
    assert len(drawn) == N
    counts = np.bincount(np.array(drawn) - 100)
    if make is tensors:  # whole passes, each of every example once
        assert all(sorted(drawn[k : k + 5]) == sorted(drawn[:5]) for k in (0, 5, 10))
    assert counts.min() >= 3
    assert len({tuple(drawn[k : k + 5]) for k in range(0, 20, 5)}) > 1
    assert order(make(1, FIRST, partner=other)) == order(make(1, FIRST))


@both
def test_a_longer_partner_gives_other_examples_in_every_epoch(make):
    many = np.arange(1000, dtype="float32")[:, None]
    dataset = make(1, SECOND, partner=many)
    one, other = order(dataset), order(dataset)
    assert len(set(one)) == len(one) == 20
    assert set(one) != set(other)


def test_partners_in_a_batch_are_all_others_equally_often():
    """A multinomial for each of the examples; false alarms 1e-6 for all four."""
    epochs = 400
    partners = np.reshape(order(in_batch(14, SECOND).repeat(epochs)), [-1, BATCH])
    first = np.reshape(order(in_batch(14, FIRST).repeat(epochs)), [-1, BATCH])
    assert len(partners) == epochs * 5
    assert np.all(first // BATCH == partners // BATCH)
    assert not np.any(first == partners)
    assert np.all(np.sort(partners, axis=1) == first)
    for k in range(BATCH):
        counts = np.delete(np.bincount(partners[:, k] % BATCH, minlength=BATCH), k)
        assert stats.chisquare(counts).pvalue > 2.5e-7


@pytest.mark.parametrize(("known", "passes"), [(True, 2), (False, 3)])
def test_how_often_a_dataset_is_read(known, passes):
    """Of an unknown length, the second stream starts over once as the epoch ends."""
    reads = tf.Variable(0, dtype=tf.int64)

    def count(i):
        reads.assign_add(1)
        return tf.cast(i, tf.float32)[None], tf.zeros([1])

    source = tf.data.Dataset.range(40).filter(lambda i: True).map(count)
    if known:
        source = source.apply(tf.data.experimental.assert_cardinality(40))
    assert len(list(source.apply(tfmixup.two_streams(tfmixup.MixUp(1.0), 10)))) == 4
    assert int(reads) == 40 * passes
