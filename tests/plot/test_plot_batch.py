"""Pictures of batches, looked at through matplotlib's own objects."""

import numpy as np
import pytest
import tensorflow as tf
from looking import assert_readable, shown, titles

import tfmixup
from tfmixup import plot

IMAGES = np.random.default_rng(0).integers(0, 256, [8, 6, 6, 3]).astype("uint8")
LABELS = np.array([3, 4, 3, 0, 1, 2, 3, 4])
LAM = [0.79, 0.5, 1.0, 0.004, 0.3, 0.62, 0.1, 0.9]
NAMES = ["ant", "bee", "cat", "dog", "elk"]


def mixed(mixer=None):
    """Every example mixed with the next one by `LAM`."""
    mixer = mixer or tfmixup.MixUp(num_classes=5)
    second = (np.roll(IMAGES, -1, 0), np.roll(LABELS, -1, 0))
    params = tfmixup.MixUpParams(tf.constant(LAM, tf.float32))
    return mixer.apply((IMAGES, LABELS), second, params)


# Labels and λ


def test_titles_tell_label_mass_and_nothing_of_lambda():
    figure = plot.batch(mixed())
    assert titles(figure) == [
        ["3: 0.79 / 4: 0.21"],
        ["3: 0.50 / 4: 0.50"],
        ["3: 1.00"],
        ["1: 1.00"],
        ["2: 0.70 / 1: 0.30"],
        ["2: 0.62 / 3: 0.38"],
        ["4: 0.90 / 3: 0.10"],
        ["4: 0.90 / 3: 0.10"],
    ]
    assert_readable(figure)


@pytest.mark.parametrize("lam", [LAM, tf.constant(LAM), 0.25, [0.25]])
def test_lambda_that_is_given_is_written(lam):
    lines = titles(plot.batch(mixed(), NAMES, lam=lam))
    assert lines[0][1:] == ["dog: 0.79 / elk: 0.21"]
    values = np.broadcast_to(np.reshape(lam, [-1]), [8])
    assert [line[0] for line in lines] == [f"λ = {value:.2f}" for value in values]


@pytest.mark.parametrize("num_classes", [5, None])
def test_pairs_tell_lambda(num_classes):
    mixer = tfmixup.MixUp(num_classes=num_classes, targets="pair")
    lines = titles(plot.batch(mixed(mixer)))
    assert lines[0] == ["λ = 0.79", "3: 0.79 / 4: 0.21"]
    assert lines[4] == ["λ = 0.30", "2: 0.70 / 1: 0.30"]


def test_dict_elements_with_pairs_and_keys_of_their_own():
    mixer = tfmixup.MixUp(
        num_classes=5, targets="pair", feature_keys=("pic",), target_keys=("kind",)
    )
    element = {"pic": IMAGES, "kind": LABELS, "id": np.array(["a"] * 8)}
    batch = mixer.apply(element, element, tfmixup.MixUpParams(tf.fill([8], 0.8)))
    figure = plot.batch(batch, NAMES, feature_key="pic", target_keys=("kind",))
    assert titles(figure)[0] == ["λ = 0.80", "dog: 1.00"]


SMOOTH = tfmixup.MixUp(num_classes=5, label_smoothing=0.1)
Y = np.arange(8, dtype="float32") + 0.5
QUARTER = np.full(8, 0.25, "float32")
MULTI_HOT = np.float32([[1, 0, 1, 1, 1]] * 8)
WORDS = np.ones([8, 7], "int32")


@pytest.mark.parametrize(
    ("targets", "lines"),
    [
        (LABELS, ["elk: 1.00"]),
        (list(LABELS), ["elk: 1.00"]),
        (LABELS[:, np.newaxis], ["elk: 1.00"]),
        # 0.9·0.5 + 0.02 twice, and three times 0.02, of which none is picked out.
        (mixed(SMOOTH)[1], ["dog: 0.47 / elk: 0.47", "others: 0.06"]),
        (np.eye(5)[LABELS] + np.eye(5)[0], ["y = 1, 0, 0, …"]),  # beyond 1
        (MULTI_HOT, ["ant: 1.00 / cat: 1.00", "dog: 1.00 / others: 1.00"]),
        (Y, ["y = 1.5"]),
        (np.stack([Y, -Y, Y, Y], 1), ["y = 1.5, -1.5, 1.5, …"]),
        ((Y, Y + 1, QUARTER), ["λ = 0.25", "0.25 · 1.5 + 0.75 · 2.5"]),
        (WORDS, None),
        ((WORDS, WORDS, QUARTER), ["λ = 0.25"]),
        ((LABELS, LABELS % 2), ["elk: 1.00", "0: 1.00"]),
        (({"a": LABELS}, {"b": Y}), ["elk: 1.00", "y = 1.5"]),
    ],
)
def test_what_is_written_of_targets(targets, lines):
    names = NAMES if not isinstance(targets, tuple) or len(targets) == 3 else None
    if isinstance(targets, tuple) and len(targets) == 2:
        names = {"a" if isinstance(targets[0], dict) else 0: NAMES}
    found = titles(plot.batch((IMAGES, targets), names))
    assert found[1] == lines if lines else found == []


