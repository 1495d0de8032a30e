"""The example: its parts against independent computations, and whole runs."""

import json
import pathlib
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup

tfds = pytest.importorskip("tensorflow_datasets")
image_module = pytest.importorskip("PIL.Image")

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def train_cnn():
    """The example as a module; a script finds its neighbours by sys.path."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        import train_cnn as module

        yield module
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def report(train_cnn):
    return train_cnn.report


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("data"))


def bars(count):
    """Black images with one bright column near the left edge."""
    images = np.zeros((count, 32, 32, 3), np.uint8)
    images[:, :, 2:4] = 255
    return images


def bright_runs(images, threshold):
    """The number of separate bright stretches in each row of each image."""
    bright = np.pad(np.asarray(images)[..., 0] > threshold, ((0, 0), (0, 0), (1, 1)))
    return np.sum(bright[..., 1:] & ~bright[..., :-1], axis=-1)


# The calibration error.


def test_calibration_error_by_hand(report):
    # Confidences .7 (right), .65 (wrong), .9 (right), 1 (wrong), a bin for each:
    # (.3 + .65 + .1 + 1) / 4.
    probabilities = [[0.7, 0.3], [0.65, 0.35], [0.1, 0.9], [1.0, 0.0]]
    got = report.expected_calibration_error(np.array(probabilities), [0, 1, 1, 1])
    assert got == pytest.approx(0.5125)


def test_calibration_error_averages_within_a_bin(report):
    # .68 (right) and .72 (wrong) share the bin (10/15, 11/15]: |1/2 - .7|.
    probabilities = np.array([[0.68, 0.32], [0.72, 0.28]])
    assert report.expected_calibration_error(probabilities, [0, 1]) == pytest.approx(
        0.2
    )


def test_calibration_error_bins_hold_their_upper_edge(report):
    # Of two bins, (0, .5] holds .5 (wrong), and (.5, 1] holds .6 (right).
    probabilities = np.array([[0.5, 0.5], [0.6, 0.4]])
    got = report.expected_calibration_error(probabilities, [1, 0], num_bins=2)
    assert got == pytest.approx((0.5 + 0.4) / 2)


def test_calibration_error_against_a_plain_loop(report):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), size=500)
    labels = rng.integers(4, size=500)
    expected = 0.0
    for k in range(10):
        inside = [
            (max(p), int(np.argmax(p) == y))
            for p, y in zip(probabilities, labels)
            if k / 10 < max(p) <= (k + 1) / 10
        ]
        if inside:
            confidence, right = np.mean(inside, axis=0)
            expected += len(inside) / 500 * abs(right - confidence)
    got = report.expected_calibration_error(probabilities, labels, num_bins=10)
    assert got == pytest.approx(expected)
    assert got > 0.05


def test_calibration_error_refuses_one_hot_labels(report):
    with pytest.raises(ValueError, match="as integers, not one-hot"):
        report.expected_calibration_error(np.eye(3), np.eye(3))


# The network.


def test_network_has_the_articles_size_and_optimizer(train_cnn):
    model = train_cnn.article_cnn(10, learning_rate=1.0)
    by_hand = (
        (3 * 3 * 3 * 32 + 32)
        + (3 * 3 * 32 * 64 + 64)
        + (14 * 14 * 64 * 128 + 128)  # 32 - 2 - 2 = 28, pooled to 14
        + (128 * 10 + 10)
    )
    assert model.count_params() == by_hand == 1_626_442
    assert [layer.rate for layer in model.layers if "dropout" in layer.name] == [
        0.25,
        0.5,
    ]
    assert isinstance(model.optimizer, keras.optimizers.Adadelta)
    assert float(model.optimizer.learning_rate) == 1.0
    assert model.loss.name == "categorical_crossentropy"
    white = np.full((1, 32, 32, 3), 255, np.uint8)
    scaled = model.layers[0](white)
    np.testing.assert_allclose(scaled, np.ones((1, 32, 32, 3)), rtol=1e-6)


# The data.


def test_images_are_resized_as_pillow_does(train_cnn, data_dir):
    args = train_cnn.parse_args(["--data-dir", data_dir, "--limit", "20"])
    train, test, class_names = train_cnn.load_images(args)
    assert class_names == [str(digit) for digit in range(10)]
    assert (len(train), len(test)) == (20, 360)
    raw, _ = tfmixup.datasets.load("bundled_digits", "train[:20]", data_dir)
    for (image, label), source in zip(train, raw.as_numpy_iterator()):
        assert image.dtype == tf.uint8
        assert label == source["label"]
        pillow = image_module.fromarray(source["image"][..., 0]).resize(
            (32, 32), image_module.Resampling.BILINEAR
        )
        for channel in range(3):
            difference = image[..., channel].numpy().astype(int) - np.asarray(pillow)
            assert np.abs(difference).max() <= 1


def test_cifar10_images_are_left_as_they_are(train_cnn):
    with tfds.testing.mock_data(num_examples=6):
        args = train_cnn.parse_args(["--dataset", "cifar10", "--limit", "5"])
        train, _, class_names = train_cnn.load_images(args)
        got = [image for image, _ in train.as_numpy_iterator()]
        raw = tfds.load("cifar10", split="train").as_numpy_iterator()
        expected = [example["image"] for example in raw][:5]
    assert len(class_names) == 10
    np.testing.assert_array_equal(got, expected)


def test_a_set_without_classes_is_refused(train_cnn):
    with tfds.testing.mock_data(num_examples=1), pytest.raises(SystemExit) as error:
        train_cnn.load_images(train_cnn.parse_args(["--dataset", "div2k"]))
    assert "--dataset div2k: its label is Image" in str(error.value)


def test_test_images_are_neither_augmented_nor_mixed(train_cnn):
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(10, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(10) % 4
    test = tf.data.Dataset.from_tensor_slices((images, labels))
    batches = list(train_cnn.test_pipeline(test, 4, 4).as_numpy_iterator())
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), images)
    np.testing.assert_array_equal(
        np.concatenate([y for _, y in batches]), np.eye(4)[labels]
    )


# The augmentation.


def test_augmentation_differs_by_image_and_by_call(train_cnn):
    images = np.repeat(
        np.random.default_rng(0).integers(256, size=(1, 32, 32, 3)), 16, axis=0
    ).astype(np.uint8)
    augment = train_cnn.augmentation(flip=False, seed=0)
    batches = tf.data.Dataset.from_tensors((images, np.zeros(16))).repeat(2)
    first, second = (x for x, _ in batches.map(augment).as_numpy_iterator())
    assert first.dtype == np.float32
    assert min(first.min(), second.min()) >= 0
    assert max(first.max(), second.max()) <= 255
    assert np.abs(first - first[:1]).mean(axis=(1, 2, 3))[1:].min() > 1
    assert np.abs(first - second).mean(axis=(1, 2, 3)).min() > 1


def test_augmentation_never_shows_a_reflection(train_cnn):
    images, _ = train_cnn.augmentation(flip=False, seed=0)(bars(200), None)
    runs = bright_runs(images, 60)
    assert runs.max() == 1
    assert runs.mean() > 0.5  # The bars are there.


def test_flip_is_off_unless_asked_for(train_cnn):
    half = np.zeros((400, 32, 32, 3), np.uint8)
    half[:, :, :16] = 255

    def mirrored(flip):
        images, _ = train_cnn.augmentation(flip, seed=0)(half, None)
        images = np.asarray(images)
        left, right = (
            images[:, :, :16].mean((1, 2, 3)),
            images[:, :, 16:].mean((1, 2, 3)),
        )
        return np.mean(right > left)

    assert mirrored(train_cnn.parse_args([]).flip) == 0
    assert 0.4 < mirrored(train_cnn.parse_args(["--flip"]).flip) < 0.6


def pipeline(train_cnn, mixer, *options, count=64, batch_size=16):
    args = train_cnn.parse_args(["--batch-size", str(batch_size), *options])
    keras.utils.set_random_seed(0)
    train = tf.data.Dataset.from_tensor_slices((bars(count), np.arange(count) % 10))
    return train_cnn.training_pipeline(train, mixer, args)


def test_each_stream_is_augmented_by_itself(train_cnn):
    # The only image is mixed with itself, half and half. That shows two thin bars
    # wherever the two were augmented differently, and else one.
    mixer = tfmixup.MixUp(1.0, lam_range=(0.45, 0.55), num_classes=10)
    mixed = pipeline(train_cnn, mixer, count=1, batch_size=1)
    images = np.concatenate([x for _ in range(16) for x, _ in mixed])
    assert np.mean(bright_runs(images, 60).max(axis=1) == 2) > 0.3
    mixed = pipeline(train_cnn, mixer, "--no-augment", count=1, batch_size=1)
    np.testing.assert_allclose(next(iter(mixed))[0], bars(1), atol=0.001)


def test_pipeline_repeats_with_its_seed_and_varies_by_epoch(train_cnn):
    mixer = tfmixup.MixUp(0.2, num_classes=10)
    first, second = pipeline(train_cnn, mixer), pipeline(train_cnn, mixer)
    assert len(first) == 4
    epochs = [[np.concatenate(list(part)) for part in zip(*first)] for _ in range(2)]
    again = [[np.concatenate(list(part)) for part in zip(*second)] for _ in range(2)]
    for epoch, other in zip(epochs, again):
        np.testing.assert_array_equal(epoch[0], other[0])
        np.testing.assert_array_equal(epoch[1], other[1])
    assert np.abs(epochs[0][0] - epochs[1][0]).mean() > 1
    assert np.abs(epochs[0][1] - epochs[1][1]).mean() > 0.01


def test_picture_gets_the_lambda_of_its_images(train_cnn):
    args = train_cnn.parse_args(["--batch-size", "16", "--no-augment"])
    values = np.arange(16, dtype=np.uint8) * 16
    images = np.broadcast_to(values[:, None, None, None], (16, 32, 32, 3))
    train = tf.data.Dataset.from_tensor_slices((images, np.arange(16)))
    plain, mixer = (tfmixup.MixUp(alpha, num_classes=16) for alpha in (0, 1.0))
    keras.utils.set_random_seed(0)
    ((_, one_hot),) = train_cnn.training_pipeline(train, plain, args)
    keras.utils.set_random_seed(0)
    mixed, labels, lam = train_cnn.mixed_batch(train, plain, mixer, args)
    assert len(np.unique(lam)) == 16
    # Class k is the image of value 16 k, so a label tells its image's value.
    np.testing.assert_allclose(labels @ values, mixed[:, 0, 0, 0], atol=1e-3)
    share_of_the_first = np.sum(labels * one_hot, axis=1)
    np.testing.assert_allclose(share_of_the_first, lam, atol=1e-6)


# The report.


def test_title_tells_lambda_and_both_classes(report):
    title = report._image_title(0.25, np.array([0.25, 0, 0.75]), ["cat", "dog", "frog"])
    assert title.splitlines() == ["λ = 0.25", "frog: 75%", "cat: 25%"]
    same = report._image_title(0.25, np.array([0, 1.0]), ["cat", "dog"])
    assert same == "λ = 0.25\ndog: 100%\n"


def test_table(report):
    result = report.Result("mixup (alpha=1)", 2.5, 0.12345, 0.0333, 1.5, {})
    row = report.table([result]).splitlines()[-1]
    assert row.split() == ["mixup", "(alpha=1)", "2.50", "%", "0.1235", "0.033", "1.50"]


# The command line.


@pytest.mark.parametrize(
    ("option", "value"),
    [("--alpha", "0"), ("--alpha", "nan"), ("--epochs", "0"), ("--seed", "-1")],
)
def test_command_line_refuses(train_cnn, capsys, option, value):
    with pytest.raises(SystemExit):
        train_cnn.parse_args([option, value])
    assert f"{option} must be" in capsys.readouterr().err


def check_run(capsys, out, alpha):
    names = ["no mixup", f"mixup (alpha={alpha})"]
    rows = json.loads((out / "results.json").read_text())
    assert [row["name"] for row in rows] == names
    printed = capsys.readouterr().out
    for row in rows:
        history = row["history"]
        assert len(history["loss"]) == 1
        assert row["test_error"] == pytest.approx(
            100 * (1 - history["val_accuracy"][-1]), abs=1e-3
        )
        assert row["test_loss"] == pytest.approx(history["val_loss"][-1], rel=1e-3)
        assert 0 <= row["calibration_error"] <= 1
        assert row["seconds_per_epoch"] > 0
        assert f"\n{row['name']}: 1 epochs\n" in printed
        assert f"{row['test_error']:.2f} %" in printed
    # With the same weights and images to begin with, only mixing makes this differ.
    assert rows[0]["history"]["loss"] != rows[1]["history"]["loss"]
    for picture in ("mixed_images.png", "training_curves.png"):
        pixels = np.asarray(image_module.open(out / picture).convert("L"))
        assert min(pixels.shape) > 300
        assert pixels.std() > 10  # Not blank.


@pytest.mark.slow
def test_run_on_the_digits(train_cnn, capsys, data_dir, tmp_path):
    options = ["--epochs", "1", "--limit", "256", "--batch-size", "32"]
    train_cnn.main(
        [*options, "--data-dir", data_dir, "--alpha", "0.5", "--out", str(tmp_path)]
    )
    check_run(capsys, tmp_path, "0.5")
    error = json.loads((tmp_path / "results.json").read_text())[0]["test_error"]
    assert error < 75  # Guessing has 90 % wrong.


@pytest.mark.slow
def test_run_on_cifar10(train_cnn, capsys, tmp_path):
    options = ["--epochs", "1", "--limit", "48", "--batch-size", "16", "--flip"]
    with tfds.testing.mock_data(num_examples=64):
        train_cnn.main(["--dataset", "cifar10", *options, "--out", str(tmp_path)])
    check_run(capsys, tmp_path, "0.2")
