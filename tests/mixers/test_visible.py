"""What is left of boxes, against rectangles that are painted, cut out and counted."""

import numpy as np
import pytest
import tensorflow as tf

from tfmixup.mixers import visible
from tfmixup.mixers.boxes import Box

HEIGHT, WIDTH, N = 7, 9, 400
SIZE = np.array([HEIGHT, WIDTH])
RNG = np.random.default_rng(0)


def rectangles(least):
    """Both ends of N random rectangles in pixels, (N, 2, 2)."""
    start = RNG.integers(0, SIZE - least + 1, (N, 2))
    stop = RNG.integers(start + least, SIZE + 1)
    return np.stack([start, stop], axis=1)


def painted(ends):
    """bool (N, height, width)."""
    made = np.zeros([N, HEIGHT, WIDTH], bool)
    for k, ((top, left), (bottom, right)) in enumerate(ends):
        made[k, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    return made


def around(pixels):
    """The smallest rectangle around painted pixels, (top, left, bottom, right)."""
    ys, xs = np.nonzero(pixels)
    return [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]


def check(place, ends, left, min_visible, relative):
    """Compares what `place` makes of boxes with the pixels that are left of them."""
    pixel = np.float32(1 / SIZE) if relative else np.ones(2, np.float32)
    before = (ends * pixel).reshape(N, 1, 4).astype(np.float32)
    after, seen = place(tf.constant(before), lambda n: tf.cast(n, tf.float32) * pixel)
    count = left.sum(axis=(1, 2))
    area = np.prod(ends[:, 1] - ends[:, 0], axis=1)
    want = (count > 0) & (count >= min_visible * area)
    assert 0 < want.sum() < N
    np.testing.assert_array_equal(seen[:, 0], want)
    got = after.numpy()[want, 0] / np.tile(pixel, 2)
    rects = [around(one) for one in left[want]]
    np.testing.assert_allclose(got, rects, rtol=0, atol=1e-5 if relative else 0)


# Shares that areas have exactly, so that boxes are on the edge of being seen.
each_share = pytest.mark.parametrize("min_visible", [0.0, 0.25, 0.5, 1.0])
each_unit = pytest.mark.parametrize("relative", [True, False])


@each_unit
@each_share
def test_what_a_hole_leaves_of_boxes(min_visible, relative):
    ends, hole = rectangles(1), rectangles(0)
    box = Box(*(tf.constant(hole[:, k], tf.int32) for k in (0, 1)))
    left = painted(ends) & ~painted(hole)
    check(
        visible.outside(box, min_visible, (HEIGHT, WIDTH)),
        ends,
        left,
        min_visible,
        relative,
    )


@each_unit
@each_share
@pytest.mark.parametrize("moved", [True, False])
def test_what_a_window_shows_of_boxes(moved, min_visible, relative):
    ends, window = rectangles(1), rectangles(0)
    offset = RNG.integers(-SIZE, SIZE + 1, (N, 2)) if moved else np.zeros([N, 2], int)
    box = Box(*(tf.constant(window[:, k], tf.int32) for k in (0, 1)))
    left = painted(ends + offset[:, None]) & painted(window)
    by = tf.constant(offset, tf.int32) if moved else None
    check(visible.inside(box, min_visible, by), ends, left, min_visible, relative)


def test_a_box_without_area_is_seen_where_it_is_whole():
    nothing = tf.constant([[[2.0, 2, 2, 3]]])

    def seen(place):
        return place(nothing, lambda n: tf.cast(n, tf.float32))[1].numpy().item()

    around, beside = (Box([[0, 0]], [[4, 4]]), Box([[0, 3]], [[7, 9]]))
    around, beside = (Box(*map(tf.constant, box)) for box in (around, beside))
    assert seen(visible.inside(around, 0.1))
    assert not seen(visible.inside(beside, 0.1))
    assert seen(visible.outside(beside, 0.1, (7, 9)))
    assert not seen(visible.outside(around, 0.1, (7, 9)))
