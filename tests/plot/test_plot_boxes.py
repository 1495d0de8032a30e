"""Boxes in pictures of batches, by their rectangles and by pixels."""

import numpy as np
import pytest
import tensorflow as tf
from looking import assert_readable, titles
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle

import tfmixup
from tfmixup import plot
from tfmixup.box_formats import FORMATS

NAMES = ["ant", "bee", "cat"]
IMAGES = np.zeros([2, 20, 40, 3], "uint8")
# (ymin, xmin, ymax, xmax) in pixels
CORNERS = np.array([[[2, 4, 12, 24], [0, 0, 20, 40]], [[5, 30, 10, 40], [0, 0, 0, 0]]])
LABELS = np.array([[0, 2], [1, -1]])
RELATIVE = (CORNERS / [20, 40, 20, 40]).astype("float32")
OBJECTS = {"bbox": RELATIVE, "label": LABELS}


def rectangles(axes):
    """(left, top, right, bottom) from the image's corner, and lines' widths."""
    found = [p for p in axes.patches if isinstance(p, Rectangle)]
    corners = [p.get_corners()[[0, 2]].reshape(4) + 0.5 for p in found]
    places = [tuple(np.round(ends, 4)) for ends in corners]
    return places, [p.get_linewidth() for p in found]


def texts(axes):
    placed = [(t.get_text(), np.add(t.get_position(), 0.5)) for t in axes.texts]
    return [(text, *np.round(place, 4)) for text, place in placed]


def in_format(box_format):
    top, left, bottom, right = np.moveaxis(CORNERS.astype("float32"), -1, 0)
    if box_format.startswith("rel_"):
        top, bottom, left, right = top / 20, bottom / 20, left / 40, right / 40
    y, x, h, w = (top + bottom) / 2, (left + right) / 2, bottom - top, right - left
    numbers = {
        "yxyx": [top, left, bottom, right],
        "xyxy": [left, top, right, bottom],
        "xywh": [left, top, w, h],
        "center_xywh": [x, y, w, h],
        "center_yxhw": [y, x, h, w],
    }
    return np.stack(numbers[box_format.removeprefix("rel_")], -1)


@pytest.mark.parametrize("box_format", [None, *FORMATS])
def test_boxes_are_where_they_must_be(box_format):
    if box_format is None:
        y = {"bbox": RELATIVE, "label": LABELS}
    else:
        y = {"boxes": in_format(box_format), "labels": LABELS}
    figure = plot.batch((IMAGES, y), NAMES, box_format=box_format)
    assert rectangles(figure.axes[0])[0] == [(4, 2, 24, 12), (0, 0, 40, 20)]
    assert texts(figure.axes[0]) == [("ant", 4, 2), ("cat", 0, 0)]
    # The row of label -1 is no box.
    assert rectangles(figure.axes[1])[0] == [(30, 5, 40, 10)]
    # Text is above its box if there is room.
    aligned = [t.get_verticalalignment() for a in figure.axes for t in a.texts]
    assert aligned == ["top", "top", "bottom"]
    assert titles(figure) == []


def test_a_box_frames_its_pixels():
    images = IMAGES.copy()
    images[0, 2:12, 4:24] = 255
    bare, boxed = plot.batch(images), plot.batch((images, OBJECTS))
    canvas = FigureCanvasAgg(bare)
    canvas.draw()
    FigureCanvasAgg(boxed).draw()
    axes = boxed.axes[0]
    inside = axes.get_window_extent()
    picture = np.asarray(canvas.buffer_rgba())[::-1]  # from below, as extents are
    columns = slice(int(inside.x0) + 3, int(inside.x1) - 3)
    rows = slice(int(inside.y0) + 3, int(inside.y1) - 3)
    up, right = np.nonzero(picture[rows, columns, 0] > 127)
    up, right = up + rows.start, right + columns.start
    box = axes.patches[0].get_window_extent()
    white = right.min(), up.min(), right.max() + 1, up.max() + 1
    np.testing.assert_allclose(white, box.extents, atol=1.5)


