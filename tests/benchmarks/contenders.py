"""Who is measured: tfmixup, its peers, and the same pipeline without mixing.

All of them turn the same batches into float32 features and float32 (B, C) labels; the
variants at the end turn out other dtypes or draw fewer λ, and are no peers' equals.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

import tfmixup
from tests.benchmarks import settings
from tests.benchmarks.settings import Source
from tests.benchmarks.workloads import Workload

__all__ = ["CONTENDERS", "VARIANTS", "Contender", "chosen", "left_out"]


@dataclasses.dataclass(frozen=True)
class Contender:
    """A way to make mixed batches.

    Attributes:
      name: on the command line.
      title: in the table.
      role: "ours", "peer", "reference" (not mixed) or "variant" (other work).
      scope: partners come from the whole "dataset" or from the same "batch"; "" for no
        mixing.
      stages: from a source and α to a dataset of mixed batches.
      images_only: takes nothing but images.
      dtype: of the features that come out.
      only: settings and input dtypes that it is for; empty for all.
    """

    name: str
    title: str
    role: str
    scope: str
    stages: Callable[[Source, float], tf.data.Dataset]
    images_only: bool = False
    dtype: str = "float32"
    only: tuple[str, ...] = ()

    def takes(self, workload: Workload) -> bool:
        return len(workload.shape) == 3 or not self.images_only

    def build(self, source: Source, alpha: float) -> tf.data.Dataset:
        """The whole pipeline, up to and with its prefetch."""
        return settings.finish(source, self.stages(source, alpha))

    def title_in(self, setting: str) -> str:
        if self.name == "two_streams" and setting == settings.MIXING:
            return "two_streams (after batching)"
        return self.title


def _two_streams(source: Source, alpha: float, **options: Any) -> tf.data.Dataset:
    mixer = tfmixup.MixUp(alpha, num_classes=source.workload.num_classes, **options)
    if source.examples is None:
        return _after_batching(source, mixer)
    stage = tfmixup.two_streams(
        mixer,
        source.workload.batch_size,
        shuffle_buffer_size=source.shuffle_buffer_size,
    )
    return source.examples.apply(stage)


def _after_batching(source: Source, mixer: tfmixup.Mixer) -> tf.data.Dataset:
    """What tfmixup.two_streams does with the batches of its two streams."""
    # Only here does a benchmark use what is not public.
    from tfmixup.pairing import stages

    draws, words = stages.draw_stream(mixer, source.workload.batch_size, None)
    streams = [source.stream(0), source.stream(1), draws]
    plan = mixer.plan(streams[0].element_spec)

    def mix(element: Any) -> Any:
        first, second, (params, _) = element
        parts = mixer.split(first), mixer.split(second)
        return plan.joined(*plan.mix(*parts, params), first)

    return stages.keep_epochs(stages.map_batches(streams, mix), words)


def _from_tensors(source: Source, alpha: float) -> tf.data.Dataset:
    mixer = tfmixup.MixUp(alpha, num_classes=source.workload.num_classes)
    return tfmixup.from_tensors(source.rows, mixer, source.workload.batch_size)


def _in_batch(source: Source, alpha: float) -> tf.data.Dataset:
    mixer = tfmixup.MixUp(alpha, num_classes=source.workload.num_classes)
    return source.stream(0).apply(tfmixup.in_batch(mixer))


def _keras_layer(source: Source, alpha: float) -> tf.data.Dataset:
    layer = keras.layers.MixUp(alpha)

    def mix(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        one_hot = tf.one_hot(labels, source.workload.num_classes)
        mixed = layer({"images": images, "labels": one_hot}, training=True)
        return mixed["images"], mixed["labels"]

    return source.stream(0).map(mix, num_parallel_calls=tf.data.AUTOTUNE)


def _zip_recipe(source: Source, alpha: float) -> tf.data.Dataset:
    size, classes = source.workload.batch_size, source.workload.num_classes
    ones = [1] * len(source.workload.shape)

    def mix(one: Any, other: Any) -> tuple[tf.Tensor, tf.Tensor]:
        (x1, y1), (x2, y2) = one, other
        gamma1 = tf.random.gamma([size], alpha)
        gamma2 = tf.random.gamma([size], alpha)
        lam = gamma1 / (gamma1 + gamma2)
        x_lam, y_lam = tf.reshape(lam, [size, *ones]), tf.reshape(lam, [size, 1])
        x1, x2 = tf.cast(x1, tf.float32), tf.cast(x2, tf.float32)
        y1, y2 = tf.one_hot(y1, classes), tf.one_hot(y2, classes)
        return x1 * x_lam + x2 * (1 - x_lam), y1 * y_lam + y2 * (1 - y_lam)

    pairs = tf.data.Dataset.zip((source.stream(0), source.stream(1)))
    return pairs.map(mix, num_parallel_calls=tf.data.AUTOTUNE)


def _no_mixing(source: Source, alpha: float) -> tf.data.Dataset:
    del alpha

    def plain(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(x, tf.float32), tf.one_hot(y, source.workload.num_classes)

    return source.stream(0).map(plain, num_parallel_calls=tf.data.AUTOTUNE)


def _variant(
    name: str, title: str, *only: str, dtype: str = "float32", **options: Any
) -> Contender:
    return Contender(
        name,
        title,
        "variant",
        "dataset",
        functools.partial(_two_streams, dtype=dtype, **options),
        dtype=dtype,
        only=(settings.MIXING, *only),
    )


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("two_streams", "two_streams", "ours", "dataset", _two_streams),
        Contender(
            "from_tensors",
            "from_tensors",
            "ours",
            "dataset",
            _from_tensors,
            only=(settings.PIPELINE,),
        ),
        Contender("in_batch", "in_batch", "ours", "batch", _in_batch),
        Contender(
            "keras_layer",
            "keras.layers.MixUp",
            "peer",
            "batch",
            _keras_layer,
            images_only=True,
        ),
        Contender(
            "zip_recipe", "two-stream zip recipe", "peer", "dataset", _zip_recipe
        ),
        Contender("no_mixing", "no mixing", "reference", "", _no_mixing),
        _variant("per_batch", 'two_streams, per="batch"', per="batch"),
        _variant(
            "lam_range", "two_streams, lam_range=(0.1, 0.9)", lam_range=(0.1, 0.9)
        ),
        _variant("bfloat16", 'two_streams, dtype="bfloat16"', dtype="bfloat16"),
        _variant("uint8", 'two_streams, dtype="uint8"', "uint8", dtype="uint8"),
    )
}
VARIANTS = [name for name, who in CONTENDERS.items() if who.role == "variant"]


def chosen(setting: str, workload: Workload, names: list[str]) -> list[Contender]:
    """The contenders that a workload is measured with."""
    return [
        contender
        for contender in CONTENDERS.values()
        if contender.name in names
        and contender.takes(workload)
        and {setting, workload.dtype}.issuperset(contender.only)
    ]


def left_out(workload: Workload, names: list[str]) -> list[tuple[str, str]]:
    """Titles of those that cannot take a workload, and why."""
    return [
        (contender.title, "images only")
        for contender in CONTENDERS.values()
        if contender.name in names and not contender.takes(workload)
    ]
