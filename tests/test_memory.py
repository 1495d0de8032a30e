"""Memory: what grows, and what does not. Resident sets, in processes of their own."""

import gc
import json
import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not pathlib.Path("/proc/self/statm").exists(), reason="needs Linux's /proc"
    ),
]

MB = 1 << 20
FLOATS = 1 << 13  # of an example


def resident() -> int:
    """Bytes."""
    gc.collect()
    fields = pathlib.Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """The most that was ever resident, in bytes."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def epochs(way: str) -> dict[str, float]:
    """Growth, in MB, over 200 epochs in one iterator and in 10 new iterators."""
    import numpy as np
    import tensorflow as tf

    import tfmixup

    x, y = np.zeros([1024, 1024], "float32"), np.zeros([1024], "int64")
    # α = 1: a small graph, since iterators are made of it.
    mixer = tfmixup.MixUp(1.0, num_classes=2)
    examples = tf.data.Dataset.from_tensor_slices((x, y))
    mixed = {
        "two_streams": lambda: examples.apply(tfmixup.two_streams(mixer, 128)),
        "in_batch": lambda: (
            examples.shuffle(1024).batch(128).apply(tfmixup.in_batch(mixer))
        ),
        "from_tensors": lambda: tfmixup.from_tensors((x, y), mixer, 128),
    }[way]()
    # With a prefetch of two: where a pipeline ends without one, tf.data adds its own,
    # which grows.
    repeated = iter(mixed.repeat().prefetch(2))

    def read(iterator, number):
        for _ in range(number * len(mixed)):
            next(iterator)

    def renew(number):
        for _ in range(number):
            for _ in mixed.prefetch(2):
                pass

    read(repeated, 30)
    before = resident()
    read(repeated, 200)
    steady = resident() - before
    del repeated
    renew(240)  # the allocator settles only after some dozens of iterators
    before = resident()
    renew(10)
    return {"one iterator": steady / MB, "new iterators": (resident() - before) / MB}


def buffers(size: str) -> dict[str, float]:
    """What two_streams takes in an endless stream of examples of 32 KiB."""
    import tensorflow as tf

    import tfmixup

    examples = tf.data.Dataset.range(1 << 40).map(
        lambda i: (tf.fill([FLOATS], tf.cast(i, tf.float32)), tf.zeros([1]))
    )
    stage = tfmixup.two_streams(
        tfmixup.MixUp(1.0), 32, shuffle_buffer_size=int(size), seed=1
    )
    iterator = iter(examples.apply(stage).prefetch(2))
    for _ in range(40):
        next(iterator)
    return {"resident": resident() / MB}


def arrays(size: str) -> dict[str, float]:
    """What from_tensors takes for so many MB of bytes, besides these."""
    import numpy as np
    import tensorflow as tf

    import tfmixup

    rows = int(size) * 1024
    x, y = np.ones([rows, 1024], np.uint8), np.zeros([rows, 1], np.float32)
    tf.zeros([1]) + 1
    before = resident()
    mixed = tfmixup.from_tensors((x, y), tfmixup.MixUp(1.0), 32).repeat()
    iterators = [iter(mixed) for _ in range(2)]
    for iterator in iterators:
        for _ in range(20):
            next(iterator)
    return {"resident": (resident() - before) / MB, "peak": (peak() - before) / MB}


def measured(*calls) -> list[dict[str, float]]:
    """Each function called in a new process, side by side."""
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, function.__name__, str(argument)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for function, argument in calls
    ]
    found = []
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err
        found.append(json.loads(out.splitlines()[-1]))
    return found


@pytest.mark.parametrize("way", ["two_streams", "in_batch", "from_tensors"])
def test_memory_does_not_grow_with_epochs(way):
    """A batch of each epoch, 0.5 MB, kept by mistake would be 100 MB and 5 MB."""
    (growth,) = measured((epochs, way))
    assert growth["one iterator"] < 10
    assert growth["new iterators"] < 3


def test_two_streams_holds_two_shuffle_buffers():
    small, large = 2_500, 6_500
    one, other = measured((buffers, small), (buffers, large))
    expected = 2 * (large - small) * 4 * FLOATS / MB
    grown = other["resident"] - one["resident"]
    assert grown == pytest.approx(expected, rel=0.25)


def test_from_tensors_copies_arrays_once():
    """However many iterators there are."""
    small, large = 25, 225
    one, other = measured((arrays, small), (arrays, large))
    for when in ("resident", "peak"):
        grown = other[when] - one[when]
        assert grown / (large - small) == pytest.approx(1, abs=0.2)


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](sys.argv[2])))
