"""Images, masks and boxes that cannot be mixed are refused when a pipeline is built."""

import numpy as np
import pytest
import tensorflow as tf

import tfmixup

N, H, W = 8, 6, 10


def zeros(*shape, dtype="float32"):
    return np.zeros((N, *shape), dtype)


IMAGE, MASK = zeros(H, W, 3), zeros(H, W, dtype="uint8")
ROUTES = {
    "two_streams": lambda ds, mixer: ds.apply(tfmixup.two_streams(mixer, 4)),
    "in_batch": lambda ds, mixer: ds.batch(4).apply(tfmixup.in_batch(mixer)),
    "map": lambda ds, mixer: ds.batch(4).map(mixer),
}
each_route = pytest.mark.parametrize("route", ROUTES)


def refused(message, route, mixer, error=ValueError):
    speaker = type(mixer).__name__ if route == "map" else route
    return pytest.raises(error, match=rf"(?s)^tfmixup\.{speaker}: {message}")


def build(route, mixer, *element):
    element = element[0] if len(element) == 1 else element
    return ROUTES[route](tf.data.Dataset.from_tensor_slices(element), mixer)


NO_IMAGE = r"{} pastes rectangles and needs images .*got float32{}.*use tfmixup.MixUp"


@each_route
@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 2, 4, 5, 3)])
@pytest.mark.parametrize("name", ["CutMix", "ResizeMix"])
def test_features_that_are_no_images(name, shape, route):
    mixer = getattr(tfmixup, name)()
    came = r"\(.*" + ", ".join(map(str, shape)) + r"\)"
    with refused(NO_IMAGE.format(name, came), route, mixer):
        build(route, mixer, zeros(*shape), zeros(2))


@each_route
def test_images_of_several_sizes(route):
    mixer = tfmixup.CutMix()
    message = r"CutMix pastes one rectangle into all features, and they differ in heig"
    with refused(message, route, mixer):
        build(route, mixer, (IMAGE, zeros(W, H, 3)), zeros(2))


DENSE = r"CutMix pastes the same rectangle into {} of three dimensions and more.*got "


@each_route
@pytest.mark.parametrize("shape", [(5, 7), (W, H), (4, 4, 2)])
def test_dense_floats_of_another_size(shape, route):
    mixer = tfmixup.CutMix()
    with refused(DENSE.format("targets"), route, mixer):
        build(route, mixer, IMAGE, zeros(*shape))
    with refused(DENSE.format("sample_weight"), route, mixer):
        build(route, mixer, IMAGE, zeros(2), zeros(*shape))


@each_route
@pytest.mark.parametrize("targets", ["pair", "union"])
def test_dense_targets_are_only_pasted(targets, route):
    mixer = tfmixup.CutMix(targets=targets)
    message = f"targets='{targets}' has one λ for the whole target, but CutMix takes ev"
    for dense in (zeros(H, W), zeros(H, W, 4)):
        with refused(message, route, mixer):
            build(route, mixer, IMAGE, dense)
    if targets == "pair":
        with refused(message, route, mixer):
            build(route, mixer, IMAGE, MASK)


SIZE = r"a mask must have the size of its image, .*got int64\(.*\) beside features .*"


@each_route
@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
@pytest.mark.parametrize("shape", [(5, 7), (W, H, 1), (H, W, 2), (3, H, W)])
def test_masks_of_another_size(shape, name, route):
    mixer = getattr(tfmixup, name)(num_classes=3)
    with refused(SIZE + "Resize it with method='nearest'", route, mixer):
        build(route, mixer, IMAGE, zeros(*shape, dtype="int64"))


@each_route
@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_masks_without_a_number_of_classes(name, route):
    mixer = getattr(tfmixup, name)()
    message = r"targets are integer masks \(uint8\(.*Pass num_classes=..., so that they"
    with refused(message, route, mixer):
        build(route, mixer, IMAGE, MASK)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"integer_masks": True},
            ValueError,
            "integer_masks=True keeps one class id a pixel, but blending .*CutMix",
        ),
        ({"integer_masks": 1}, TypeError, "integer_masks must be True or False, got 1"),
        ({"ignore_label": 2}, ValueError, "ignore_label=2 is a class, being below num"),
        ({"ignore_label": 2.5}, TypeError, "ignore_label must be an integer or None"),
        ({"ignore_label": True}, TypeError, "ignore_label must be an integer or None"),
        (
            {"ignore_label": 255, "targets": "pair"},
            ValueError,
            "ignore_label=255 is for integer masks that are blended",
        ),
        (
            {"ignore_label": 255, "num_classes": None},
            ValueError,
            "ignore_label=255 is for integer masks that are blended: it needs num_cl",
        ),
        ({"targets": "mean"}, ValueError, "targets must be one of 'blend', 'pair', 'u"),
    ],
)
def test_arguments_about_masks(arguments, error, message):
    with pytest.raises(error, match=rf"^tfmixup\.MixUp: {message}"):
        tfmixup.MixUp(**{"num_classes": 3, **arguments})


def test_integer_masks_cannot_be_smoothed():
    with pytest.raises(ValueError, match=r"CutMix: label_smoothing=0.1 cannot be told"):
        tfmixup.CutMix(num_classes=3, integer_masks=True, label_smoothing=0.1)


@each_route
@pytest.mark.parametrize("argument", [{"integer_masks": True}, {"ignore_label": 255}])
def test_arguments_about_masks_without_a_mask(argument, route):
    mixer = tfmixup.CutMix(num_classes=3, **argument)
    with refused(
        r".*is for integer masks \(batch, height, width\), and the t", route, mixer
    ):
        build(route, mixer, IMAGE, np.arange(N) % 3)


