"""label_mass: counted by hand, for every kind of label."""

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
    with pytest.raises(ValueError, match=r"endless\. Pass num_batches"):
        tfmixup.label_mass(dataset.repeat(), 3)
    with pytest.raises(ValueError, match="num_batches must be at least 1"):
        tfmixup.label_mass(dataset, 3, num_batches=0)


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


IDS_ONLY = batches(X, IDS)
BAD = [
    ([1], 3, TypeError, "dataset must be a tf.data.Dataset, got list"),
    (IDS_ONLY, 1, ValueError, "num_classes must be at least 2"),
    (IDS_ONLY.unbatch(), 3, ValueError, r"Call \.batch\(\.\.\.\) first"),
    (batches(X, SHARES).unbatch(), 3, ValueError, r"Call \.batch\(\.\.\.\) first"),
    (IDS_ONLY, 2, ValueError, r"must be in \[0, 2\), got 0 to 2"),
    (batches(X, SHARES), 2, ValueError, "check num_classes=2"),
    (batches(X, IDS.astype(str)), 2, ValueError, "got .*string"),
    (batches(X, (IDS, IDS)), 3, ValueError, "must have one label"),
    (batches(X, SHARES * 0), 3, ValueError, "cannot be shared out"),
    (batches(X, SHARES * np.float32(np.nan)), 3, ValueError, "cannot be shared out"),
    (IDS_ONLY.map(lambda x, y: {"y": y}), 3, KeyError, "no key 'label'"),
]


@pytest.mark.parametrize(("dataset", "num_classes", "error", "message"), BAD)
def test_bad_input(dataset, num_classes, error, message):
    with pytest.raises(error, match=f"tfmixup.label_mass: .*{message}"):
        tfmixup.label_mass(dataset, num_classes)
