"""Scikit-learn's bundled handwritten digits as a TensorFlow Datasets builder.

The images ship inside scikit-learn, so this dataset needs no download. The images are
so small that tests and README's first lines of code take seconds with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from tfmixup.datasets.loading import INSTALL_HINT, tfds

_DESCRIPTION = """\
1,797 grey 8x8 images of handwritten digits, by 13 writers.

These are the images of `sklearn.datasets.load_digits`, a copy of the test set of
the UCI "Optical Recognition of Handwritten Digits" data. Pixel values 0..16 are
scaled to 0..255. The split into 1,437 training and 360 test images is fixed and
stratified by class. The source does not say who wrote which digit, so the same
writers are in both splits: a test error here is optimistic for unseen writers.
"""

_CITATION = """\
@misc{alpaydin1998optical,
  author    = {Alpaydin, E. and Kaynak, C.},
  title     = {Optical Recognition of Handwritten Digits},
  year      = {1998},
  publisher = {UCI Machine Learning Repository},
  url       = {https://archive.ics.uci.edu/ml/datasets/Optical+Recognition+of+Handwritten+Digits}
}
"""

_TEST_EXAMPLES = 360
_SPLIT_SEED = 0
_SOURCE_MAX = 16  # load_digits counts the set pixels of 4x4 blocks: 0..16.


class BundledDigits(  # type: ignore[call-arg]
    tfds.core.GeneratorBasedBuilder,
    # `python -m` runs this module a second time, after the package imported it. TFDS
    # refuses a second builder with the same name.
    skip_registration=__name__ == "__main__",
):
    """The handwritten digits that ship with scikit-learn. Needs no download.

    Importing this class registers it with TensorFlow Datasets. After
    `import tfmixup.datasets` also `tfds.load("bundled_digits")` works.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}

    def _info(self) -> tfds.core.DatasetInfo:
        # dataset_info_from_configs is the usual call, but it looks for README.md and
        # CITATIONS.bib beside this module.
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://scikit-learn.org/stable/datasets/toy_dataset.html",
            citation=_CITATION,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # Nothing to download.
        images, labels, train_rows, test_rows = _read_digits()
        return {
            "train": self._generate_examples(images, labels, train_rows),
            "test": self._generate_examples(images, labels, test_rows),
        }

    def _generate_examples(
        self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for row in rows.tolist():
            yield row, {"image": images[row], "label": int(labels[row])}


def _read_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Reads scikit-learn's digits and draws the fixed split.

    Returns:
      The images as uint8 of shape (1797, 8, 8, 1), the labels, and the row
      numbers of the training and of the test split.

    Raises:
      ImportError: If scikit-learn is not installed.
    """
    try:
        # Import here, because only preparing the dataset needs scikit-learn.
        from sklearn import datasets as sklearn_datasets
        from sklearn import model_selection
    except ModuleNotFoundError as error:
        raise ImportError(
            f"preparing 'bundled_digits' needs scikit-learn, but importing it "
            f"failed ({error}); {INSTALL_HINT}"
        ) from error
    digits = sklearn_datasets.load_digits()
    images = np.rint(digits.images * (255 / _SOURCE_MAX)).astype(np.uint8)
    train_rows, test_rows = model_selection.train_test_split(
        np.arange(len(images)),
        test_size=_TEST_EXAMPLES,
        random_state=_SPLIT_SEED,
        stratify=digits.target,
    )
    return images[..., np.newaxis], digits.target, train_rows, test_rows