def test_sample_weights_are_written_where_they_differ():
    weights = np.linspace(0, 1, 8).astype("float32")
    lines = titles(plot.batch((IMAGES, LABELS, weights)))
    assert lines[0] == ["3: 1.00", "weight 0.00"]
    element = {"image": IMAGES, "label": LABELS, "sample_weight": weights}
    assert titles(plot.batch(element)) == lines
    assert titles(plot.batch((IMAGES, LABELS, np.ones(8))))[0] == ["3: 1.00"]


def test_long_names_are_cut_and_do_not_overlap():
    kinds = ["Mammoth", "Wombat", "Quagga", "Ocelot", "Gnu"]
    names = [f"{kind}, or what was taken for one" for kind in kinds]
    figure = plot.batch(mixed(SMOOTH), names, title="A title", lam=LAM)
    assert titles(figure)[0][1] == "Ocelot, or what…: 0.73"
    assert_readable(figure)


# Images


def test_a_dataset_gives_its_first_batch_and_no_other():
    read = []

    def images():
        for k in range(5):
            read.append(k)
            yield IMAGES + k, LABELS

    spec = (tf.TensorSpec(IMAGES.shape, tf.uint8), tf.TensorSpec([8], tf.int64))
    dataset = tf.data.Dataset.from_generator(images, output_signature=spec)
    np.testing.assert_allclose(shown(plot.batch(dataset)), IMAGES[0] / 255)
    assert len(read) <= 2


@pytest.mark.parametrize(("examples", "columns"), [(8, 4), (5, 4), (1, 3), (100, 3)])
def test_the_grid(examples, columns):
    figure = plot.batch((IMAGES, LABELS), examples=examples, columns=columns)
    drawn = [axes for axes in figure.axes if axes.axison]
    assert len(titles(figure)) == len(drawn) == min(examples, 8)
    assert len({a.get_position().x0 for a in drawn}) == min(examples, columns)
    for axes, image in zip(drawn, IMAGES):
        assert len(axes.get_xticks()) == len(axes.get_yticks()) == 0
        np.testing.assert_allclose(axes.get_images()[0].get_array(), image / 255)


@pytest.mark.parametrize(
    ("values", "dtype", "expected", "note"),
    [
        ([0, 51, 255], "uint8", [0, 0.2, 1], ""),
        ([0, 1, 1], "int64", [0, 1 / 255, 1 / 255], ""),
        ([0, 0.2, 1], "float32", [0, 0.2, 1], ""),
        ([-1, 0, 1], "float32", [0, 0.5, 1], ""),
        ([0, 51, 255.0001], "float32", [0, 0.2, 1], ""),
        ([-2, 0, 2], "float32", [0, 0.5, 1], "black is -2, white is 2"),
        ([0, 500, 1000], "uint16", [0, 0.5, 1], "black is 0, white is 1e+03"),
        ([False, True, True], "bool", [0, 1, 1], ""),
    ],
)
def test_scales_of_images(values, dtype, expected, note):
    values = np.array(values, dtype)
    images = np.tile(values[np.newaxis, np.newaxis, :, np.newaxis], [2, 3, 1, 3])
    figure = plot.batch(images)
    np.testing.assert_allclose(shown(figure)[0, :, 0], expected, atol=1e-5)
    assert figure.get_suptitle() == note


def test_all_examples_are_on_one_scale_which_can_be_given():
    images = np.stack([np.full([4, 4, 1], 0.5), np.full([4, 4, 1], 200.0)])
    figure = plot.batch(images)
    assert shown(figure, 0).max() == pytest.approx(0.5 / 255)
    assert shown(figure, 1).max() == pytest.approx(200 / 255)
    figure = plot.batch(images, value_range=(0, 400))
    assert shown(figure, 1).max() == pytest.approx(0.5)


