"""The floor: one pass over the bytes of a mixed batch, in C, with two threads."""

from __future__ import annotations

import ctypes
import functools
import math
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np

from tests.benchmarks.settings import Source
from tests.benchmarks.workloads import Workload

__all__ = ["KINDS", "Floor", "description"]

THREADS = 2

# Name, title, scope of the contenders it is the floor of, fresh memory in every pass.
KINDS = (
    ("floor", "floor, two streams", "dataset", False),
    ("floor_in_batch", "floor, in batch", "batch", False),
    ("floor_malloc", "floor, two streams, malloc", "dataset", True),
)

_POINTERS = ("rows", "classes", "first", "second", "lam", "features", "targets")
_SIZES = ("width", "num_classes", "batch", "blocks", "passes")


class _Job(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_int64) for name in _SIZES),
        ("is_uint8", ctypes.c_int32),
        ("threads", ctypes.c_int32),
    )


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled pass; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    source = pathlib.Path(__file__).with_name("floor.c")
    with tempfile.TemporaryDirectory() as directory:
        target = pathlib.Path(directory, "floor.so")
        options = ["-O3", "-march=native", "-shared", "-fPIC", "-pthread"]
        command = [compiler, *options, "-o", str(target), str(source)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            return None
        return ctypes.CDLL(str(target))


def description() -> str:
    """What does the pass here."""
    how = (
        "not measured, for want of a C compiler" if library() is None else "compiled C"
    )
    return f"{how}, {THREADS} threads"


class Floor:
    """Mixes rows in memory; has `warm_up` and `consume` as a running pipeline has."""

    def __init__(self, source: Source, scope: str, fresh: bool) -> None:
        workload = source.workload
        features, labels = source.rows
        self._rows = features.reshape(len(features), -1)
        self._labels = labels
        self._first, self._second = _indices(workload, len(features), scope)
        rng = np.random.default_rng(0)
        self._lam = rng.beta(0.2, 0.2, workload.batch_size).astype(np.float32)
        self._shape = (workload.batch_size, self._rows.shape[1])
        self._targets = np.zeros((self._shape[0], workload.num_classes), np.float32)
        self._out = None if fresh else _aligned(self._shape)

    def warm_up(self) -> None:
        self.consume(4)

    def consume(self, passes: int) -> None:
        library().run(ctypes.byref(self._job(passes)))

    def close(self) -> None:
        """There is nothing to stop."""

    def check(self) -> None:
        """Compares a pass with NumPy's."""
        if self._out is None:
            return
        self.consume(1)
        first, second, lam = self._first[0], self._second[0], self._lam[:, None]
        features = self._rows[first] * lam + self._rows[second] * (1 - lam)
        np.testing.assert_allclose(self._out, features, rtol=1e-4, atol=1e-3)
        one_hot = np.eye(self._targets.shape[1], dtype=np.float32)[self._labels]
        targets = one_hot[first] * lam + one_hot[second] * (1 - lam)
        np.testing.assert_allclose(self._targets, targets, rtol=1e-4, atol=1e-6)

    def _job(self, passes: int) -> _Job:
        arrays = (
            self._rows,
            self._labels,
            self._first,
            self._second,
            self._lam,
            self._out,
            self._targets,
        )
        pointers = [None if a is None else a.ctypes.data for a in arrays]
        sizes = (
            self._rows.shape[1],
            self._targets.shape[1],
            self._shape[0],
            len(self._first),
            passes,
        )
        return _Job(*pointers, *sizes, self._rows.dtype == np.uint8, THREADS)


def _aligned(shape: tuple[int, int]) -> np.ndarray:
    """Zeros at the start of a cache line, as TensorFlow's tensors are."""
    raw = np.zeros(4 * math.prod(shape) + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + 4 * math.prod(shape)].view(np.float32).reshape(shape)


def _indices(
    workload: Workload, rows: int, scope: str
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of rows, int32 (blocks, B), of the first stream and of the second."""
    size = workload.batch_size
    if rows == 2 * size:  # two batches: the first and the second stream
        both = np.arange(rows, dtype=np.int32).reshape(2, 1, size)
        first, second = both[0], both[1]
    else:
        rng = np.random.default_rng(1)
        usable = rows // size * size
        orders = [rng.permutation(rows)[:usable].astype(np.int32) for _ in range(2)]
        first, second = (order.reshape(-1, size) for order in orders)
    if scope == "batch":
        second = np.roll(first, 1, axis=1)
    return np.ascontiguousarray(first), np.ascontiguousarray(second)