@each_route
@pytest.mark.parametrize("shape", [(H,), (H, W, 3), (W, H)])
def test_weights_of_another_size_than_the_mask(shape, route):
    mixer = tfmixup.MixUp(num_classes=3, ignore_label=255)
    message = (
        r"with ignore_label, the sample weights of masks of shape \(.*must be \(ba"
    )
    with refused(message, route, mixer):
        build(route, mixer, IMAGE, MASK, zeros(*shape))


@each_route
def test_a_number_of_weights_unlike_that_of_the_targets(route):
    mixer = tfmixup.MixUp(num_classes=3, ignore_label=255)
    weights = (zeros(), zeros(), zeros())
    with refused("with ignore_label, sample weights must be one tensor", route, mixer):
        build(route, mixer, IMAGE, (MASK, MASK), weights)


@each_route
def test_a_key_that_the_weights_would_overwrite(route):
    mixer = tfmixup.MixUp(num_classes=3, ignore_label=255)
    element = {"image": IMAGE, "label": MASK, "sample_weight": zeros()}
    with refused("ignore_label=255 adds a key 'sample_weight' to", route, mixer):
        build(route, mixer, element)


@pytest.mark.parametrize("ignore_label", [None, 255])
@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "uint16", "int32", "int64", "uint32"]
)
def test_values_outside_the_classes_wait_for_their_batch(dtype, ignore_label):
    # No spec can tell.
    mixer = tfmixup.MixUp(num_classes=3, ignore_label=ignore_label)
    fine = np.array([0, 1, 2, 255 if ignore_label else 2], dtype).reshape(1, 2, 2)
    image = np.zeros([1, 2, 2, 3], "float32")
    mixer(image, fine)
    for strange in (3, 254) + ((-1,) if dtype.startswith("int") else ()):
        bad = np.array([0, 1, strange, fine.max()], dtype).reshape(1, 2, 2)
        with pytest.raises(
            tf.errors.InvalidArgumentError,
            match=rf"(?s)masks must be in \[0, 3\).*shift labels that start.*{strange}",
        ):
            mixer(image, bad)


@pytest.mark.parametrize("jit", [True, False])
def test_sizes_that_no_spec_tells_wait_for_their_batch(jit):
    def unknown(*shapes):
        spec = tuple(tf.TensorSpec([None] * (len(s) + 1), tf.float32) for s in shapes)
        mixer = tfmixup.CutMix(jit_compile=jit)
        return tf.function(lambda *e: mixer(*e), input_signature=spec, autograph=False)

    shapes = (H, W, 3), (H, W)
    unknown(*shapes)(IMAGE, zeros(H, W))
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="images, masks and weights of pixels mus"
    ):
        unknown(*shapes)(IMAGE, zeros(H, W + 1))


# Masks before batching ----------------------------------------------------------------


@pytest.mark.parametrize("channel", [True, False])
def test_single_masks_are_no_batches(channel):
    mask = MASK[..., None] if channel else MASK
    mixed = build("two_streams", tfmixup.MixUp(num_classes=3), IMAGE, mask)
    assert mixed.element_spec[1].shape == (4, H, W, 3)


def test_single_images_and_masks_of_unknown_size_get_a_hint():
    spec = tf.TensorSpec([None, None, 3]), tf.TensorSpec([None, None], tf.int32)
    ds = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=spec)
    with pytest.raises(ValueError, match=r"unknown size need one: tf.ensure_shape"):
        ds.apply(tfmixup.two_streams(tfmixup.MixUp(num_classes=3), 4))


# Boxes --------------------------------------------------------------------------------

BOXES = np.zeros([N, 2, 4], "float32")
NO_BOXES = (
    "the target '{}' looks like bounding boxes, and corners of boxes cannot be av"
)


@each_route
@pytest.mark.parametrize("name", ["MixUp", "CutMix", "ResizeMix"])
@pytest.mark.parametrize("key", ["bbox", "boxes", "Bounding_Boxes"])
def test_boxes_by_their_name(key, name, route):
    mixer = getattr(tfmixup, name)(num_classes=3)
    labels = np.zeros([N, 2], "int64")
    for y in ({key: BOXES, "classes": labels}, ({"a": {key: BOXES}}, labels)):
        with refused(NO_BOXES.format(key), route, mixer):
            build(route, mixer, IMAGE, y)


@each_route
def test_the_objects_of_a_detection_set(route):
    # As TFDS yields them: a dict of boxes and of labels, as many as there are objects.
    objects = {"bbox": BOXES, "label": np.zeros([N, 2], "int64")}
    element = {"image": IMAGE, "objects": objects}
    mixer = tfmixup.MixUp(num_classes=3, target_keys=("objects",))
    with refused(NO_BOXES.format("bbox"), route, mixer):
        build(route, mixer, element)
    # Left out of target_keys they pass through from the first example.
    labels = {**element, "label": np.arange(N) % 3}
    mixed = build(route, tfmixup.MixUp(num_classes=3), labels)
    assert mixed.element_spec["objects"]["bbox"].shape[1:] == (2, 4)


def test_boxes_as_many_as_there_are_objects():
    spec = {
        "image": tf.TensorSpec([H, W, 3]),
        "objects": {"bbox": tf.TensorSpec([None, 4]), "label": tf.TensorSpec([None])},
    }
    ds = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=spec)
    mixer = tfmixup.MixUp(target_keys=("objects",))
    with refused(NO_BOXES.format("bbox"), "two_streams", mixer):
        ds.apply(tfmixup.two_streams(mixer, 4))
    with refused(NO_BOXES.format("bbox"), "in_batch", mixer):
        ds.ragged_batch(4).apply(tfmixup.in_batch(mixer))