VIDEO = np.stack([IMAGES // 4, IMAGES, IMAGES // 2], axis=1)


@pytest.mark.parametrize(
    ("x", "kind", "expected"),
    [
        (tf.cast(IMAGES, tf.bfloat16), None, IMAGES[0]),
        (VIDEO, None, IMAGES[0]),
        (np.concatenate([IMAGES, IMAGES[..., :1]], -1), None, None),
        (IMAGES[..., 0], None, IMAGES[0, ..., 0]),
        (IMAGES[..., 0].astype("float32"), "image", IMAGES[0, ..., 0]),
    ],
    ids=["bfloat16", "video", "RGBA", "bytes", "floats"],
)
def test_other_forms_of_images(x, kind, expected):
    picture = shown(plot.batch(x, kind=kind))
    if expected is None:
        assert picture.shape == (6, 6, 4)
    else:
        np.testing.assert_allclose(picture, expected / 255, atol=2e-3)


def test_values_that_are_not_finite_are_said():
    images = IMAGES / 255
    images[1, 0, 0, 0] = np.nan
    lines = titles(plot.batch((images, LABELS)))
    assert lines[1] == ["4: 1.00", "NaN or infinite!"]
    assert lines[0] == ["3: 1.00"]


# Sounds


def test_waveforms_are_lines_on_one_scale():
    waves = np.random.default_rng(1).normal(size=[5, 200]).astype("float32")
    waves[2] *= 5
    for x in (waves, waves[..., np.newaxis]):
        figure = plot.batch((x, [0, 1, 2, 0, 1]), ["a", "b", "c"], columns=3)
        for axes, wave in zip(figure.axes, waves):
            np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), wave)
        assert len({axes.get_ylim() for axes in figure.axes[:5]}) == 1
        assert figure.axes[0].get_ylim()[1] >= waves.max()
        # The third one has an empty place below.
        ticks = [axes.xaxis.get_major_ticks()[0] for axes in figure.axes[:5]]
        labelled = [tick.label1.get_visible() for tick in ticks]
        assert labelled == [False, False, True, True, True]
        assert_readable(figure)
    frames = np.full([5, 20, 3], 10**9)  # a sequence, of which nothing is written
    stereo = (np.stack([waves, -waves], -1), frames)
    figure = plot.batch(stereo, NAMES, value_range=(-3, 3))
    assert titles(figure) == []
    np.testing.assert_allclose(figure.axes[0].get_lines()[1].get_ydata(), -waves[0])


def test_spectrograms_have_time_to_the_right():
    x = np.random.default_rng(1).normal(size=[3, 20, 7]).astype("float32")
    for given, kind in ((x, None), (x[..., np.newaxis], "spectrogram")):
        figure = plot.batch((given, [0, 1, 2]), kind=kind)
        picture = figure.axes[1].get_images()[0]
        np.testing.assert_allclose(picture.get_array(), x[1].T)
        assert picture.origin == "lower"
        assert picture.get_clim() == pytest.approx((x.min(), x.max()))
        assert_readable(figure)


# Targets with pixels


def scene():
    """Two images with masks: 4 pixels of class 1, 3 of 2, 2 ignored, 7 of 0."""
    mask = np.zeros([2, 4, 4], "uint8")
    mask[:, 0], mask[:, 1, :3], mask[:, 2, :2] = 1, 2, 255
    return np.zeros([2, 4, 4, 3], "uint8"), mask


def legend(figure):
    """The colour of every class in the legend; None for what is no class."""
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    faces = {p.get_label(): p.get_facecolor() for p in figure.legends[0].get_patches()}
    return {text: faces[text][:3] if text in faces else None for text in texts}


def share_of(picture, colour):
    return np.mean(np.all(np.abs(picture - [*colour, 1]) < 1e-6, axis=-1))


