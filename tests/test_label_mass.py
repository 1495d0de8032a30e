"""label_mass: counted by hand, for every kind of label; and its figure."""

import sys

import numpy as np
import pytest
import tensorflow as tf

import tfmixup

X = np.zeros([6, 2], "float32")
IDS = np.array([0, 0, 1, 0, 2, 0])
SHARES = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]] * 2, "float32")


def batches(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(4)


def test_class_ids():
    for ids in (IDS, IDS.astype("uint8"), IDS[:, None]):
        mass = tfmixup.label_mass(batches(X, ids), 4)
        assert mass.dtype == np.float64
        np.testing.assert_allclose(mass, [4 / 6, 1 / 6, 1 / 6, 0])


def test_shares_of_classes():
    np.testing.assert_allclose(
        tfmixup.label_mass(batches(X, SHARES), 3), SHARES.mean(axis=0), rtol=1e-6
    )


def test_only_some_batches_and_endless_datasets():
    dataset = batches(X, IDS)
    np.testing.assert_allclose(
        tfmixup.label_mass(dataset, 3, num_batches=1), [0.75, 0.25, 0]
    )
    twice = tfmixup.label_mass(dataset.repeat(), 3, num_batches=4)
    np.testing.assert_allclose(twice, tfmixup.label_mass(dataset, 3))
    with pytest.raises(ValueError, match="num_batches"):
        tfmixup.label_mass(dataset.repeat(), 3)


@pytest.mark.parametrize("column", [False, True])
def test_sample_weights(column):
    weights = np.array([1, 2, 3, 4, 5, 5], "float32")
    given = weights[:, None] if column else weights
    mass = tfmixup.label_mass(batches(X, IDS, given), 3)
    np.testing.assert_allclose(mass, [12 / 20, 3 / 20, 5 / 20])
    mass = tfmixup.label_mass(batches(X, SHARES, given), 3)
    np.testing.assert_allclose(mass, weights @ SHARES / weights.sum(), rtol=1e-6)


def test_dict_elements():
    dicts = batches(X, IDS).map(lambda x, y: {"x": x, "digit": y})
    np.testing.assert_allclose(
        tfmixup.label_mass(dicts, 3, label_key="digit"), [4 / 6, 1 / 6, 1 / 6]
    )
    weighted = dicts.map(lambda e: {**e, "w": tf.cast(e["digit"] == 1, tf.float32)})
    mass = tfmixup.label_mass(weighted, 3, label_key="digit", weight_key="w")
    np.testing.assert_allclose(mass, [0, 1, 0])


def test_masks_with_ignored_pixels():
    ids = np.zeros([6, 2, 2], "int32")
    ids[0] = [[0, 1], [1, 255]]
    weights = (ids != 255).astype("float32")
    mass = tfmixup.label_mass(batches(X, ids, weights), 2)
    np.testing.assert_allclose(mass, [21 / 23, 2 / 23])
    hot = np.eye(2, dtype="float32")[np.minimum(ids, 1)]
    mass = tfmixup.label_mass(batches(X, hot, weights[..., None]), 2)
    np.testing.assert_allclose(mass, [21 / 23, 2 / 23])
    per_example = tfmixup.label_mass(batches(X, hot, np.ones(6)), 2)
    np.testing.assert_allclose(per_example, [21 / 24, 3 / 24])


@pytest.mark.parametrize("kind", ["ids", "one_hot"])
def test_pairs(kind):
    hot = np.eye(3, dtype="float32")
    one, other = IDS, IDS[::-1].copy()
    lam = np.array([0, 0.1, 0.25, 0.5, 0.75, 1], "float32")
    want = lam @ hot[one] + (1 - lam) @ hot[other]
    encode = {"ids": lambda ids: ids, "one_hot": lambda ids: hot[ids]}[kind]
    dataset = batches(X, (encode(one), encode(other), lam))
    np.testing.assert_allclose(tfmixup.label_mass(dataset, 3), want / 6, rtol=1e-6)
    dicts = dataset.map(lambda x, y: {"image": x, "label": y})
    np.testing.assert_allclose(tfmixup.label_mass(dicts, 3), want / 6, rtol=1e-6)


def test_mixing_keeps_the_mass_of_a_dataset_mixed_with_itself():
    """Each batch of in_batch gives away as much as it gets, whatever λ."""
    mixer = tfmixup.MixUp(1.0, num_classes=3, per="batch")
    plain = batches(X, IDS)
    mixed = plain.apply(tfmixup.in_batch(mixer, seed=1))
    np.testing.assert_allclose(
        tfmixup.label_mass(mixed, 3), tfmixup.label_mass(plain, 3), rtol=1e-5
    )


BAD = {
    "a list": (lambda: tfmixup.label_mass([1], 3), TypeError, "tf.data.Dataset"),
    "one class": (
        lambda: tfmixup.label_mass(batches(X, IDS), 1),
        ValueError,
        "least 2",
    ),
    "no batches": (
        lambda: tfmixup.label_mass(batches(X, IDS).unbatch(), 3),
        ValueError,
        "batch",
    ),
    "unbatched one-hot": (
        lambda: tfmixup.label_mass(batches(X, SHARES).unbatch(), 3),
        ValueError,
        "batch",
    ),
    "two classes": (
        lambda: tfmixup.label_mass(batches(X, IDS), 2),
        ValueError,
        r"in \[0, 2\), got 0 to 2",
    ),
    "shares of three": (
        lambda: tfmixup.label_mass(batches(X, SHARES), 2),
        ValueError,
        "num_classes=2",
    ),
    "text": (
        lambda: tfmixup.label_mass(batches(X, IDS.astype(str)), 2),
        ValueError,
        "string",
    ),
    "two labels": (
        lambda: tfmixup.label_mass(batches(X, (IDS, IDS)), 3),
        ValueError,
        "one label",
    ),
    "nothing": (
        lambda: tfmixup.label_mass(batches(X, SHARES * 0), 3),
        ValueError,
        "cannot be shared out",
    ),
    "NaN": (
        lambda: tfmixup.label_mass(batches(X, SHARES * np.float32(np.nan)), 3),
        ValueError,
        "cannot be shared out",
    ),
    "num_batches": (
        lambda: tfmixup.label_mass(batches(X, IDS), 3, num_batches=0),
        ValueError,
        "num_batches",
    ),
    "no label": (
        lambda: tfmixup.label_mass(batches(X, IDS).map(lambda x, y: {"y": y}), 3),
        KeyError,
        "label",
    ),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_input(case):
    make, error, message = case
    with pytest.raises(error, match=message):
        make()


# The figure


@pytest.mark.parametrize("names", [None, ["cat", "a long name", "lynx"]])
def test_a_figure_has_two_bars_a_class(names, tmp_path):
    before, after = [0.7, 0.2, 0.1], [0.4, 0.3, 0.3]
    figure = tfmixup.plot.label_mass(before, after, class_names=names)
    axes = figure.axes[0]
    heights = [[bar.get_height() for bar in group] for group in axes.containers]
    np.testing.assert_allclose(heights, np.array([before, after]) * 100)
    shown = [text.get_text() for text in axes.get_xticklabels()]
    assert shown == (names or ["0", "1", "2"])
    legend = {text.get_text() for text in axes.get_legend().get_texts()}
    assert legend == {"before", "after", "equal shares"}
    # Told apart in grey too.
    light, dark = (np.mean(c.patches[0].get_facecolor()[:3]) for c in axes.containers)
    assert light - dark > 0.3
    figure.savefig(tmp_path / "mass.png")
    assert (tmp_path / "mass.png").stat().st_size > 1000


def test_a_figure_of_many_classes():
    shares = np.full(100, 0.01)
    figure = tfmixup.plot.label_mass(shares, shares, labels=("plain", "mixed"))
    assert figure.get_figwidth() <= 14
    assert len(figure.axes[0].get_xticks()) < 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.5], [1.0]), "2 classes and after 1"),
        (([0.5, 0.6], [0.5, 0.5]), "before must be shares"),
        (([0.5, 0.5], [[0.5, 0.5]]), "after must be shares"),
        (([1.5, -0.5], [0.5, 0.5]), "before must be shares"),
        (([0.5, np.nan], [0.5, 0.5]), "before must be shares"),
    ],
)
def test_what_cannot_be_drawn(arguments, message):
    with pytest.raises(ValueError, match=message):
        tfmixup.plot.label_mass(*arguments)


def test_names_that_do_not_fit():
    with pytest.raises(ValueError, match="class_names has 1"):
        tfmixup.plot.label_mass([0.5, 0.5], [0.5, 0.5], class_names=["a"])
    with pytest.raises(ValueError, match="labels must be two"):
        tfmixup.plot.label_mass([0.5, 0.5], [0.5, 0.5], labels="ab")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'tfmixup\[plot\]'"):
        tfmixup.plot.label_mass([0.5, 0.5], [0.5, 0.5])
