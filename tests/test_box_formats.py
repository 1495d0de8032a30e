"""All formats of boxes against Keras's own conversion."""

import keras
import numpy as np
import pytest
from keras.utils import bounding_boxes

from tfmixup import box_formats

HEIGHT, WIDTH = 24, 40
RNG = np.random.default_rng(0)
# Whole pixels (top, left, bottom, right); an empty box too.
CORNERS = np.sort(RNG.integers(0, [[HEIGHT, WIDTH]], (7, 2, 2)), axis=1).reshape(7, 4)
CORNERS[0] = [0, 0, HEIGHT, WIDTH]
CORNERS[1] = [3, 5, 3, 5]
CORNERS = CORNERS.astype(np.float32)


@pytest.mark.parametrize("box_format", box_formats.FORMATS)
def test_formats_are_those_of_keras(box_format):
    relative = box_formats.is_relative(box_format)
    assert relative == box_format.startswith("rel")
    corners = CORNERS / ([HEIGHT, WIDTH] * 2 if relative else [1])
    want = bounding_boxes.convert_format(
        CORNERS, "yxyx", box_format, height=HEIGHT, width=WIDTH
    )
    want = keras.ops.convert_to_numpy(want)
    corners = corners.astype(np.float32)
    np.testing.assert_allclose(
        box_formats.from_corners(corners, box_format), want, atol=1e-6
    )
    np.testing.assert_allclose(
        box_formats.to_corners(want, box_format), corners, atol=1e-6
    )
