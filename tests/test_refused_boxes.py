"""Boxes that cannot be mixed are refused, by their specs or by their values."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup

OPTIONS = {"target_keys": ("objects",), "max_boxes": 3, "jit_compile": False}
MIXER = tfmixup.MixUp(1.0, **OPTIONS)
IMAGE = np.zeros([2, 6, 8, 3], np.float32)
BOX = [0.0, 0.25, 0.5, 1.0]
NAN = float("nan")
SPEC = {"image": tf.TensorSpec([2, 6, 8, 3])}


def batch(boxes=((BOX,), (BOX,)), labels=((1,), (2,)), **keys):
    objects = {"bbox": np.float32(boxes), "label": np.array(labels)}
    return {"image": IMAGE, "objects": {**objects, **keys}}


def ragged(*counts):
    """Boxes and labels of images with these many."""

    def rows(count, value):
        return tf.RaggedTensor.from_row_lengths([value] * sum(count), count)

    return [rows(counts, BOX), rows(counts, 1)]


# By their specs ---------------------------------------------------------------------


def objects(shape=(2, 5, 4), labels=(2, 5), dtype="int64", key="bbox", **others):
    spec = {key: tf.TensorSpec(shape), "label": tf.TensorSpec(labels, dtype)}
    return {**SPEC, "objects": {**spec, **others}}


ROWS = (2, 5)
SPECS = {
    "integers": (
        objects()
        | {
            "objects": {
                "bbox": tf.TensorSpec([2, 5, 4], tf.int32),
                "label": tf.TensorSpec(ROWS, tf.int64),
            }
        },
        r"objects\['bbox'\] must be floats of shape \(batch, boxes, 4\), got int32",
    ),
    "five numbers": (
        objects(shape=[2, 5, 5]),
        r"objects\['bbox'\] must be floats of shape \(batch, boxes, 4\), got float3",
    ),
    "no format": (
        objects(key="boxes"),
        r"objects\['boxes'\] needs box_format=.*: one of 'rel_yxyx', 'rel_xyxy'",
    ),
    "unlike lengths": (
        objects(labels=(2, 4)),
        r"each box must have one entry under every key of objects\['bbox'\]'s dict, "
        "got bbox: 5, label: 4",
    ),
    "bytes as labels": (
        objects(dtype="uint8"),
        r"objects\['label'\] must be class ids \(batch, boxes\) of a dtype that can "
        "hold -1, .* got uint8.* Cast integers to int32",
    ),
    "one-hot labels": (
        objects(labels=(2, 5, 7), dtype="float32"),
        r"objects\['label'\] must be class ids \(batch, boxes\)",
    ),
    "integer weights": (
        objects(weight=tf.TensorSpec(ROWS, tf.int32)),
        r"objects\['weight'\] must be floats \(batch, boxes\), one for each box",
    ),
    "a key for the image": (
        objects(area=tf.TensorSpec([2])),
        r"objects\['area'\] must have one entry for each box, \(batch, boxes, ...\)",
    ),
    "a nested key": (
        objects(mask={"rle": tf.TensorSpec(ROWS)}),
        r"objects\['mask'\] must be a tensor, dense or ragged, got dict",
    ),
    "sparse": (
        objects(mask=tf.SparseTensorSpec([2, 5])),
        r"objects\['mask'\] must be a tensor, dense or ragged, got SparseTensorSpec",
    ),
    "other number of images": (
        objects(shape=(3, 5, 4), labels=(3, 5)),
        r"each image must have one row of boxes, got float32\(3, 5, 4\) beside float32",
    ),
    "sample weights": (
        {**objects(), "sample_weight": tf.TensorSpec([2])},
        "sample_weight belongs to labels of whole images.*a key 'weight' beside the bo",
    ),
    "no boxes": (
        {**SPEC, "objects": tf.TensorSpec([2, 4])},
        r"max_boxes=3 is for boxes, and the targets have no dict with one key for box",
    ),
    "boxes without labels": (
        {**SPEC, "objects": {"bbox": tf.TensorSpec([2, 5, 4])}},
        r"max_boxes=3 is for .* The targets: {'objects': \['bbox'\]}. Give \(im",
    ),
    "two keys of boxes": (
        objects(boxes=tf.TensorSpec([2, 5, 4])),
        r"max_boxes=3 is for .* The targets: {'objects': \['bbox', 'label', 'boxes'\]",
    ),
    "images of several sizes": (
        {**objects(), "image": tf.RaggedTensorSpec([2, None, None, 3])},
        "boxes need images of one size, got ragged images. Resize them before",
    ),
    "a series": (
        {**objects(), "image": tf.TensorSpec([2, 6, 8])},
        r"boxes need one image, \(batch, height, width, channels\), beside them, got "
        r"float32\(2, 6, 8\)",
    ),
}


@pytest.mark.parametrize("case", SPECS)
def test_specs(case):
    spec, message = SPECS[case]
    with pytest.raises((TypeError, ValueError), match=f"(?s){message}"):
        MIXER.plan(spec)


def test_that_the_first_line_names_who_refuses():
    spec, _ = SPECS["bytes as labels"]
    dataset = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=spec)
    with pytest.raises(ValueError, match=r"^tfmixup\.in_batch: objects\['label'\] mu"):
        dataset.apply(tfmixup.in_batch(MIXER))


def test_batches_for_single_examples_and_the_other_way_round():
    dataset = tf.data.Dataset.from_tensor_slices(batch())
    message = "elements must be single examples, but they look batched: the boxes of 'o"
    with pytest.raises(ValueError, match=message):
        dataset.batch(2).apply(tfmixup.two_streams(MIXER, 2))
    with pytest.raises(ValueError, match=message):
        tf.data.Dataset.from_tensor_slices(batch()).ragged_batch(2).apply(
            tfmixup.two_streams(MIXER, 2)
        )
    message = "boxes need one image, .* in_batch batches, and two_streams single exam"
    with pytest.raises(ValueError, match=message):
        dataset.apply(tfmixup.in_batch(MIXER))


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (tfmixup.Remix, ([3, 1],)),
        (tfmixup.CMixup, (1.0,)),
        (tfmixup.ResizeMix, ()),
        (tfmixup.BetweenClass, (16_000,)),
    ],
)
def test_mixers_that_cannot_mix_boxes(kind, arguments):
    message = f"max_boxes=3 is for boxes, which {kind.__name__} cannot mix. Use tfmixup"
    with pytest.raises(ValueError, match=message):
        kind(*arguments, **OPTIONS)


def test_a_recipe_of_ones_own_does_not_move_boxes():
    class Shifted(tfmixup.MixUp):
        def recipe(self, first, second, params):
            return super().recipe(first, second, params)

    with pytest.raises(ValueError, match="is for boxes, which Shifted cannot mix"):
        Shifted(**OPTIONS)


@pytest.mark.parametrize("name", ["num_classes", "ignore_label"])
def test_labels_of_boxes_stay_class_ids(name):
    mixer = tfmixup.MixUp(**OPTIONS, **{name: 255})
    with pytest.raises(ValueError, match=f"{name}=255 is for labels of whole images"):
        mixer.plan(objects())


def test_a_weight_that_is_not_of_the_boxes_is_not_replaced():
    element = {**batch(), **batch()["objects"], "weight": np.ones([2, 1], np.float32)}
    keys = {**OPTIONS, "target_keys": ("bbox", "label")}
    with pytest.raises(ValueError, match="elements have a key 'weight', which the wei"):
        tfmixup.MixUp(**keys)(element)
    tfmixup.MixUp(**keys, box_weights=False)(element)
    keys["target_keys"] += ("weight",)
    assert tfmixup.MixUp(**keys)(element)["weight"].shape == (2, 3)


@pytest.mark.parametrize("weight", [NAN, -1.0, float("inf")])
def test_weights_that_cannot_be(weight):
    weights = np.float32([[1.0], [weight]])
    message = "weights of boxes must be finite and not negative"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        MIXER(batch(weight=weights))


def test_relative_boxes_that_are_called_pixels():
    mixer = tfmixup.MixUp(**OPTIONS, box_format="xyxy")
    message = "They look relative, and box_format='xyxy' is of pixels"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        mixer(batch())


def test_axes_that_are_not_height_and_width():
    mixer = tfmixup.CutMix(axes=(1,), **OPTIONS)
    message = r"axes=\(1,\) are not height and width, which boxes need"
    with pytest.raises(ValueError, match=message):
        mixer.plan(objects())


@pytest.mark.parametrize("targets", ["pair", "union"])
def test_kinds_of_labels_that_boxes_do_not_have(targets):
    mixer = tfmixup.MixUp(targets=targets, **OPTIONS)
    message = f"targets='{targets}' is for labels of whole images, and the elements ha"
    with pytest.raises(ValueError, match=message):
        mixer.plan(objects())


def test_a_model_does_not_mix_boxes():
    model = keras.Sequential([keras.Input([6, 8, 3]), keras.layers.Flatten()])
    message = "max_boxes=3 is for boxes, which are mixed in the pipeline and not in th"
    with pytest.raises(ValueError, match=message):
        tfmixup.keras.MixingModel(model, MIXER)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_boxes": 0}, "max_boxes must be .*got 0"),
        ({"max_boxes": 2.5}, "max_boxes must be an integer, got 2.5"),
        (
            {"box_format": "xyxy"},
            "box_format and box_weights are for boxes, which need",
        ),
        ({"box_weights": False}, "box_format and box_weights are for boxes, which nee"),
        (
            {"box_weights": 1, "max_boxes": 3},
            "box_weights must be True or False, got 1",
        ),
        (
            {"box_format": "yxhw", "max_boxes": 3},
            "box_format must be one of 'rel_yxyx', .*'center_yxhw'; got 'yxhw'",
        ),
    ],
)
@pytest.mark.parametrize("kind", [tfmixup.MixUp, tfmixup.Mosaic])
def test_arguments(kind, arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        kind(**arguments)


def test_mixers_of_a_choice_must_agree_in_boxes():
    other = tfmixup.CutMix(**{**OPTIONS, "max_boxes": 4})
    with pytest.raises(ValueError, match="mixers must agree in max_boxes"):
        tfmixup.RandomChoice([MIXER, other])


# By their values --------------------------------------------------------------------

OUTSIDE = "boxes must be inside the image, from 0 to {}, with the minimum before the m"


@pytest.mark.parametrize(
    ("box", "box_format", "message"),
    [
        ([0, 0, 1.01, 1], None, OUTSIDE.format("1")),
        ([-0.01, 0, 1, 1], None, OUTSIDE.format("1")),
        ([0, 0, 0.5, 1.01], "rel_yxyx", OUTSIDE.format("1")),
        ([0, 0.6, 1, 0.5], None, OUTSIDE.format("1")),
        ([0.6, 0, 0.5, 1], None, OUTSIDE.format("1")),
        ([0, 0, NAN, 1], None, OUTSIDE.format("1")),
        ([NAN, 0, 1, 1], None, OUTSIDE.format("1")),
        ([0, 0, 8, 6], None, OUTSIDE.format("1")),  # pixels, and not named so
        ([0, 0, 8, 6], "yxyx", OUTSIDE.format("the image's size")),
        ([0, 0, 6, 8], "xyxy", OUTSIDE.format("the image's size")),
        ([5, 1, 4, 3], "xywh", OUTSIDE.format("the image's size")),
        ([0.5, 0.5, 1.1, 1], "rel_center_xywh", OUTSIDE.format("1")),
        ([2, 2, -1, 2], "center_yxhw", OUTSIDE.format("the image's size")),
    ],
)
def test_boxes_that_cannot_be(box, box_format, message):
    for kind in (tfmixup.MixUp, tfmixup.Mosaic):
        mixer = kind(**OPTIONS, box_format=box_format)
        bad, fine = [box, [-1.0] * 4], [[-1.0] * 4] * 2
        element = batch([bad, fine], [[1, -1], [-1, -1]])
        message_of = rf"tfmixup\.{kind.__name__}: {message}(?s:.*)The first"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message_of):
            mixer(element, seed=[1, 2])
        other = batch([fine, fine], [[-1, -1]] * 2)
        params = mixer.sample(2, [1, 2])
        for pair in ((element, other), (other, element)):
            with pytest.raises(tf.errors.InvalidArgumentError, match=message_of):
                mixer.apply(*pair, params)


def test_boxes_on_the_border_are_fine():
    """Rounding may carry them across."""
    edge = np.float32(1 + 1e-5)
    got = MIXER(batch([[[0, 0, edge, 1]], [[-1e-5, 0, 0.5, 0.5]]]), seed=[1, 2])
    assert np.sum(got["objects"]["label"] != -1) == 4
    # Rows without a box may hold anything.
    got = MIXER(batch([[[7, NAN, 3, 1]], [BOX]], [[-1], [2]]), seed=[1, 2])
    np.testing.assert_array_equal(got["objects"]["label"], [[2, -1, -1]] * 2)


@pytest.mark.parametrize("front", [True, False])
def test_height_and_width_are_known_apart(front):
    """By the channels, if no axes are given."""
    image = np.zeros([2, 3, 6, 9] if front else [2, 6, 9, 3], np.float32)
    mixer = tfmixup.MixUp(**OPTIONS, box_format="xyxy")
    wide = batch([[[0, 0, 9, 6]]] * 2) | {"image": image}
    assert np.all(mixer(wide, seed=[1, 2])["objects"]["bbox"][0, 0] == [0, 0, 9, 6])
    high = batch([[[0, 0, 6, 9]]] * 2) | {"image": image}
    with pytest.raises(tf.errors.InvalidArgumentError, match="the image's size"):
        mixer(high, seed=[1, 2])


def test_boxes_whose_numbers_are_ragged():
    boxes = tf.ragged.stack(
        [np.zeros([2, 4], np.float32), np.zeros([1, 4], np.float32)]
    )
    element = {"image": IMAGE, "objects": {"bbox": boxes, "label": ragged(2, 1)[1]}}
    dataset = tf.data.Dataset.from_tensor_slices(element)
    message = "each box must have four numbers, but the boxes of 'objects' are Ragged"
    with pytest.raises(ValueError, match=message):
        dataset.apply(tfmixup.two_streams(MIXER, 2))


@pytest.mark.parametrize("kind", [tfmixup.CutMix, tfmixup.Mosaic])
def test_places_in_the_image_that_do_not_follow_it(kind):
    points = tf.TensorSpec([2, 5, 7, 2])
    several = [MIXER, kind(**OPTIONS)]
    for mixer in (kind(**OPTIONS), tfmixup.RandomChoice(several)):
        for name, spec in (("points", points), ("angle", tf.TensorSpec([2, 5]))):
            with pytest.raises(ValueError, match=f"'{name}'. .* may be places in the"):
                mixer.plan(objects(**{name: spec}))
    MIXER.plan(objects(points=points))


def test_boxes_of_padding_that_have_a_class():
    boxes, labels = (rows.to_tensor() for rows in ragged(2, 1))
    padded = {"image": IMAGE, "objects": {"bbox": boxes, "label": labels}}
    message = "boxes of four zeros, as padding makes them, and their labels are not -1"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        MIXER(padded)


def test_arrays_are_checked_at_once():
    wrong = batch(boxes=((BOX,), ((0.0, 0.0, 2.0, 1.0),)))
    message = "tensors has boxes that cannot be: .*boxes must be inside the image"
    with pytest.raises(ValueError, match=message):
        tfmixup.from_tensors(wrong, MIXER, 2)


@pytest.mark.parametrize("label", [-2, -255])
def test_labels_below_minus_one(label):
    message = "labels of boxes must be class ids from 0 on, or -1 in rows without a box"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message) as caught:
        MIXER(batch(labels=[[1], [label]]), seed=[1, 2])
    assert str(label) in str(caught.value)


def test_more_boxes_than_there_is_room_for():
    boxes, labels = ragged(1, 4)
    element = {"image": IMAGE, "objects": {"bbox": boxes, "label": labels}}
    message = r"(?s)tfmixup\.MixUp: more boxes of one image than max_boxes=3.*1,? 4"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        MIXER(element, seed=[1, 2])
    # Each for itself has room.
    boxes, labels = ragged(2, 2)
    element = {"image": IMAGE, "objects": {"bbox": boxes, "label": labels}}
    message = r"(?s)more boxes of one mixture than max_boxes=3.*four for Mosaic.*4,? 4"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        MIXER(element, seed=[1, 2])
    got = tfmixup.MixUp(**{**OPTIONS, "max_boxes": 4})(element, seed=[1, 2])
    np.testing.assert_array_equal(got["objects"]["label"], np.ones([2, 4]))
    # In pipelines too, which two_streams and from_tensors check at their own places.
    dataset = tf.data.Dataset.from_tensor_slices(element)
    dense = tf.nest.map_structure(
        lambda t: t.to_tensor() if isinstance(t, tf.RaggedTensor) else t, element
    )
    for pipeline in (
        dataset.apply(tfmixup.two_streams(MIXER, 2)),
        tfmixup.from_tensors(dense, MIXER, 2),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match="of one mixture than"):
            list(pipeline)


def test_numbers_of_labels_and_boxes_that_differ():
    boxes, labels = ragged(2, 1)[0], ragged(1, 1)[1]
    element = {"image": IMAGE, "objects": {"bbox": boxes, "label": labels}}
    message = "each box must have one entry under every key beside it, but in this ba"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        MIXER(element, seed=[1, 2])
    dataset = tf.data.Dataset.from_tensor_slices(element)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(dataset.apply(tfmixup.two_streams(MIXER, 2)))


def test_rows_that_differ_where_the_longest_do_not():
    """Padding would hide that a box of image 0 has no label."""
    element = {
        "image": IMAGE,
        "objects": {"bbox": ragged(2, 2)[0], "label": ragged(1, 2)[1]},
    }
    message = "each box must have one entry under every key beside it, but in this ba"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        tfmixup.MixUp(**{**OPTIONS, "max_boxes": 9})(element, seed=[1, 2])


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (batch(id=np.zeros([2, 1])), "structures differ"),
        (batch(labels=np.ones([2, 1], np.float32)), "float32 is not int64"),
        (
            {"image": IMAGE, "objects": {"bbox": np.ones([2, 1, 4])}},
            "structures differ",
        ),
        (batch(np.ones([3, 1, 4]), np.ones([3, 1], int)), r"\(3, None, 4\) is not \(2"),
    ],
)
def test_a_second_batch_of_other_boxes(second, message):
    params = MIXER.sample(2, [1, 2])
    message = rf"^tfmixup\.MixUp: the second batch must yield .*{message}"
    with pytest.raises(ValueError, match=message):
        MIXER.apply(batch(), second, params)
    fine = batch([[BOX, BOX]] * 2, [[1, -1]] * 2)  # another number of boxes
    assert MIXER.apply(batch(), fine, params)["objects"]["bbox"].shape == [2, 3, 4]
