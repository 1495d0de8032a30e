"""examples/label_noise.py: its parts against independent computations, tiny runs."""

import pathlib
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

tfds = pytest.importorskip("tensorflow_datasets")

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
TINY = ["--noise", "0", "40", "--alphas", "0", "1", "--seeds", "1"]
TINY += ["--epochs", "2", "--batch-size", "16"]


@pytest.fixture(scope="module")
def example():
    """The example as a module; a script finds its neighbours by sys.path."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        import label_noise as module

        yield module
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def training(example):
    return example.training


@pytest.fixture(scope="module")
def report(example):
    return example.report


@pytest.fixture(scope="module")
def digits():
    """48 training and 24 test images of three classes, bright in different rows."""
    labels = np.arange(72) % 3
    images = np.random.default_rng(0).integers(0, 120, [72, 8, 8, 1])
    for label in range(3):
        images[labels == label, 2 * label : 2 * label + 2] += 120
    images = images.astype("uint8")
    return (images[:48], labels[:48]), (images[48:], labels[48:])


@pytest.fixture(scope="module")
def network(training):
    return training.Network([8, 8, 1], 3, 1e-3)


@pytest.fixture
def small(training, digits, monkeypatch):
    """The example with these images instead of the bundled ones."""
    monkeypatch.setattr(training, "load_images", lambda *args: (*digits, 3))


def a_cell(report, **changes):
    settings = {
        "dataset": "bundled_digits",
        "limit": 0,
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "epsilon": 16.0,
        "noise": 40.0,
        "alpha": 1.0,
        "seed": 3,
    }
    return report.Cell(**settings | changes)


def a_result(report, last=10.0):
    return report.Result(5.0, last, 0.5, 0.1, 60.0, 99.0, 1.5, (7.5, 5.0, last))


# The data.


def test_the_bundled_digits_are_bytes_with_class_ids(training, tmp_path):
    (images, labels), (test_images, _), classes = training.load_images(
        "bundled_digits", str(tmp_path)
    )
    assert (images.shape, images.dtype) == ((1437, 8, 8, 1), np.uint8)
    assert (len(test_images), classes, set(labels)) == (360, 10, set(range(10)))
    limited, _, _ = training.load_images("bundled_digits", str(tmp_path), 100)
    assert len(limited[0]) == 100


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 1.0])
def test_a_share_of_the_labels_is_drawn_anew_over_all_classes(training, share):
    labels = np.full(20000, 7)
    corrupted = training.corrupt(labels, share, 10, seed=1)
    counts = np.bincount(corrupted, minlength=10)
    want = np.full(10, share * 20000 / 10)
    want[7] += (1 - share) * 20000
    if share == 0:
        np.testing.assert_array_equal(counts, want)
    else:
        drawn = np.delete(counts, 7)
        # Of these nine counts, each Poisson-like: false alarm 1e-6.
        statistic = np.sum((drawn - want[0]) ** 2 / want[0])
        assert statistic < stats.chi2.ppf(1 - 1e-6, 9)
        assert counts[7] >= (1 - share) * 20000
    assert np.all(labels == 7)


def test_more_noise_keeps_the_corruption_of_less(training):
    labels = np.arange(1000) % 10
    less, more = (training.corrupt(labels, share, 10, 5) for share in (0.2, 0.4))
    moved = less != labels
    np.testing.assert_array_equal(less[moved], more[moved])
    assert np.sum(more != labels) > 1.5 * np.sum(moved)
    assert np.any(training.corrupt(labels, 0.2, 10, 6) != less)


# Training.


def test_an_epoch_in_one_graph_trains_as_fit_does(network, digits):
    (images, labels), _ = digits
    batches = tf.data.Dataset.from_tensor_slices(
        (images.astype("float32"), np.eye(3, dtype="float32")[labels])
    ).batch(16, drop_remainder=True)
    network.reset(4)
    reference = keras.models.clone_model(network.model)
    reference.set_weights(network.model.get_weights())
    reference.compile(
        keras.optimizers.Adam(1e-3), keras.losses.CategoricalCrossentropy(True)
    )
    reference.fit(batches, epochs=2, shuffle=False, verbose=0)
    iterator = iter(batches.repeat())
    for _ in range(2):
        network.train(iterator, tf.constant(3))
    for got, want in zip(network.model.get_weights(), reference.get_weights()):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_run_does_not_depend_on_the_runs_before(network, training, report, digits):
    cell = a_cell(report)
    first = training.run(network, cell, *digits)
    training.run(network, a_cell(report, alpha=0.0, seed=8, epochs=3), *digits)
    again = training.run(network, cell, *digits)
    assert len(first.errors) == 2
    assert again.nll == pytest.approx(first.nll, rel=1e-3)
    assert again.errors == pytest.approx(first.errors, abs=100 / 24 + 0.1)


def test_measurements_are_of_the_clean_test_images(network, training, report, digits):
    (images, clean), (test_images, test_labels) = digits
    seen = []
    cell = a_cell(report, epochs=3)
    result = training.run(network, cell, *digits, seen.append)
    assert seen == [1, 2, 3]

    logits = network.model(test_images.astype("float32")).numpy()
    log_p = special.log_softmax(logits, axis=1)
    wrong = logits.argmax(axis=1) != test_labels
    assert result.nll == pytest.approx(-log_p[np.arange(24), test_labels].mean(), 1e-4)
    assert result.last_error == pytest.approx(100 * wrong.mean())
    assert result.errors[-1] == result.last_error
    assert result.best_error == min(result.errors)
    # 24 predictions, each in one of 15 bins.
    confidence = np.exp(log_p.max(axis=1))
    bins = np.ceil(confidence * 15)
    gaps = [
        abs(np.sum(~wrong[bins == b]) - np.sum(confidence[bins == b]))
        for b in set(bins)
    ]
    assert result.ece == pytest.approx(sum(gaps) / 24, abs=1e-4)
    given = training.corrupt(clean, 0.4, 3, seed=3)
    fitted = network.model(images.astype("float32")).numpy().argmax(axis=1) == given
    assert result.fitted == pytest.approx(100 * fitted.mean())
    moved = network.attack(test_images, test_labels, 16.0)
    attacked = network.model(moved).numpy().argmax(axis=1) != test_labels
    assert result.fgsm_error == pytest.approx(100 * attacked.mean())


@pytest.mark.parametrize("alpha", [0.0, 8.0])
def test_the_run_mixes_corrupted_labels_by_its_alpha(
    network, training, report, digits, alpha, monkeypatch
):
    made = []
    real = training.tfmixup.from_tensors

    def spy(tensors, mixer, *args, **kwargs):
        made.append((tensors, mixer.alpha, args, kwargs))
        return real(tensors, mixer, *args, **kwargs)

    monkeypatch.setattr(training.tfmixup, "from_tensors", spy)
    training.run(network, a_cell(report, alpha=alpha, epochs=1), *digits)
    (((_, labels), used, args, kwargs),) = made
    assert (used, args, kwargs) == (alpha, (16,), {"seed": 3})
    want = training.corrupt(digits[0][1], 0.4, 3, seed=3)
    np.testing.assert_array_equal(labels, want)


# The attack.


@pytest.mark.parametrize("scale", [0.05, 50.0], ids=["unsure", "sure"])
def test_the_attack_follows_the_gradient_of_cross_entropy(training, scale):
    network = training.Network([8, 8, 1], 3, 1e-3)
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
    shares = special.softmax(rivals, axis=1)
    gradient = shares @ weights.T - weights[:, labels].T
    if scale > 1:  # The case that float32 loses: probabilities of exactly 1.
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float32)).numpy()
        assert np.mean(probabilities[np.arange(40), labels] == 1) > 0.1
    want = np.clip(images + 12.0 * np.sign(gradient).reshape(images.shape), 0, 255)
    got = network.attack(images, labels, 12.0)
    assert got.dtype == np.float32
    # A sign may be lost where the gradient is nearly 0.
    assert np.mean(got != want) < 0.001
    assert np.mean(got != images) > 0.9


def test_an_attack_of_size_0_changes_nothing(network, digits):
    images, labels = digits[1]
    np.testing.assert_array_equal(network.attack(images, labels, 0.0), images)


def test_many_images_are_predicted_in_parts(network, training, digits, monkeypatch):
    images, labels = digits[0]
    whole = network.logits(images), network.attack(images, labels, 16.0)
    monkeypatch.setattr(training, "AT_ONCE", 20)
    np.testing.assert_allclose(network.logits(images), whole[0], rtol=1e-4, atol=1e-5)
    assert np.mean(network.attack(images, labels, 16.0) != whole[1]) < 0.001


# The file of results.


def test_the_file_gives_back_what_was_appended(report, tmp_path):
    path = tmp_path / "results.csv"
    assert report.read(path) == {}
    cells = [a_cell(report, seed=seed, alpha=0.1 + 0.2) for seed in range(3)]
    for number, cell in enumerate(cells):
        report.append(path, cell, a_result(report, number))
    assert report.read(path) == {
        cell: a_result(report, number) for number, cell in enumerate(cells)
    }
    assert len(path.read_text().splitlines()) == 4


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_row_that_was_cut_off_is_run_again(report, tmp_path, cut):
    path = tmp_path / "results.csv"
    one, two = a_cell(report, seed=1), a_cell(report, seed=2)
    report.append(path, one, a_result(report))
    report.append(path, two, a_result(report))
    path.write_bytes(path.read_bytes()[:-cut])
    assert list(report.read(path)) == [one]
    report.append(path, two, a_result(report, 11.0))
    assert report.read(path) == {one: a_result(report), two: a_result(report, 11.0)}


def test_an_empty_file_is_begun(report, tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("")
    assert report.read(path) == {}
    report.append(path, a_cell(report), a_result(report))
    assert list(report.read(path)) == [a_cell(report)]


def test_foreign_files_are_left_alone(report, example, small, tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit, match=r"other columns.*another folder"):
        example.main([*TINY, "--out", str(tmp_path)])
    assert path.read_text() == "a,b\n1,2\n"


def test_a_damaged_line_is_named(report, tmp_path):
    path = tmp_path / "results.csv"
    report.append(path, a_cell(report), a_result(report))
    path.write_text(path.read_text().replace("16", "sixteen", 1))
    with pytest.raises(report.FileError, match=r"line 2.*sixteen"):
        report.read(path)


def test_of_two_rows_of_one_cell_the_first_counts(report, tmp_path):
    path = tmp_path / "results.csv"
    for last in (1.0, 2.0):
        report.append(path, a_cell(report), a_result(report, last))
    assert report.read(path)[a_cell(report)].last_error == 1.0


# Table and figure.


def test_mean_and_standard_error(report):
    mean, spread = report.mean_and_error([1.0, 2.0, 6.0])
    assert mean == pytest.approx(3)
    assert spread == pytest.approx(stats.sem([1, 2, 6]))
    one, unknown = report.mean_and_error([4.0])
    assert one == 4
    assert np.isnan(unknown)


def test_the_table_has_a_row_for_each_noise_and_alpha(report):
    results = {
        a_cell(report, noise=noise, alpha=alpha, seed=seed): a_result(
            report, 10 * seed + alpha
        )
        for noise in (20.0, 0.0)
        for alpha in (8.0, 0.0)
        for seed in range(1 if noise else 3)
    }
    lines = report.table(results).splitlines()
    assert [line.split()[:5] for line in lines[1:3]] == [
        ["0", "%", "none", "3", "5.0"],
        ["0", "%", "alpha", "=", "8"],
    ]
    assert "10.0 ± 5.8" in lines[1]  # 0, 10, 20: s = 10
    assert "18.0 ± 5.8" in lines[2]
    assert lines[3] == ""
    assert "±" not in lines[4]
    assert "nan" not in "".join(lines)
    assert max(map(len, lines)) <= 110


# Whole runs.


@pytest.mark.slow
def test_it_runs_skips_what_is_done_and_resumes(
    example, training, report, small, tmp_path, capsys, monkeypatch
):
    args = [*TINY, "--out", str(tmp_path)]
    real, calls = training.run, []

    def stopped(network, cell, *more):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(cell)
        return real(network, cell, *more)

    monkeypatch.setattr(training, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        example.main(args)
    assert list(report.read(tmp_path / "results.csv")) == calls
    assert "[3/4] noise 40 %  alpha 0  seed 0" in capsys.readouterr().out

    def counted(network, cell, *more):
        calls.append(cell)
        return real(network, cell, *more)

    monkeypatch.setattr(training, "run", counted)
    example.main(args)
    assert len(calls) == 4  # no cell twice
    out = capsys.readouterr().out
    assert "4 runs, of which 3 are in" in out
    assert "[1/1]" in out
    assert (tmp_path / "label_noise.png").stat().st_size > 10000

    # All is there: only the table is printed, of the runs that were asked for.
    example.main([*args, "--noise", "40"])
    assert len(calls) == 4
    out = capsys.readouterr().out
    assert "2 runs, of which 2 are in" in out
    assert " 0 %" not in out
    # Other settings are other runs.
    example.main([*args, "--noise", "40", "--alphas", "1", "--epochs", "1"])
    assert len(calls) == 5


def test_sets_of_tensorflow_datasets_by_name(example, report, tmp_path):
    args = ["--dataset", "cifar10", "--limit", "32", "--noise", "20", "--alphas", "1"]
    args += ["--seeds", "1", "--epochs", "1", "--batch-size", "16"]
    with tfds.testing.mock_data(num_examples=40):
        example.main([*args, "--out", str(tmp_path)])
    ((cell, result),) = report.read(tmp_path / "results.csv").items()
    assert (cell.dataset, cell.limit, len(result.errors)) == ("cifar10", 32, 1)


def test_a_set_without_classes_is_refused(training, monkeypatch):
    info = type("Info", (), {"supervised_keys": ("x", "y"), "features": {"y": "text"}})
    monkeypatch.setattr(
        training.tfmixup.datasets, "load", lambda *args, **kwargs: ([1, 2], info)
    )
    with pytest.raises(SystemExit, match=r"--dataset words: its label is text"):
        training.load_images("words")


def test_a_batch_larger_than_the_data(example, small, tmp_path):
    with pytest.raises(SystemExit, match="--batch-size 64: there are only 48"):
        example.main([*TINY, "--batch-size", "64", "--out", str(tmp_path)])


@pytest.mark.parametrize(
    "argument",
    [
        "--seeds=0",
        "--epochs=0",
        "--batch-size=-1",
        "--limit=0",
        "--learning-rate=nan",
        "--noise=-20",
        "--noise=120",
        "--noise=nan",
        "--alphas=-1",
        "--alphas=inf",
        "--epsilon=-1",
    ],
)
def test_bad_arguments(example, argument, capsys):
    with pytest.raises(SystemExit):
        example.main([argument])
    assert "must be" in capsys.readouterr().err


def test_help(example, capsys):
    with pytest.raises(SystemExit):
        example.main(["--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "% of the training labels drawn anew (default 0 20 40 60)" in out
    assert "(default label_noise_out)" in out
