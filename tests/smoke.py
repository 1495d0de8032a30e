"""A pipeline from an installed wheel, with nothing else installed. Run by .ci/run."""

import sys

import numpy as np
import tensorflow as tf

import tfmixup

if "site-packages" not in tfmixup.__file__:
    sys.exit(f"not the installed wheel: {tfmixup.__file__}")
images = np.arange(64 * 8 * 8 * 3, dtype="uint8").reshape(64, 8, 8, 3)
dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(64) % 4))
mixed = dataset.apply(
    tfmixup.two_streams(tfmixup.MixUp(0.2, num_classes=4), 16, seed=1)
).apply(tfmixup.prefetch_to_device())
batches = list(mixed)
if len(batches) != len(mixed) or batches[0][0].shape != (16, 8, 8, 3):
    sys.exit(f"unexpected batches: {mixed.element_spec}, {len(batches)}")
if not np.allclose(np.sum(batches[0][1], axis=1), 1):
    sys.exit("labels do not sum to 1")
heavy = {"matplotlib", "sklearn", "tensorflow_datasets"} & set(sys.modules)
if heavy:
    sys.exit(f"importing tfmixup imported {heavy}")
print(f"tfmixup {tfmixup.__version__} works with TensorFlow {tf.__version__}")