@pytest.mark.parametrize("key", ["objects", "bounding_boxes", "anything"])
def test_dict_elements_show_all_dicts_of_boxes(key):
    element = {"image": IMAGES, key: {**OBJECTS, "area": np.ones([2, 2])}}
    element |= {"label": np.array([1, 1]), "objects of others": {"n": np.ones(2)}}
    figure = plot.batch(element, {key: NAMES, "label": ["in", "out"]})
    assert titles(figure) == [["out: 1.00"]] * 2
    assert [text for text, *_ in texts(figure.axes[0])] == ["ant", "cat"]
    figure = plot.batch(element, target_keys=("label",))
    assert rectangles(figure.axes[0])[0] == []


def test_ragged_boxes():
    boxes = tf.RaggedTensor.from_row_lengths(RELATIVE.reshape(4, 4)[:3], [1, 2])
    labels = tf.ragged.constant([[1], [0, 2]], dtype=tf.uint8)
    figure = plot.batch((IMAGES, {"bbox": boxes, "label": labels}), NAMES)
    assert rectangles(figure.axes[0])[0] == [(4, 2, 24, 12)]
    assert [text for text, *_ in texts(figure.axes[1])] == ["ant", "cat"]


def test_mixed_boxes_have_their_weights_in_text_and_line():
    mixer = tfmixup.MixUp(target_keys=("objects",), max_boxes=4)
    element = {"image": IMAGES, "objects": OBJECTS}
    second = {
        "image": IMAGES[::-1],
        "objects": {k: v[::-1] for k, v in OBJECTS.items()},
    }
    params = tfmixup.MixUpParams(tf.constant([0.25, 1.0]))
    figure = plot.batch(mixer.apply(element, second, params), NAMES)
    places, widths = rectangles(figure.axes[0])
    assert places == [(4, 2, 24, 12), (0, 0, 40, 20), (30, 5, 40, 10)]
    words = [text for text, *_ in texts(figure.axes[0])]
    assert words == ["ant 0.25", "cat 0.25", "bee 0.75"]
    assert widths[0] == widths[1] < widths[2]
    assert [text for text, *_ in texts(figure.axes[1])] == ["bee 1.00"]
    assert rectangles(figure.axes[1])[1][0] > widths[2]


def test_weights_of_one_are_not_written():
    mixer = tfmixup.Mosaic(target_keys=("objects",), max_boxes=8)
    mixed = mixer({"image": IMAGES, "objects": OBJECTS}, seed=[1, 2])
    assert "weight" in mixed["objects"]
    words = [text for a in plot.batch(mixed, NAMES).axes for text, *_ in texts(a)]
    assert words
    assert set(words) <= set(NAMES)


def test_only_the_first_examples_are_drawn_and_names_are_cut():
    y = {"bbox": RELATIVE[:, :1], "label": LABELS[:, :1]}
    names = ["an ant or what was taken for one", "bee"]
    figure = plot.batch((IMAGES, y), names, examples=1, title="one")
    assert [text for text, *_ in texts(figure.axes[0])] == ["an ant or what …"]
    assert_readable(figure)


@pytest.mark.parametrize(
    ("y", "more", "error", "message"),
    [
        ({"boxes": RELATIVE, "labels": LABELS}, {}, ValueError, "'boxes' need box_fo"),
        (OBJECTS, {"box_format": "yxxy"}, ValueError, "box_format must be one of"),
        (OBJECTS, {"class_names": NAMES[:2]}, ValueError, "2 entries, .* label 2"),
        (OBJECTS, {"kind": "spectrogram"}, ValueError, "taken for a spectrogram"),
        ({**OBJECTS, "weight": np.ones([2, 3])}, {}, ValueError, r"and \(2, 3\)"),
        (
            {"bbox": RELATIVE[:1], "label": LABELS[:1]},
            {},
            ValueError,
            "2 examples, but the target of boxes is of shape",
        ),
    ],
)
def test_bad_boxes(y, more, error, message):
    images = IMAGES[..., 0].astype("float32") if "kind" in more else IMAGES
    with pytest.raises(error, match=f"tfmixup.plot.batch: .*{message}"):
        plot.batch((images, y), **more)


def test_one_box_for_each_image_is_a_target():
    """As of a regression: (B, 4) and (B,), without a dimension for boxes."""
    y = {"boxes": np.zeros([2, 4], np.float32), "labels": np.zeros([2], np.int64)}
    figure = plot.batch((np.zeros([2, 8, 8, 3], np.float32), y))
    assert not [patch for axes in figure.axes for patch in axes.patches]
