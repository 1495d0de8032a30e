"""Says which package is missing, or does not fit the others.

Modules that import these packages call a check first. `import tfmixup` begins with the
check of TensorFlow, `import tfmixup.datasets` with the check of TensorFlow Datasets.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib import metadata

__all__ = ["check_tensorflow", "check_tensorflow_datasets", "install"]

# The first release sets this to True, and messages and docs follow: see BUILD.md.
RELEASED = False

_OLDEST_TENSORFLOW = "2.18"


def install(extra: str) -> str:
    """The command that installs an extra, for messages."""
    if RELEASED:
        return f"pip install 'tfmixup[{extra}]'"
    return f"pip install '.[{extra}]' in a clone of the repository"


def check_tensorflow() -> None:
    """Makes sure that TensorFlow and TensorFlow Probability can be imported.

    Raises:
      ImportError: a package is missing or does not fit the others. The message gives
        the command that mends it.
    """
    tensorflow = _tensorflow_version()
    major, minor = _major_minor(tensorflow)
    tf_keras = f"'tf-keras=={major}.{minor}.*'"
    mend = (
        f"pip install {tf_keras}, or, beside a TensorFlow that pip knows by another "
        "name than tensorflow (tensorflow-cpu, tensorflow-tpu, a vendor's), "
        f"pip install --no-deps {tf_keras}."
    )
    if not _is_installed("tf_keras"):
        raise ImportError(
            "tfmixup needs tf-keras, which TensorFlow Probability imports and which is "
            f"not installed. Install the release of your TensorFlow, {tensorflow}: "
            + mend
        )
    if not _is_installed("tensorflow_probability"):
        raise ImportError(
            "tfmixup needs TensorFlow Probability, which is not installed: "
            "pip install 'tensorflow-probability>=0.25'."
        )
    try:
        importlib.import_module("tensorflow_probability").distributions.Beta  # noqa: B018
    except Exception as error:  # two releases that do not fit may raise anything
        raise ImportError(
            f"tfmixup needs TensorFlow Probability. Release "
            f"{_version('tensorflow-probability')} cannot be imported beside "
            f"TensorFlow {tensorflow} and tf-keras {_version('tf-keras')}: "
            f"{type(error).__name__}: {error}. tf-keras must be of TensorFlow's "
            f"release: {mend} TensorFlow Probability must be 0.25 or newer."
        ) from error


def _tensorflow_version() -> str:
    mend = (
        f"Install it with {install('tf')}, for a GPU of NVIDIA with the extra gpu "
        "instead of tf, or install the build that your machine's vendor gives "
        "(tensorflow-cpu, tensorflow-tpu and others)."
    )
    if not _is_installed("tensorflow"):
        raise ImportError(f"tfmixup needs TensorFlow, which is not installed. {mend}")
    tensorflow = importlib.import_module("tensorflow")
    version = getattr(tensorflow, "__version__", None)
    if version is None:  # pip may leave an empty folder, which Python imports.
        raise ImportError(
            "tfmixup needs TensorFlow, of which there is only an empty folder, "
            f"{list(tensorflow.__path__)}. {mend}"
        )
    if _major_minor(version) < _major_minor(_OLDEST_TENSORFLOW):
        raise ImportError(
            f"tfmixup needs TensorFlow {_OLDEST_TENSORFLOW} or newer, got {version}. "
            f"Update it: pip install --upgrade 'tensorflow>={_OLDEST_TENSORFLOW}'."
        )
    return version


def _major_minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def check_tensorflow_datasets() -> None:
    """Makes sure that TensorFlow Datasets can be imported.

    Raises:
      ImportError: the import fails. The message gives the command that mends it.
    """
    try:
        tfds = importlib.import_module("tensorflow_datasets")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"tfmixup.datasets needs TensorFlow Datasets, but importing it failed: "
            f"{error}. Install the examples' packages: {install('examples')}."
        ) from error
    if not hasattr(tfds, "load"):
        # If an import inside TFDS fails, TFDS logs the error and leaves names out.
        raise ImportError(
            f"tfmixup.datasets needs TensorFlow Datasets. Release "
            f"{_version('tensorflow-datasets')} cannot be imported beside "
            f"tensorflow-metadata {_version('tensorflow-metadata')} and protobuf "
            f"{_version('protobuf')}. It has logged why. tensorflow-metadata 1.18 and "
            "newer need protobuf 6, which TensorFlow before 2.20 does not allow. If "
            "that is why: pip install 'tensorflow-metadata<1.18'."
        )


def _is_installed(package: str) -> bool:
    if package in sys.modules:  # where a stub may have no spec
        return sys.modules[package] is not None
    return importlib.util.find_spec(package) is not None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(not installed)"
