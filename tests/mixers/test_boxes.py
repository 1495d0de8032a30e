"""Boxes of whole pixels, against pixels counted one by one in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from tfmixup.elements import Parts
from tfmixup.mixers import boxes

B = 60
SIZES = [(7, 5), (1, 32), (64, 3)]
HALF = Fraction(1, 2)


def drawn(seed):
    """Places and sides; rows of extremes, and of ties at half a pixel, among them."""
    draw = np.random.default_rng(seed)
    place, side = draw.random([B, 2], "float32"), draw.random(B, "float32")
    last = 1 - 2.0**-24
    place[:4], side[:6] = [[0, 0], [last, last], [0.5, 0.5], [0.5, 0]], [0, 1] * 3
    place[6:12, 0], side[6:12] = np.arange(6) / 8, 0.25
    return place, side


def run(make, place, side, size, jit, static):
    """The boxes, a list of four edges each; sizes are integers or tensors."""

    @tf.function(jit_compile=jit)
    def call(place, side, height, width):
        return make(place, side, *(size if static else (height, width)))

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
    place, side = drawn(1)
    got = run(boxes.around, place, side, size, jit, static)
    for box, centre, share in zip(got, place.tolist(), side.tolist()):
        for start, stop, at, n in zip(box[:2], box[2:], centre, size):
            ends = [n * (Fraction(at) + sign * Fraction(share) / 2) for sign in (-1, 1)]
            assert 0 <= start <= stop <= n
            assert list(range(start, stop)) == pixels(*ends, n)


@each_way
@pytest.mark.parametrize("size", SIZES)
def test_within_has_its_whole_size_at_one_of_its_places(size, jit, static):
    place, side = drawn(2)
    got = run(boxes.within, place, side, size, jit, static)
    for box, at, share in zip(got, place.tolist(), side.tolist()):
        for start, stop, down, n in zip(box[:2], box[2:], at, size):
            length = max(1, len(pixels(0, n * Fraction(share), n)))
            places = n - length + 1
            assert stop - start == length
            # Each place has an equal part of [0, 1).
            assert (
                Fraction(start, places) <= Fraction(down) < Fraction(start + 1, places)
            )


@pytest.mark.parametrize(("axis", "rank"), [(1, 3), (1, 4), (2, 5)])
def test_align(axis, rank):
    inside = tf.random.stateless_uniform([2, 3, 4], [1, 2])
    shape = [2, *[1] * (axis - 1), 3, 4, *[1] * (rank - axis - 2)]
    got = boxes.align(inside, axis, rank)
    np.testing.assert_array_equal(got, np.reshape(inside, shape))


def test_image_size_is_static_where_it_can_be():
    known = {"video": tf.TensorSpec([None, 9, 7, 5, 3])}
    assert boxes.image_size(known) == (7, 5)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 5, 3])])
    def size(image):
        height, width = boxes.image_size(image)
        assert width == 5
        return height

    assert int(size(tf.zeros([2, 7, 5, 3]))) == 7


def checked(*shapes, static):
    """Compares the sizes of an image, a mask and weights, and counts comparisons."""
    given = [tf.zeros(shape, tf.uint8) for shape in shapes]
    known = [tensor.shape if static else [None] * tensor.shape.rank for tensor in given]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8) for shape in known])
    def check(image, mask, weights):
        parts = Parts(image, {"mask": mask, "label": tf.zeros([2, 10])}, weights)
        operations = boxes.check_sizes("me", parts)
        with tf.control_dependencies(operations):
            return tf.constant(len(operations))

    return int(check(*given))


def test_check_sizes():
    image, mask, weights = [2, 7, 5, 3], [2, 7, 5], [2, 7, 5, 1]
    assert checked(image, mask, weights, static=True) == 0
    assert checked(image, mask, weights, static=False) == 1
    assert checked([2, 4, 7, 5, 3], [2, 4, 7, 5], [2, 4, 7, 5], static=False) == 1
    message = "me: images, masks and weights of pixels must have one height and width"
    for other in ((image, [2, 5, 7], weights), (image, mask, [2, 7, 6, 1])):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            checked(*other, static=False)
