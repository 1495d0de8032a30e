"""How it is measured: one live iterator at a time, read as `model.fit` reads."""

from __future__ import annotations

import gc
import os
import time
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tests.benchmarks.settings import PREFETCH

__all__ = ["Running", "Timing", "check_consumer", "cores", "rounds"]

_WARM_UP_SECONDS = 0.1


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@tf.function
def _consume(iterator: tf.data.Iterator, batches: tf.Tensor) -> tf.Tensor:
    taken = tf.constant(0)
    for _ in tf.range(batches):
        iterator.get_next()
        taken += 1
    return taken


class Timing(NamedTuple):
    """What a batch took."""

    seconds: float
    cpu_seconds: float  # of all threads


class Running:
    """A pipeline with an iterator."""

    def __init__(self, dataset: tf.data.Dataset) -> None:
        self._iterator = iter(dataset)

    def warm_up(self) -> None:
        """Reads past all that is buffered, by prefetch and by the parallel map.

        And a while longer, in which tf.data tunes itself.
        """
        start = time.perf_counter()
        while True:
            self.consume(2 * (PREFETCH + cores()) + 2)
            if time.perf_counter() - start >= _WARM_UP_SECONDS:
                break

    def consume(self, batches: int) -> None:
        taken = int(_consume(self._iterator, tf.constant(batches)))
        if taken != batches:
            raise RuntimeError(f"the pipeline ended after {taken} of {batches} batches")

    def close(self) -> None:
        """Stops the pipeline: a live iterator fills its buffers at others' cost."""
        stopped = weakref.ref(self._iterator)
        self._iterator = None
        if stopped() is not None:
            gc.collect()
        if stopped() is not None:
            raise RuntimeError("something keeps the iterator alive")


def check_consumer() -> None:
    """Makes sure that nothing optimises the reading away."""
    iterator = iter(tf.data.Dataset.range(100))
    _consume(iterator, tf.constant(42))
    if int(next(iterator)) != 42:
        raise RuntimeError("the loop has not read what it was to read")


def rounds(
    openers: dict[str, Callable[[], Any]],
    *,
    number: int,
    seconds: float,
    multiple: Callable[[str], int],
    progress: Callable[[str], None],
) -> tuple[dict[str, list[Timing]], dict[str, int]]:
    """Times all contenders in every round, in an order that rotates.

    Args:
      openers: by name, a function that starts the contender: an object with `warm_up`,
        `consume` and `close`.
      number: rounds, after one that warms up and is not counted.
      seconds: that a timing lasts at least.
      multiple: of how many batches a timing of that contender has to be.
      progress: is told about every round.

    Returns:
      By name, what a batch took in every round, and the batches of a timing.
    """
    names = list(openers)
    batches = {}
    for name in names:
        progress(f"warm-up: {name}")
        batches[name] = _calibrate(openers[name], seconds, multiple(name))
    times: dict[str, list[Timing]] = {name: [] for name in names}
    gc.collect()
    gc.freeze()  # a collection takes longer than many a timing
    for index in range(number):
        shift = index % max(len(names), 1)
        for name in names[shift:] + names[:shift]:
            progress(f"round {index + 1} of {number}: {name}")
            times[name].append(_timed(openers[name], batches[name]))
    return times, batches


def _timed(opener: Callable[[], Any], batches: int) -> Timing:
    running = opener()
    running.warm_up()
    wall, cpu = time.perf_counter(), time.process_time()
    running.consume(batches)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    running.close()
    return Timing(wall / batches, cpu / batches)


def _calibrate(opener: Callable[[], Any], seconds: float, multiple: int) -> int:
    """How many batches take so long."""
    running = opener()
    running.warm_up()
    batches = multiple
    while True:
        start = time.perf_counter()
        running.consume(batches)
        spent = time.perf_counter() - start
        if spent >= seconds:
            break
        # Not more than tenfold at once: the first batches may have been slow.
        factor = min(10.0, 1.2 * seconds / max(spent, 1e-6))
        batches = max(batches + multiple, int(batches * factor / multiple) * multiple)
    running.close()
    return batches