@pytest.mark.parametrize("form", ["ids", "channel", "one-hot", "weights"])
def test_masks_have_a_colour_per_class_and_stripes(form):
    images, mask = scene()
    batch = {
        "ids": (images, mask),
        "channel": (images, mask[..., np.newaxis]),
        "one-hot": (images, (mask[..., np.newaxis] == np.arange(3)).astype("float32")),
        "weights": (images, np.where(mask == 255, 0, mask), (mask != 255) * 1.0),
    }[form]
    figure = plot.batch(batch, NAMES[:3], ignore_label=255)
    assert list(legend(figure)) == ["ant", "bee", "cat", "ignored"]
    picture = shown(figure, 2)  # below the two images
    for name, count in (("ant", 7), ("bee", 4), ("cat", 3)):
        assert share_of(picture, legend(figure)[name]) == count / 16
    # The stripes behind are seen through pixels that are ignored.
    np.testing.assert_array_equal(picture[..., 3] == 0, mask[0] == 255)
    assert "/" in figure.axes[2].patch.get_hatch()
    assert_readable(figure)


@pytest.mark.parametrize("targets", ["blend", "pair"])
def test_pixels_of_several_classes_are_blended_and_dotted(targets):
    images, mask = scene()
    mask = np.where(mask == 255, 0, mask)
    mixer = tfmixup.MixUp(num_classes=3, targets=targets)
    params = tfmixup.MixUpParams(tf.fill([2], 0.75))
    figure = plot.batch(mixer.apply((images, mask), (images, mask[:, ::-1]), params))
    assert titles(figure) == ([["λ = 0.75"]] * 2 if targets == "pair" else [])
    palette = legend(figure)
    assert list(palette) == ["0", "1", "2", "of several"]
    # The first row is 1 in the first mask and 0 in the second.
    blend = 0.75 * np.array(palette["1"]) + 0.25 * np.array(palette["0"])
    np.testing.assert_allclose(shown(figure, 2)[0, :, :3], [blend] * 4, atol=1e-6)
    dots = np.transpose(figure.axes[2].get_lines()[0].get_data())  # (x, y)
    several = np.argwhere(mask[0] != mask[0, ::-1])[:, ::-1]
    assert {*map(tuple, dots)} == {*map(tuple, several)}


def test_the_legend_has_the_classes_of_the_examples_that_are_drawn():
    images, mask = scene()
    mask[0, 0, 0], mask[1] = 0, 1
    batch = {"image": images, "mask": mask % 255}
    figure = plot.batch(batch, {"mask": NAMES[:3]}, examples=1)
    assert list(legend(figure)) == ["ant", "bee", "cat"]
    mask[0] = 0
    assert list(legend(plot.batch((images, mask % 255), examples=1))) == ["0"]


def test_dots_of_large_masks_are_apart_and_on_their_pixels():
    mask = np.zeros([1, 100, 150, 2], "float32")
    mask[..., 0], mask[:, 30:60, :, 0], mask[:, 30:60, :, 1] = 1, 0.5, 0.5
    figure = plot.batch((np.zeros([1, 100, 150, 3], "uint8"), mask))
    x, y = figure.axes[1].get_lines()[0].get_data()
    assert len({*x}) <= 24
    assert y.min() >= 30
    assert y.max() < 60


def test_masks_and_labels_of_one_element():
    images, mask = scene()
    element = {"image": images, "label": np.array([0, 1]), "segmentation_mask": mask}
    keys = ("label", "segmentation_mask")
    mixer = tfmixup.CutMix(
        num_classes=3, ignore_label=255, integer_masks=True, target_keys=keys
    )
    names = {"label": ["in", "out", "?"], "segmentation_mask": NAMES[:3]}
    batch = mixer(element, seed=[1, 2])
    figure = plot.batch(batch, names, ignore_label=255, columns=1)
    # An image, its mask below it, the next image, its mask.
    assert [bool(axes.get_title()) for axes in figure.axes] == [True, False] * 2
    assert [shown(figure, k).shape[2] for k in range(4)] == [3, 4, 3, 4]
    assert {"ant", "bee", "cat"} <= set(legend(figure))


@pytest.mark.parametrize("form", ["plain", "channel", "pair"])
def test_depth_maps_have_a_scale(form):
    images, _ = scene()
    depth = np.linspace(1, 3, 32).reshape(2, 4, 4).astype("float32")
    target = {"plain": depth, "channel": depth[..., np.newaxis]}.get(form)
    if target is None:
        target = (depth + 1, depth, np.array([0, 0], "float32"))
    figure = plot.batch((images, target))
    for k in (0, 1):
        picture = figure.axes[2 + k].get_images()[0]
        np.testing.assert_allclose(picture.get_array(), depth[k])
        assert picture.get_clim() == pytest.approx((1, 3))
    assert figure.axes[-1].get_ylim() == pytest.approx((1, 3))  # the colour bar


