"""Pictures of batches and of λ, looked at through matplotlib's own objects."""

import itertools

import matplotlib.text
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup

tfd = tfp.distributions
plot = tfmixup.plot


def titles(figure):
    """The lines above every picture that has some."""
    return [a.get_title().split("\n") for a in figure.axes if a.get_title()]


def shown(figure, k=0):
    """What picture k shows: RGB (H, W, 3), or numbers."""
    return np.asarray(figure.axes[k].get_images()[0].get_array())


def texts(figure):
    """All text that is drawn, with its place: [(text, box)]."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    beyond = []  # ticks outside of the axes are made and not drawn
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low <= tick.get_loc() <= high:
                beyond += [tick.label1, tick.label2]
    found = [t for t in figure.findobj(matplotlib.text.Text) if t.get_text().strip()]
    drawn = [t for t in found if t.get_visible() and t not in beyond]
    return [(t.get_text(), t.get_window_extent(renderer)) for t in drawn]


def assert_readable(figure):
    """No text lies on another one or beyond the edge, give or take a pixel."""
    width, height = figure.get_size_inches() * figure.dpi
    placed = [(t, b) for t, b in texts(figure) if b.width > 0 and b.height > 0]
    assert placed
    for text, box in placed:
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -1, text
    for (text, box), (other, its) in itertools.combinations(placed, 2):
        across = min(box.x1, its.x1) - max(box.x0, its.x0)
        down = min(box.y1, its.y1) - max(box.y0, its.y0)
        assert across <= 1 or down <= 1, (text, other)


IMAGES = np.random.default_rng(0).integers(0, 256, [8, 6, 6, 3]).astype("uint8")
LABELS = np.array([3, 4, 3, 0, 1, 2, 3, 4])


def mixed(lam, mixer=None, images=IMAGES, labels=LABELS):
    """Every example mixed with the next one by given λ."""
    mixer = mixer or tfmixup.MixUp(num_classes=5)
    params = tfmixup.MixUpParams(tf.constant(lam, tf.float32))
    other = (np.roll(images, -1, 0), np.roll(labels, -1, 0))
    return mixer.apply((images, labels), other, params)


LAM = [0.79, 0.5, 1.0, 0.004, 0.3, 0.62, 0.1, 0.9]
NAMES = ["ant", "bee", "cat", "dog", "elk"]


# Labels and λ


def test_titles_tell_label_mass_and_nothing_of_lambda():
    figure = plot.batch(mixed(LAM))
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


@pytest.mark.parametrize("lam", [LAM, np.array(LAM), tf.constant(LAM)])
def test_lambda_that_is_given_is_written(lam):
    lines = titles(plot.batch(mixed(LAM), NAMES, lam=lam))
    assert lines[0] == ["λ = 0.79", "dog: 0.79 / elk: 0.21"]
    assert [line[0] for line in lines] == [f"λ = {value:.2f}" for value in LAM]


@pytest.mark.parametrize("lam", [0.25, [0.25]])
def test_one_lambda_for_all(lam):
    assert all(line[0] == "λ = 0.25" for line in titles(plot.batch(IMAGES, lam=lam)))


@pytest.mark.parametrize("num_classes", [5, None])
def test_pairs_tell_lambda(num_classes):
    mixer = tfmixup.MixUp(num_classes=num_classes, targets="pair")
    lines = titles(plot.batch(mixed(LAM, mixer)))
    assert lines[0] == ["λ = 0.79", "3: 0.79 / 4: 0.21"]
    assert lines[4] == ["λ = 0.30", "2: 0.70 / 1: 0.30"]


def test_pairs_in_dict_elements_and_other_keys():
    mixer = tfmixup.MixUp(
        num_classes=5, targets="pair", feature_keys=("pic",), target_keys=("kind",)
    )
    element = {"pic": IMAGES, "kind": LABELS, "id": np.array(["a"] * 8)}
    params = tfmixup.MixUpParams(tf.fill([8], 0.8))
    batch = mixer.apply(element, element, params)
    figure = plot.batch(batch, NAMES, feature_key="pic", target_keys=("kind",))
    assert titles(figure)[0] == ["λ = 0.80", "dog: 1.00"]


def test_class_ids_that_are_not_mixed():
    for labels in (LABELS, LABELS[:, np.newaxis]):
        assert titles(plot.batch((IMAGES, labels), NAMES))[0] == ["dog: 1.00"]


def test_smoothed_labels_name_those_that_stand_out():
    smooth = tfmixup.MixUp(num_classes=5, label_smoothing=0.1)
    # 0.9·0.79 + 0.02, 0.9·0.21 + 0.02, and three times 0.02.
    lines = titles(plot.batch(mixed(LAM, smooth)))[0]
    assert lines == ["3: 0.73 / 4: 0.21", "others: 0.06"]


def test_multi_hot_labels():
    y = np.array([[1, 0, 1, 1, 1], [0, 1, 1, 0, 0]], "float32")
    lines = titles(plot.batch((IMAGES[:2], y), NAMES))
    assert lines[0] == ["ant: 1.00 / cat: 1.00", "dog: 1.00 / others: 1.00"]
    assert lines[1] == ["bee: 1.00 / cat: 1.00"]


def test_numbers_and_sequences():
    y = np.arange(8, dtype="float32") + 0.5
    assert titles(plot.batch((IMAGES, y)))[1] == ["y = 1.5"]
    vectors = np.stack([y, -y, y, y], 1)
    assert titles(plot.batch((IMAGES, vectors)))[1] == ["y = 1.5, -1.5, 1.5, …"]
    lam = np.full(8, 0.25, "float32")
    lines = titles(plot.batch((IMAGES, (y, y + 1, lam))))[1]
    assert lines == ["λ = 0.25", "0.25 · 1.5 + 0.75 · 2.5"]
    words = np.ones([8, 7], "int32")
    assert titles(plot.batch((IMAGES, words))) == []
    assert titles(plot.batch((IMAGES, (words, words, lam))))[0] == ["λ = 0.25"]


def test_sample_weights_are_written_where_they_differ():
    weights = np.linspace(0, 1, 8).astype("float32")
    lines = titles(plot.batch((IMAGES, LABELS, weights)))
    assert lines[0] == ["3: 1.00", "weight 0.00"]
    element = {"image": IMAGES, "label": LABELS, "sample_weight": weights}
    assert titles(plot.batch(element)) == lines
    assert titles(plot.batch((IMAGES, LABELS, np.ones(8))))[0] == ["3: 1.00"]


def test_several_targets_with_names_of_their_own():
    y = {"kind": LABELS, "colour": LABELS % 2}
    names = {"kind": NAMES, "colour": ["red", "blue"]}
    lines = titles(plot.batch((IMAGES, y), names))[0]
    assert lines == ["dog: 1.00", "blue: 1.00"]
    lines = titles(plot.batch((IMAGES, (LABELS, LABELS % 2)), {0: NAMES}))[0]
    assert lines == ["dog: 1.00", "1: 1.00"]


def test_long_names_are_cut_and_do_not_overlap():
    kinds = ["Mammoth", "Wombat", "Quagga", "Ocelot", "Gnu"]
    names = [f"{kind}, or what was taken for one" for kind in kinds]
    smooth = tfmixup.MixUp(num_classes=5, label_smoothing=0.2)
    figure = plot.batch(mixed(LAM, smooth), names, title="A title", lam=LAM)
    assert any("…" in line for lines in titles(figure) for line in lines)
    assert_readable(figure)


# What is read


def test_a_dataset_gives_its_first_batch_and_no_other():
    read = []

    def images():
        for k in range(5):
            read.append(k)
            yield IMAGES + k, LABELS

    spec = (tf.TensorSpec(IMAGES.shape, tf.uint8), tf.TensorSpec([8], tf.int64))
    dataset = tf.data.Dataset.from_generator(images, output_signature=spec)
    figure = plot.batch(dataset)
    np.testing.assert_allclose(shown(figure), IMAGES[0] / 255)
    assert len(read) <= 2


@pytest.mark.parametrize(("examples", "columns"), [(8, 4), (5, 4), (1, 3), (100, 3)])
def test_the_grid(examples, columns):
    figure = plot.batch((IMAGES, LABELS), examples=examples, columns=columns)
    count = min(examples, 8)
    assert len(titles(figure)) == count
    drawn = [axes for axes in figure.axes if axes.get_images()]
    assert len(drawn) == count
    for axes, image in zip(drawn, IMAGES):
        np.testing.assert_allclose(axes.get_images()[0].get_array(), image / 255)
    assert not any(a.axison for a in figure.axes if a not in drawn)


# Images


@pytest.mark.parametrize(
    ("values", "expected", "note"),
    [
        (np.array([0, 51, 255], "uint8"), [0, 0.2, 1], None),
        (np.array([0, 51, 255], "int64"), [0, 0.2, 1], None),
        (np.array([0, 0.2, 1], "float32"), [0, 0.2, 1], None),
        (np.array([-1, 0, 1], "float32"), [0, 0.5, 1], None),
        (np.array([0, 51, 255.0001], "float32"), [0, 0.2, 1], None),
        (np.array([-2, 0, 2], "float32"), [0, 0.5, 1], "black is -2, white is 2"),
        (np.array([0, 500, 1000], "uint16"), [0, 0.5, 1], "black is 0, white is 1e+03"),
        (np.array([False, True, True]), [0, 1, 1], None),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_scales_of_images(values, expected, note, channels):
    images = np.tile(values[np.newaxis, np.newaxis, :, np.newaxis], [2, 3, 1, channels])
    figure = plot.batch(images)
    np.testing.assert_allclose(shown(figure)[0, :, 0], expected, atol=1e-5)
    assert figure.get_suptitle() == (note or "")


def test_all_examples_are_on_one_scale():
    images = np.stack([np.full([4, 4, 1], 0.5), np.full([4, 4, 1], 200.0)])
    figure = plot.batch(images)
    assert shown(figure, 0).max() == pytest.approx(0.5 / 255)
    assert shown(figure, 1).max() == pytest.approx(200 / 255)


def test_a_scale_that_is_given():
    figure = plot.batch(IMAGES, value_range=(0, 510))
    np.testing.assert_allclose(shown(figure), IMAGES[0] / 510)


def test_half_precision_videos_and_alpha():
    x = tf.cast(IMAGES, tf.bfloat16)
    np.testing.assert_allclose(shown(plot.batch(x)), IMAGES[0] / 255, atol=2e-3)
    video = np.stack([IMAGES // 4, IMAGES // 2, IMAGES], axis=1)
    np.testing.assert_allclose(shown(plot.batch(video)), (IMAGES[0] // 2) / 255)
    clear = np.concatenate([IMAGES, IMAGES[..., :1]], -1)
    assert shown(plot.batch(clear)).shape == (6, 6, 4)


def test_grey_images_without_a_channel():
    bytes_ = IMAGES[..., 0]
    np.testing.assert_allclose(shown(plot.batch(bytes_))[..., 1], bytes_[0] / 255)
    floats = bytes_.astype("float32")
    figure = plot.batch(floats, kind="image")
    np.testing.assert_allclose(shown(figure)[..., 1], floats[0] / 255)


def test_values_that_are_not_finite_are_said():
    images = IMAGES / 255
    images[1, 0, 0, 0] = np.nan
    assert titles(plot.batch((images, LABELS)))[1][-1] == "NaN or infinite!"
    assert len(titles(plot.batch((images, LABELS)))[0]) == 1


# Sounds


def test_waveforms_are_lines_on_one_scale():
    waves = np.random.default_rng(1).normal(size=[3, 200]).astype("float32")
    waves[2] *= 5
    for x in (waves, waves[..., np.newaxis]):
        figure = plot.batch((x, [0, 1, 2]), ["a", "b", "c"])
        for axes, wave in zip(figure.axes, waves):
            np.testing.assert_allclose(axes.get_lines()[-1].get_ydata(), wave)
        assert len({axes.get_ylim() for axes in figure.axes[:3]}) == 1
        assert figure.axes[0].get_ylim()[1] >= waves.max()
        assert_readable(figure)
    stereo = np.stack([waves, -waves], -1)
    lines = plot.batch(stereo).axes[0].get_lines()[-2:]
    np.testing.assert_allclose(lines[1].get_ydata(), -waves[0])


def test_spectrograms_have_time_to_the_right():
    x = np.random.default_rng(1).normal(size=[3, 20, 7]).astype("float32")
    for given, kind in ((x, None), (x[..., np.newaxis], "spectrogram")):
        figure = plot.batch((given, [0, 1, 2]), kind=kind)
        picture = figure.axes[1].get_images()[0]
        np.testing.assert_allclose(picture.get_array(), x[1].T)
        assert picture.origin == "lower"
        assert picture.get_clim() == pytest.approx((x.min(), x.max()))
        assert_readable(figure)


# Masks


def scene():
    """Two images with masks: 4 pixels of class 1, 3 of 2, 2 ignored, 7 of 0."""
    mask = np.zeros([2, 4, 4], "uint8")
    mask[:, 0], mask[:, 1, :3], mask[:, 2, :2] = 1, 2, 255
    return np.zeros([2, 4, 4, 3], "uint8"), mask


def colours(figure):
    """The colour of every class in the legend."""
    patches = figure.legends[0].get_patches()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    return dict(zip(labels, (patch.get_facecolor()[:3] for patch in patches)))


def share_of(picture, colour):
    return np.mean(np.all(np.abs(picture - colour) < 1e-6, axis=-1))


@pytest.mark.parametrize("form", ["ids", "channel", "one-hot", "weights"])
def test_masks_have_a_colour_a_class_and_stripes(form):
    images, mask = scene()
    batch, arguments = (images, mask), {"ignore_label": 255}
    if form == "channel":
        batch = (images, mask[..., np.newaxis])
    if form == "one-hot":
        hot = (mask[..., np.newaxis] == np.arange(3)).astype("float32")
        batch, arguments = (images, hot), {}
    if form == "weights":
        batch = (images, np.where(mask == 255, 0, mask), (mask != 255) * 1.0)
        arguments = {}
    figure = plot.batch(batch, NAMES[:3], **arguments)
    assert list(colours(figure)) == ["ant", "bee", "cat", "ignored"]
    picture = shown(figure, 2)  # below the two images
    assert min(picture.shape[:2]) >= 128
    for name, count in (("ant", 7), ("bee", 4), ("cat", 3)):
        assert share_of(picture, colours(figure)[name]) == count / 16
    ignored = picture[2 * len(picture) // 4 + 1 :, : picture.shape[1] // 2]
    stripes = ignored[: len(picture) // 4 - 2]
    assert len(np.unique(stripes)) == 2  # two greys
    assert np.all(stripes == stripes[..., :1])
    assert_readable(figure)


def test_pixels_of_several_classes_are_blended_and_dotted():
    images, mask = scene()
    mixer = tfmixup.MixUp(num_classes=3, ignore_label=255)
    params = tfmixup.MixUpParams(tf.fill([2], 0.75))
    batch = mixer.apply((images, mask), (images, mask[:, ::-1]), params)
    figure = plot.batch(batch)
    palette = colours(figure)
    assert list(palette) == ["0", "1", "2", "of several"]
    picture = shown(figure, 2)
    # Top right: 1 in the first, 0 in the second.
    blend = 0.75 * np.array(palette["1"]) + 0.25 * np.array(palette["0"])
    corner = picture[: len(picture) // 4, 3 * len(picture) // 4 :]
    assert 0.85 < share_of(corner, blend) < 1
    rest = corner[np.any(np.abs(corner - blend) > 1e-6, axis=-1)]
    assert len(np.unique(rest)) == 1  # the dots


def test_masks_and_labels_of_one_element():
    images, mask = scene()
    element = {"image": images, "label": np.array([0, 1]), "segmentation_mask": mask}
    keys = ("label", "segmentation_mask")
    mixer = tfmixup.CutMix(
        num_classes=3, ignore_label=255, integer_masks=True, target_keys=keys
    )
    names = {"label": ["in", "out", "?"], "segmentation_mask": NAMES[:3]}
    batch = mixer(element, seed=[1, 2])
    figure = plot.batch(batch, names, ignore_label=255)
    assert len(titles(figure)) == 2
    assert {"ant", "bee", "cat"} <= set(colours(figure))


def test_pairs_of_masks():
    images, mask = scene()
    mask = np.where(mask == 255, 0, mask)
    mixer = tfmixup.MixUp(num_classes=3, targets="pair")
    params = tfmixup.MixUpParams(tf.fill([2], 0.5))
    batch = mixer.apply((images, mask), (images, mask[:, ::-1]), params)
    figure = plot.batch(batch)
    assert "of several" in colours(figure)
    assert titles(figure) == [["λ = 0.50"]] * 2


def test_depth_maps():
    images, _ = scene()
    depth = np.linspace(1, 3, 32).reshape(2, 4, 4).astype("float32")
    figure = plot.batch((images, depth), title="Depth")
    assert figure.get_suptitle() == "Depth\nbelow: dark is 1, light is 3"
    grey = shown(figure, 2).mean(-1).reshape(-1)
    assert np.all(np.diff(grey) > -0.02)
    assert grey[-1] < shown(figure, 3).mean(-1).max()


@pytest.mark.parametrize("classes", [2, 6, 11])
def test_colours_of_masks_differ_in_grey(classes):
    mask = np.arange(2 * classes).reshape(1, 2, classes) % classes
    figure = plot.batch((np.zeros([1, 2, classes, 3], "uint8"), mask))
    grey = [np.dot(c, [0.299, 0.587, 0.114]) for c in colours(figure).values()]
    assert len(grey) == classes
    assert np.diff(grey).min() > 0.5 / classes


def test_a_legend_of_many_classes():
    mask = np.arange(100).reshape(1, 10, 10)
    figure = plot.batch((np.zeros([1, 10, 10, 3], "uint8"), mask))
    assert list(colours(figure))[-1] == "and 84 more"
    assert_readable(figure)


# Bad input


def of(images=IMAGES, labels=LABELS, **arguments):
    return lambda: plot.batch((images, labels), **arguments)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (of(examples=0), ValueError, "examples must be at least 1"),
        (of(columns=1.5), TypeError, "columns must be an integer"),
        (of(kind="sound"), ValueError, "kind must be one of 'image'"),
        (of(kind="waveform"), ValueError, r"\(8, 6, 6, 3\) cannot be drawn as kind"),
        (of(np.ones([8, 4, 4, 2])), ValueError, "of 1, 3 or 4 channels"),
        (of(value_range=(1, 0)), ValueError, "value_range must be two numbers"),
        (of(value_range=3), ValueError, "value_range must be two numbers"),
        (of(lam=[0.1, 0.2]), ValueError, "one for each of the 8 examples"),
        (of(lam=1.5), ValueError, r"lam must be in \[0, 1\]"),
        (of(lam="half"), ValueError, r"lam must be in \[0, 1\]"),
        (of(class_names="abc"), TypeError, "class_names must be a sequence"),
        (of(class_names=["a"]), ValueError, "1 entries, and labels have 5 classes"),
        (of(class_names={"z": ["a"]}), KeyError, "has the key 'z'"),
        (of(np.ones(8)), ValueError, r"feature of shape \(8,\)"),
        (of(np.ones([0, 4, 4, 3])), ValueError, "not empty"),
        (of(labels=LABELS[:3]), ValueError, "8 examples, but the target"),
        (of(labels=np.array(["a"] * 8)), TypeError, "a target must be numbers"),
        (of(labels=np.ones([8, 3, 3], "uint8")), ValueError, "does not lie on images"),
        (lambda: plot.batch("digits"), TypeError, r"must be \(x, y\)"),
        (
            lambda: plot.batch(tf.data.Dataset.from_tensors(IMAGES).take(0)),
            ValueError,
            "the dataset is empty",
        ),
        (
            lambda: plot.batch({"picture": IMAGES, "number": LABELS}),
            ValueError,
            "feature_key=.* such as .*'number', 'picture'",
        ),
        (
            lambda: plot.batch({"image": IMAGES}, target_keys=("y",)),
            KeyError,
            "target_keys asks for 'y'",
        ),
        (
            lambda: plot.batch({"image": IMAGES}, feature_key="x"),
            KeyError,
            "feature_key asks for 'x'",
        ),
        (
            lambda: plot.batch((tf.ragged.constant([[1.0], [2.0, 3.0]]), [0, 1])),
            TypeError,
            "must be a dense tensor",
        ),
        (
            of(labels=np.full([8, 6, 6], 255, "uint8"), class_names=NAMES),
            ValueError,
            "ignore_label=255",
        ),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()


# λ


def heights(axes):
    return np.array([bar.get_height() for bar in axes.patches])


MIXERS = [
    (tfmixup.MixUp(0.2), scipy.stats.beta(0.2, 0.2)),
    (tfmixup.MixUp(1), scipy.stats.uniform()),
    (tfmixup.CutMix(8, per="batch"), scipy.stats.beta(8, 8)),
    (
        tfmixup.MixUp(distribution=tfd.TruncatedNormal(0.6, 0.2, 0.0, 1.0)),
        scipy.stats.truncnorm(-3, 2, 0.6, 0.2),
    ),
    (tfmixup.MixUp(1, lam_range=(0.2, 0.8)), scipy.stats.uniform(0.2, 0.6)),
    (tfmixup.Remix([9, 1], alpha=2), scipy.stats.beta(2, 2)),
]


@pytest.mark.parametrize(("mixer", "law"), MIXERS, ids=lambda value: repr(value)[:30])
def test_bars_and_curve_are_those_of_the_law(mixer, law):
    draws, bins = 4000, 20
    axes = plot.lambdas(mixer, draws=draws, bins=bins).axes[0]
    edges = np.linspace(0, 1, bins + 1)
    p = np.diff(law.cdf(edges))
    counts = heights(axes) * draws / bins
    assert counts.sum() == pytest.approx(draws)
    # A fixed seed; a right λ fails one of 120 bars with a chance below 1e-3.
    sigma = np.sqrt(draws * p * (1 - p))
    assert np.all(np.abs(counts - draws * p) <= 4.7 * sigma + 1e-6)
    lam, exact = axes.get_lines()[0].get_data()
    inside = np.isin(lam, lam[2:-2]) & (lam > 1e-3) & (lam < 1 - 1e-3)
    ends = np.isclose(lam, 0.2) | np.isclose(lam, 0.8)  # of the range: a step
    np.testing.assert_allclose(
        exact[inside & ~ends], law.pdf(lam[inside & ~ends]), rtol=2e-3
    )


def test_a_chance_of_not_mixing_is_drawn_beside():
    figure = plot.lambdas(tfmixup.MixUp(2, probability=0.3), draws=4000)
    axes, side = figure.axes
    assert heights(axes).sum() / 40 == pytest.approx(0.3, abs=0.04)
    lam, exact = axes.get_lines()[0].get_data()
    assert scipy.integrate.trapezoid(exact, lam) == pytest.approx(0.3, abs=1e-3)
    assert heights(side)[0] == pytest.approx(70, abs=4)  # 5.5 sigma
    np.testing.assert_allclose(side.get_lines()[0].get_ydata(), 70)
    assert_readable(figure)


def test_no_mixing_at_all():
    axes, side = plot.lambdas(tfmixup.MixUp(0), draws=100).axes
    assert heights(axes).sum() == 0
    assert heights(side)[0] == 100
    assert [text.get_text() for text in axes.texts] == ["never mixed"]


def test_resizemix_has_the_density_of_the_share_kept():
    figure = plot.lambdas(tfmixup.ResizeMix((0.2, 0.7), per="batch"), draws=4000)
    axes = figure.axes[0]
    lam, exact = axes.get_lines()[0].get_data()
    assert scipy.integrate.trapezoid(exact, lam) == pytest.approx(1, abs=1e-3)
    # P(1 − τ² <= x) = P(τ >= √(1 − x)) for uniform τ.
    edges = np.linspace(0, 1, 41)
    cdf = 1 - np.clip((np.sqrt(1 - edges) - 0.2) / 0.5, 0, 1)
    p = np.diff(cdf)
    counts = heights(axes) * 100
    sigma = np.sqrt(4000 * p * (1 - p))
    assert np.all(np.abs(counts - 4000 * p) <= 4.7 * sigma + 1e-6)


def test_several_mixers_and_choices_have_a_panel_each():
    mixups = [tfmixup.MixUp(0.8), tfmixup.CutMix(1)]
    choice = tfmixup.RandomChoice(mixups, weights=(3, 1))
    figure = plot.lambdas([choice, tfmixup.MixUp(8)], draws=100)
    names = [text for text, _ in texts(figure) if "alpha" in text]
    assert [name.split("\n")[0] for name in names] == [
        "75%: MixUp(alpha=0.8)",
        "25%: CutMix(alpha=1.0)",
        "MixUp(alpha=8.0)",
    ]
    assert_readable(figure)


def test_the_share_of_draws_that_are_visibly_mixed():
    figure = plot.lambdas(tfmixup.MixUp(1), draws=20_000)
    (line,) = [t.split("\n")[1] for t, _ in texts(figure) if "alpha" in t]
    assert line.startswith("0.1 < λ < 0.9: ")
    assert int(line[15:-1]) == pytest.approx(80, abs=2)


@pytest.mark.parametrize(
    "distribution",
    [
        tfd.FiniteDiscrete([0.25, 0.5], probs=[0.5, 0.5]),
        tfd.FiniteDiscrete([0.2, 0.4, 0.6], probs=[0.2, 0.4, 0.4]),
        tfd.Deterministic(0.3),
        tfd.Bernoulli(probs=0.5),
    ],
    ids=lambda d: d.name,
)
def test_single_values_have_no_density(distribution):
    figure = plot.lambdas(tfmixup.MixUp(distribution=distribution), draws=500)
    assert figure.axes[0].get_lines()[:] == []
    assert any("have no density" in text for text, _ in texts(figure))
    assert heights(figure.axes[0]).sum() == pytest.approx(40)


def test_a_density_that_nobody_knows():
    class Unknown(tfd.Distribution):
        def __init__(self):
            super().__init__(tf.float32, tfd.FULLY_REPARAMETERIZED, False, False)

        def _batch_shape(self):
            return tf.TensorShape([])

        _event_shape = _batch_shape

        def _sample_n(self, n, seed=None):
            return tf.random.stateless_uniform([n], seed)

    figure = plot.lambdas(tfmixup.MixUp(distribution=Unknown()), draws=500)
    assert figure.axes[0].get_lines()[:] == []
    assert any("not known to TFP" in text for text, _ in texts(figure))


def test_a_range_of_a_distribution_without_a_cdf():
    mixture = tfd.Mixture(
        tfd.Categorical(probs=[0.5, 0.5]),
        [tfd.Beta(2.0, 5.0), tfd.LogitNormal(0.0, 1.0)],
    )
    mixer = tfmixup.MixUp(distribution=mixture, lam_range=(0.1, 0.6))
    lam, exact = plot.lambdas(mixer, draws=500).axes[0].get_lines()[0].get_data()
    assert scipy.integrate.trapezoid(exact, lam) == pytest.approx(1, abs=2e-3)


def test_the_same_seed_gives_the_same_picture():
    mixer = tfmixup.MixUp(0.4)
    first, again, other = (
        heights(plot.lambdas(mixer, seed=seed, draws=500).axes[0]) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.2,), TypeError, "mixer must be a mixer such as"),
        (([],), TypeError, "mixer must be a mixer such as"),
        (([0.2],), TypeError, "mixer must be a mixer such as"),
        (("mixup",), TypeError, "mixer must be a mixer such as"),
    ],
)
def test_what_has_no_lambda(arguments, error, message):
    with pytest.raises(error, match=message):
        plot.lambdas(*arguments)


def test_bad_numbers_for_lambdas():
    with pytest.raises(ValueError, match="draws must be at least 1"):
        plot.lambdas(tfmixup.MixUp(), draws=0)
    with pytest.raises(TypeError, match="bins must be an integer"):
        plot.lambdas(tfmixup.MixUp(), bins=2.5)
    with pytest.raises(TypeError, match="seed must be an integer"):
        plot.lambdas(tfmixup.MixUp(), seed="a")


def test_a_mixer_of_another_kind():
    class Swap(tfmixup.Mixer):
        def sample(self, batch_size, seed, num_batches=None):
            return ()

        def mix_features(self, first, second, params):
            return second

        def share(self, first, second, params):
            return tf.zeros([1])

    with pytest.raises(TypeError, match="must be one that draws λ"):
        plot.lambdas(Swap())
