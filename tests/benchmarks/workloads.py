"""What is mixed: shapes, dtypes and batch sizes, filled with random data."""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ["CIFAR", "JPEG", "WORKLOADS", "Workload"]


@dataclasses.dataclass(frozen=True)
class Workload:
    """One shape of data, with integer labels."""

    name: str
    title: str
    shape: tuple[int, ...]
    dtype: str
    batch_size: int
    num_classes: int

    def arrays(self, examples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Random features (N, ...) and int32 labels (N,), no two features alike."""
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, self.num_classes, examples, dtype=np.int32)
        size = (examples, *self.shape)
        if self.dtype == "uint8":
            return rng.integers(0, 256, size, dtype=np.uint8), labels
        return rng.random(size, dtype=np.float32), labels


CIFAR = Workload("image32", "32×32×3 uint8", (32, 32, 3), "uint8", 128, 10)
JPEG = Workload("image224", "224×224×3 uint8", (224, 224, 3), "uint8", 128, 1000)

WORKLOADS = {
    workload.name: workload
    for workload in (
        CIFAR,
        JPEG,
        Workload("image224f", "224×224×3 float32", (224, 224, 3), "float32", 128, 1000),
        Workload("tabular", "64 float32 features", (64,), "float32", 1024, 10),
        Workload("audio", "16,000 float32 samples", (16_000,), "float32", 128, 35),
    )
}
