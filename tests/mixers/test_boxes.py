"""Boxes of whole pixels, against pixels counted one by one in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from tfmixup.mixers import boxes

B = 60
SIZES = [(7, 5), (1, 32), (64,), (6, 1, 9)]
HALF = Fraction(1, 2)


def drawn(seed, axes):
    """Places and sides; rows of extremes, and of ties at half a pixel, among them."""
    draw = np.random.default_rng(seed)
    place, side = draw.random([B, axes], "float32"), draw.random(B, "float32")
    place[:3], side[:6] = np.array([[0], [1 - 2.0**-24], [0.5]]), [0, 1] * 3
    place[3:5, 0], place[3:5, -1] = 0.5, [0, 0.5]
    place[6:12, 0], side[6:12] = np.arange(6) / 8, 0.25
    return place, side


def run(make, place, side, size, jit, static):
    """The boxes, a list of starts and stops each; sizes are integers or tensors."""

    @tf.function(jit_compile=jit)
    def call(place, side, *given):
        return make(place, side, size if static else given)

    got = call(place, side, *map(tf.constant, size))
    assert all(edge.dtype == tf.int32 for edge in got)
    return np.stack(got, axis=1).tolist()


def pixels(low, high, n):
    """Which of n pixels have their centre k + ½ above `low` and not above `high`."""
    return [k for k in range(n) if low < k + HALF <= high]


each_way = pytest.mark.parametrize(
    ("jit", "static"), [(True, True), (True, False), (False, True), (False, False)]
)


@each_way
@pytest.mark.parametrize("size", SIZES)
def test_around_has_the_pixels_whose_centres_are_inside(size, jit, static):
    place, side = drawn(1, len(size))
    got = run(boxes.around, place, side, size, jit, static)
    for box, centre, share in zip(got, place.tolist(), side.tolist()):
        for start, stop, at, n in zip(*box, centre, size):
            ends = [n * (Fraction(at) + sign * Fraction(share) / 2) for sign in (-1, 1)]
            assert 0 <= start <= stop <= n
            assert list(range(start, stop)) == pixels(*ends, n)


@each_way
@pytest.mark.parametrize("size", SIZES)
def test_within_has_its_whole_size_at_one_of_its_places(size, jit, static):
    place, side = drawn(2, len(size))
    got = run(boxes.within, place, side, size, jit, static)
    for box, at, share in zip(got, place.tolist(), side.tolist()):
        for start, stop, down, n in zip(*box, at, size):
            length = max(1, len(pixels(0, n * Fraction(share), n)))
            places = n - length + 1
            assert stop - start == length
            # Each place has an equal part of [0, 1).
            assert (
                Fraction(start, places) <= Fraction(down) < Fraction(start + 1, places)
            )


@each_way
@pytest.mark.parametrize(
    ("size", "axes", "rank", "stride"),
    [
        ((7, 5), (1, 2), 4, 1),
        ((8, 12), (2, 3), 4, 4),
        ((12,), (2,), 3, 1),
        ((6, 4, 2), (1, 2, 4), 5, 2),
    ],
)
def test_what_is_inside_and_kept_is_counted(size, axes, rank, stride, jit, static):
    """Against arrays in which the elements of the box are set."""
    place, side = drawn(3, len(size))

    @tf.function(jit_compile=jit)
    def call(place, side, *given):
        given = size if static else given
        box = boxes.around(place, side, given)
        if stride == 1:
            got = tf.cast(boxes.inside(box, given, axes, rank), tf.int32)
        else:  # cells are for sizes that are known
            got = boxes.inside_cells(box, size, axes, rank, stride)
        return box, got, boxes.kept_share(box, given)

    box, got, share = call(place, side, *map(tf.constant, size))
    set_by_hand = np.zeros([B, *size], int)
    for k, (start, stop) in enumerate(zip(*map(np.asarray, box))):
        set_by_hand[(k, *map(slice, start, stop))] = 1
    cells = set_by_hand
    for axis in range(len(size), 0, -1):
        cells = np.add.reduceat(cells, np.arange(0, size[axis - 1], stride), axis)
    shape = [B, *[1] * (rank - 1)]
    for axis, n in zip(axes, cells.shape[1:]):
        shape[axis] = n
    np.testing.assert_array_equal(got, cells.reshape(shape))
    kept = np.float32(1 - set_by_hand.reshape(B, -1).mean(axis=1))
    np.testing.assert_allclose(share, kept, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("axis", "rank"), [(1, 2), (1, 4), (2, 5)])
def test_align(axis, rank):
    value = tf.random.stateless_uniform([2, 3], [1, 2])
    got = boxes.align(value, axis, rank)
    shape = [2, *[1] * (axis - 1), 3, *[1] * (rank - axis - 1)]
    np.testing.assert_array_equal(got, np.reshape(value, shape))
