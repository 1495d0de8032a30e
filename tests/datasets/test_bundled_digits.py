"""The bundled digits and the loader, against scikit-learn's own arrays."""

import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn import datasets as sklearn_datasets

tfds = pytest.importorskip("tensorflow_datasets")

import tfmixup.datasets  # noqa: E402
from tfmixup import requirements  # noqa: E402
from tfmixup.datasets import bundled_digits  # noqa: E402


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def splits(data_dir):
    """Both splits as {name: (images, labels)}, and the info."""
    loaded, info = tfmixup.datasets.load(data_dir=data_dir)
    return {name: as_arrays(ds) for name, ds in loaded.items()}, info


def as_arrays(ds):
    examples = list(ds.as_numpy_iterator())
    images = np.stack([example["image"] for example in examples])
    return images, np.array([example["label"] for example in examples])


def multiset(images, labels):
    return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels))


def test_all_images_are_those_of_scikit_learn(splits):
    arrays, _ = splits
    digits = sklearn_datasets.load_digits()
    # Round half up of v * 255 / 16, in integers.
    expected = (2 * 255 * digits.images.astype(int) + 16) // 32
    got_images = np.concatenate([arrays["train"][0], arrays["test"][0]])
    got_labels = np.concatenate([arrays["train"][1], arrays["test"][1]])
    assert got_images.dtype == np.uint8
    assert got_images.shape == (1797, 8, 8, 1)
    assert (got_images.min(), got_images.max()) == (0, 255)
    assert multiset(got_images, got_labels) == multiset(
        expected.astype(np.uint8)[..., None], digits.target
    )


def test_split_is_disjoint_and_stratified(splits):
    arrays, _ = splits
    assert {name: len(labels) for name, (_, labels) in arrays.items()} == {
        "train": 1437,
        "test": 360,
    }
    train, test = ({im.tobytes() for im in arrays[s][0]} for s in ("train", "test"))
    assert (len(train), len(test)) == (1437, 360)  # No image occurs twice...
    assert not train & test  # ... and none is in both.
    per_class = np.bincount(sklearn_datasets.load_digits().target)
    in_test = np.bincount(arrays["test"][1], minlength=10)
    assert np.abs(in_test - per_class * 360 / 1797).max() < 1


def test_preparing_again_gives_the_same_examples_in_the_same_order(splits, tmp_path):
    arrays, _ = splits
    again, _ = tfmixup.datasets.load("bundled_digits", "test", str(tmp_path))
    images, labels = as_arrays(again)
    np.testing.assert_array_equal(images, arrays["test"][0])
    np.testing.assert_array_equal(labels, arrays["test"][1])


def test_info(splits, data_dir):
    _, info = splits
    assert info.full_name == "bundled_digits/1.0.0"
    assert info.supervised_keys == ("image", "label")
    assert info.features["image"].shape == (8, 8, 1)
    assert info.features["label"].num_classes == 10
    assert "@misc" in info.citation
    assert "1,797" in info.description
    assert (data_dir / "bundled_digits" / "1.0.0" / "dataset_info.json").exists()


def test_tfds_knows_the_builder_by_name(splits, data_dir):
    arrays, _ = splits
    ds = tfds.load("bundled_digits", split="test[:5]", data_dir=data_dir)
    np.testing.assert_array_equal(as_arrays(ds)[0], arrays["test"][0][:5])


def test_load_gives_tuples_and_lists_of_splits(splits, data_dir):
    arrays, _ = splits
    (train, test), _ = tfmixup.datasets.load(
        "bundled_digits", ["train[:3]", "test[3:4]"], data_dir, as_supervised=True
    )
    assert len(train) == 3
    ((image, label),) = test.as_numpy_iterator()
    np.testing.assert_array_equal(image, arrays["test"][0][3])
    assert label == arrays["test"][1][3]


def test_load_takes_other_names_from_tfds(tmp_path):
    with tfds.testing.mock_data(num_examples=4):
        ds, info = tfmixup.datasets.load("cifar10", "train", tmp_path)
        images, labels = as_arrays(ds)
    assert images.shape == (4, 32, 32, 3)
    assert labels.shape == (4,)
    assert info.name == "cifar10"
    assert info.features["label"].num_classes == 10


@pytest.mark.parametrize("name", ["", None, 3])
def test_load_refuses_what_is_no_name(name):
    with pytest.raises(ValueError, match=r"name must be .*bundled_digits"):
        tfmixup.datasets.load(name, "train")


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=re.escape(requirements.install("examples"))):
        bundled_digits.BundledDigits(data_dir=tmp_path).download_and_prepare()


def test_prepared_digits_need_no_scikit_learn(monkeypatch, splits, data_dir):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    ds, _ = tfmixup.datasets.load("bundled_digits", "test", data_dir)
    assert len(as_arrays(ds)[1]) == len(splits[0]["test"][1])


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_missing_packages_in_a_fresh_process(tmp_path):
    # importlib_resources is what TFDS 4.9.10 imports without declaring it.
    done = run_python(
        "import sys\n"
        "import tfmixup\n"
        "print('tfds is imported:', 'tensorflow_datasets' in sys.modules)\n"
        "sys.modules['tensorflow_datasets'] = None\n"
        "try:\n"
        "    import tfmixup.datasets\n"
        "except ImportError as error:\n"
        "    print('tfds:', error)\n"
        "del sys.modules['tensorflow_datasets']\n"
        "import tfmixup.datasets\n"
        "sys.modules['importlib_resources'] = None\n"
        "try:\n"
        f"    tfmixup.datasets.load('cifar10', 'train', {str(tmp_path)!r})\n"
        "except ImportError as error:\n"
        "    print('cifar10:', error)\n"
    )
    lines = done.stdout.splitlines()
    assert "tfds is imported: False" in lines, done.stderr
    for start in ("tfds: tfmixup.datasets needs", "cifar10: loading 'cifar10' needs"):
        (line,) = [line for line in lines if line.startswith(start)]
        assert requirements.install("examples") in line
    assert "'importlib_resources'" in lines[-1]
