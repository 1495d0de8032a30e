"""Loads the datasets of this package, and those of TensorFlow Datasets."""

from __future__ import annotations

import os
from typing import Any

from tfmixup import requirements

requirements.check_tensorflow_datasets()

import tensorflow_datasets as tfds  # noqa: E402

__all__ = ["INSTALL_HINT", "load", "tfds"]

INSTALL_HINT = f"install the examples' packages: {requirements.install('examples')}"


def load(
    name: str = "bundled_digits",
    split: str | list[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    as_supervised: bool = False,
    read_config: tfds.ReadConfig | None = None,
) -> tuple[Any, tfds.core.DatasetInfo]:
    """Loads a dataset by name: one that comes with a package, or any of TFDS.

    The dataset is prepared in `data_dir` if it is not there yet. "bundled_digits" and
    "mnist_5000" need no download. Most others do.

    Args:
      name: "bundled_digits", "mnist_5000", or the name of a TFDS dataset such as
        "cifar10".
      split: A TFDS split such as "train" or "train[:80%]", or a list of splits.
        None gives a dict of all splits.
      data_dir: The folder that holds prepared datasets. None is TFDS's own default
        (`$TFDS_DATA_DIR`, else `~/tensorflow_datasets`).
      as_supervised: Whether the elements are (image, label) tuples instead of
        dicts of all the features.
      read_config: Passed to TFDS. If workers share a pass (dynamic sharding by tf.data
        service), `tfds.ReadConfig(assert_cardinality=False)` is needed.

    Returns:
      The `tf.data.Dataset` and its `tfds.core.DatasetInfo`. A list of splits gives a
      list of datasets, and None gives a dict of them.

    Raises:
      ImportError: If a package that the dataset needs is missing.
      ValueError: If `name` is not a string, or is empty.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(
            f"name must be the name of a data set, got {name!r}; use "
            f"'bundled_digits', 'mnist_5000' or a TFDS name such as 'cifar10'."
        )
    try:
        return tfds.load(
            name,
            split=split,
            data_dir=None if data_dir is None else os.fspath(data_dir),
            as_supervised=as_supervised,
            read_config=read_config,
            with_info=True,
        )
    except ModuleNotFoundError as error:
        # TFDS imports parts of itself only now. TFDS 4.9.10 needs importlib_resources
        # for these parts, and does not declare it.
        raise ImportError(
            f"loading {name!r} needs the package {error.name!r}, which is not "
            f"installed; {INSTALL_HINT}"
        ) from error