@pytest.mark.parametrize("classes", [2, 6, 11])
def test_colours_of_masks_differ_in_grey(classes):
    mask = np.arange(2 * classes).reshape(1, 2, classes) % classes
    figure = plot.batch((np.zeros([1, 2, classes, 3], "uint8"), mask))
    grey = [np.dot(c, [0.299, 0.587, 0.114]) for c in legend(figure).values()]
    assert len(grey) == classes
    assert np.diff(grey).min() > 0.5 / classes


def test_a_legend_of_many_classes():
    mask = np.arange(100).reshape(1, 10, 10)
    figure = plot.batch((np.zeros([1, 10, 10, 3], "uint8"), mask))
    assert list(legend(figure))[-1] == "and 84 more"
    assert_readable(figure)


# Bad input

RAGGED = tf.ragged.constant([[1.0], [2.0, 3.0]])
MASKS = np.full([8, 6, 6], 255, "uint8")


@pytest.mark.parametrize(
    ("batch", "more", "error", "message"),
    [
        ((IMAGES, LABELS), {"examples": 0}, ValueError, "examples must be at least 1"),
        ((IMAGES, LABELS), {"columns": 1.5}, TypeError, "columns must be an integer"),
        (IMAGES, {"kind": "sound"}, ValueError, "kind must be one of 'image'"),
        (IMAGES, {"kind": "waveform"}, ValueError, r"\(8, 6, 6, 3\) cannot be drawn"),
        (np.ones([8, 4, 4, 2]), {}, ValueError, "of 1, 3 or 4 channels"),
        (IMAGES, {"value_range": (1, 0)}, ValueError, "value_range must be two"),
        (IMAGES, {"value_range": 3}, ValueError, "value_range must be two numbers"),
        (IMAGES, {"lam": [0.1, 0.2]}, ValueError, "one for each of the 8 examples"),
        (IMAGES, {"lam": 1.5}, ValueError, r"lam must be in \[0, 1\]"),
        (IMAGES, {"lam": "half"}, ValueError, r"lam must be in \[0, 1\]"),
        (IMAGES, {"class_names": "abc"}, TypeError, "class_names must be a sequence"),
        (IMAGES, {"class_names": {"z": ["a"]}}, KeyError, "has the key 'z'"),
        (mixed(), {"class_names": ["a"]}, ValueError, "1 entries, and labels have 5"),
        ((IMAGES, LABELS), {"class_names": ["a"]}, ValueError, "labels have 5 classes"),
        ((IMAGES, MASKS), {"class_names": NAMES}, ValueError, "ignore_label=255"),
        (np.ones(8), {}, ValueError, r"feature of shape \(8,\)"),
        (np.ones([0, 4, 4, 3]), {}, ValueError, "not empty"),
        ((IMAGES, LABELS[:3]), {}, ValueError, "8 examples, but the target is of"),
        ((IMAGES, LABELS, np.ones(3)), {}, ValueError, "but sample_weight is of"),
        ((IMAGES, np.array(["a"] * 8)), {}, TypeError, "a target must be numbers"),
        ((IMAGES, MASKS[:, 1:]), {}, ValueError, "does not lie on images of 6×6"),
        ("digits", {}, TypeError, r"must be \(x, y\)"),
        ((RAGGED, [0, 1]), {}, TypeError, "must be a dense tensor"),
        (
            {"pic": IMAGES, "n": LABELS},
            {},
            ValueError,
            "feature_key.* such as .'n', 'pic'",
        ),
        ({"image": IMAGES}, {"target_keys": ("y",)}, KeyError, "no key 'y'"),
        ({"image": IMAGES}, {"feature_key": "x"}, KeyError, "asks for 'x'"),
        (tf.data.Dataset.from_tensors(0).take(0), {}, ValueError, "dataset is empty"),
    ],
)
def test_bad_input(batch, more, error, message):
    with pytest.raises(error, match=f"tfmixup.plot.batch: .*{message}"):
        plot.batch(batch, **more)


def test_the_first_examples_have_the_first_lambdas():
    lines = titles(plot.batch(mixed(), NAMES, lam=LAM, examples=3))
    assert [line[0] for line in lines] == [f"λ = {value:.2f}" for value in LAM[:3]]
