"""JPEGs of smooth noise in TFRecords: made on the spot, read and decoded."""

from __future__ import annotations

import pathlib

import tensorflow as tf

from tests.benchmarks.workloads import Workload

__all__ = ["read", "write"]

_SHARDS = 4


def write(workload: Workload, directory: str, examples: int) -> int:
    """Writes `examples` JPEGs; returns their mean size in bytes."""
    height, width, _ = workload.shape

    def encode(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Coarse blobs and fine grain: about as many bytes as a photo of that size.
        seed = tf.stack([index, 0])
        blobs = tf.random.stateless_uniform([1, 14, 14, 3], seed, maxval=256.0)
        smooth = tf.image.resize(blobs, [height, width], "bicubic")[0]
        grain = tf.random.stateless_normal([height, width, 1], seed + 1, stddev=8.0)
        pixels = tf.saturate_cast(smooth + grain, tf.uint8)
        label = index % workload.num_classes
        return tf.io.encode_jpeg(pixels, quality=90), label

    indices = tf.data.Dataset.range(examples)
    total = 0
    paths = [pathlib.Path(directory, f"{i}.tfrecord") for i in range(_SHARDS)]
    writers = [tf.io.TFRecordWriter(str(path)) for path in paths]
    made = indices.map(encode, num_parallel_calls=tf.data.AUTOTUNE)
    for i, (jpeg, label) in enumerate(made.as_numpy_iterator()):
        total += len(jpeg)
        writers[i % _SHARDS].write(_example(jpeg, int(label)))
    for writer in writers:
        writer.close()
    pathlib.Path(directory, "examples").write_text(str(examples))
    return total // examples


def read(workload: Workload, directory: str) -> tf.data.Dataset:
    """Decoded, unbatched (image, label)."""

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        kinds = {
            "image": tf.io.FixedLenFeature([], tf.string),
            "label": tf.io.FixedLenFeature([], tf.int64),
        }
        example = tf.io.parse_single_example(record, kinds)
        image = tf.io.decode_jpeg(example["image"], channels=3)
        image = tf.ensure_shape(image, workload.shape)
        return image, tf.cast(example["label"], tf.int32)

    paths = sorted(str(path) for path in pathlib.Path(directory).glob("*.tfrecord"))
    examples = int(pathlib.Path(directory, "examples").read_text())
    decoded = tf.data.TFRecordDataset(paths).map(
        parse, num_parallel_calls=tf.data.AUTOTUNE
    )
    return decoded.apply(tf.data.experimental.assert_cardinality(examples))


def _example(jpeg: bytes, label: int) -> bytes:
    image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[jpeg]))
    number = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    features = tf.train.Features(feature={"image": image, "label": number})
    return tf.train.Example(features=features).SerializeToString()
