"""What is told where a package is missing or does not fit the others."""

import re
import sys
import types
from importlib import metadata

import pytest
import tensorflow as tf

from tfmixup import requirements

MAJOR_MINOR = ".".join(tf.__version__.split(".")[:2])


def told(check=requirements.check_tensorflow):
    with pytest.raises(ImportError) as caught:
        check()
    return str(caught.value)


def test_nothing_is_missing():
    requirements.check_tensorflow()


def test_no_tensorflow(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    message = told()
    assert message.startswith("tfmixup needs TensorFlow, which is not installed.")
    for words in (requirements.install("tf"), "the extra gpu", "tensorflow-cpu"):
        assert words in message


def test_the_empty_folder_that_pip_may_leave(monkeypatch):
    folder = types.ModuleType("tensorflow")
    folder.__path__ = ["/somewhere/tensorflow"]
    folder.__spec__ = tf.__spec__
    monkeypatch.setitem(sys.modules, "tensorflow", folder)
    assert "only an empty folder, ['/somewhere/tensorflow']. Install it" in told()


@pytest.mark.parametrize("version", ["2.17.1", "1.15.5", "2.9.0-rc1"])
def test_an_old_tensorflow(monkeypatch, version):
    monkeypatch.setattr(tf, "__version__", version)
    assert f"TensorFlow 2.18 or newer, got {version}. Update it: pip" in told()


@pytest.mark.parametrize("version", ["2.18.0", "2.100.0-dev20300101", "3.0.0"])
def test_a_newer_tensorflow_is_tried(monkeypatch, version):
    monkeypatch.setattr(tf, "__version__", version)
    requirements.check_tensorflow()


def test_no_tf_keras(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    message = told()
    assert f"Install the release of your TensorFlow, {tf.__version__}: pip" in message
    assert f"pip install --no-deps 'tf-keras=={MAJOR_MINOR}.*'." in message


def test_releases_that_do_not_fit(monkeypatch):
    class Lazy(types.ModuleType):
        @property
        def distributions(self):
            raise ImportError("cannot import name 'x' from 'tensorflow'")

    monkeypatch.setitem(sys.modules, "tensorflow_probability", Lazy("tfp"))
    tfp, tf_keras = map(metadata.version, ("tensorflow-probability", "tf-keras"))
    assert re.search(
        rf"Release {tfp} cannot be imported beside TensorFlow {tf.__version__} and "
        rf"tf-keras {tf_keras}: ImportError: cannot import name 'x' from "
        "'tensorflow'. tf-keras must be of TensorFlow's release: pip install ",
        told(),
    )


def test_no_tensorflow_datasets(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    message = told(requirements.check_tensorflow_datasets)
    assert message.endswith(f"packages: {requirements.install('examples')}.")


def test_tensorflow_datasets_that_swallowed_an_error(monkeypatch):
    """As it does where the generated code of tensorflow-metadata is too new."""
    monkeypatch.setitem(
        sys.modules, "tensorflow_datasets", types.ModuleType("tensorflow_datasets")
    )
    monkeypatch.setattr(
        metadata,
        "version",
        {
            "tensorflow-datasets": "4.9.10",
            "tensorflow-metadata": "1.21.0",
            "protobuf": "5.29.5",
        }.__getitem__,
    )
    message = told(requirements.check_tensorflow_datasets)
    assert (
        "Release 4.9.10 cannot be imported beside tensorflow-metadata 1.21.0 and "
        "protobuf 5.29.5." in message
    )
    assert message.endswith("pip install 'tensorflow-metadata<1.18'.")


def test_no_tensorflow_probability(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_probability", None)
    assert told().endswith("pip install 'tensorflow-probability>=0.25'.")
