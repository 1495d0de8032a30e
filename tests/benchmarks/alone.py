"""One contender in processes of its own: its first batches and its peak memory."""

from __future__ import annotations

import json
import pathlib
import re
import statistics
import subprocess
import sys
import time

__all__ = ["measure"]

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_BATCHES = 60
_ITERATORS = 5
_PROCESSES = 3
_TIMEOUT = 600


def measure(
    setting: str, workload: str, contender: str, alpha: float, records: str | None
) -> dict[str, float]:
    """Measures a contender in new processes, one after the other.

    Returns:
      Medians:
      `first_batch_ms`, from the function call that builds the pipeline to its first
      batch; `new_iterator_ms`, to the first batch of another iterator, as `model.fit`
      makes one in every epoch; `peak_mb`, of the whole process; `before_mb`, its peak
      when TensorFlow was imported and the source data were in memory.
    """
    arguments = [setting, workload, contender, str(alpha), records or ""]
    results = [_in_new_process(arguments) for _ in range(_PROCESSES)]
    return {
        key: statistics.median(result[key] for result in results) for key in results[0]
    }


def _in_new_process(arguments: list[str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", __name__, *arguments],
        cwd=_ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
    )
    if done.returncode:
        raise RuntimeError(f"{arguments} failed in a process of its own: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _here(
    setting: str, workload: str, contender: str, alpha: str, records: str
) -> None:
    import tensorflow as tf

    from tests.benchmarks import contenders, measure, settings

    source = settings.make(setting, workload, records)
    # What TensorFlow does once in a process is no contender's doing.
    for _ in tf.data.Dataset.range(4).map(lambda i: i + 1).prefetch(1):
        pass
    before = _peak_mb()
    start = time.perf_counter()
    dataset = contenders.CONTENDERS[contender].build(source, float(alpha))
    next(iter(dataset))
    first = time.perf_counter() - start
    again = []
    for _ in range(_ITERATORS):
        start = time.perf_counter()
        next(iter(dataset))
        again.append(time.perf_counter() - start)
    running = measure.Running(dataset)
    running.warm_up()
    running.consume(_BATCHES)
    result = {
        "first_batch_ms": 1e3 * first,
        "new_iterator_ms": 1e3 * statistics.median(again),
        "peak_mb": _peak_mb(),
        "before_mb": before,
    }
    print(json.dumps(result))


def _peak_mb() -> float:
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        # ru_maxrss of a new process begins with its parent's on Linux.
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(found[1]) / 1024
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2


if __name__ == "__main__":
    _here(*sys.argv[1:])
