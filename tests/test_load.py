"""Many batches, and sources with faults."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfmixup

SOAK = """
import json, sys
import tensorflow as tf
import tfmixup

def rss():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024

mixer = tfmixup.MixUp(0.2, num_classes=10)
x, y = tf.zeros([512, 64]), tf.range(512) % 10
dataset = tf.data.Dataset.from_tensor_slices((x, y))
pipelines = {
    "two_streams": dataset.apply(tfmixup.two_streams(mixer, 16, seed=1)),
    "in_batch": dataset.shuffle(512).batch(16, drop_remainder=True).apply(
        tfmixup.in_batch(mixer, seed=1)
    ),
    "from_tensors": tfmixup.from_tensors((x, y), mixer, 16, seed=1),
}
iterator = iter(pipelines[sys.argv[1]].repeat())

@tf.function
def run(n):
    total = 0.0
    for _ in tf.range(n):
        total += tf.reduce_sum(next(iterator)[1])
    return total

totals, memory = [], []
for _ in range(10):
    totals.append(float(run(tf.constant(2_000))))
    memory.append(rss())
print(json.dumps({"totals": totals, "memory": memory}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="no /proc")
@pytest.mark.parametrize("pipeline", ["two_streams", "in_batch", "from_tensors"])
def test_twenty_thousand_batches(pipeline, tmp_path):
    script = tmp_path / "soak.py"  # a file, since AutoGraph reads the source
    script.write_text(SOAK)
    done = subprocess.run(
        [sys.executable, script, pipeline],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    # Every batch has the label mass of its 16 examples, and all of them came.
    np.testing.assert_allclose(result["totals"], 2_000 * 16, rtol=1e-4)
    # MB, from the 4,000th batch on: pools may still round up, but do not grow.
    memory = result["memory"]
    assert max(memory[2:]) - memory[1] < 20, memory


def faulty(n=48, bad=(5, 30)):
    """A source that fails at some of its examples."""

    def decode(k):
        fine = tf.reduce_all(k != tf.constant(bad, tf.int64))
        with tf.control_dependencies([tf.debugging.Assert(fine, ["cannot decode", k])]):
            return tf.one_hot(k, n), tf.one_hot(k, n)

    return tf.data.Dataset.range(n).map(decode)


STAGES = {
    "two_streams": lambda ds: ds.apply(
        tfmixup.two_streams(tfmixup.MixUp(1.0), 4, drop_remainder=False)
    ),
    "in_batch": lambda ds: ds.batch(4).apply(tfmixup.in_batch(tfmixup.MixUp(1.0))),
}
each_stage = pytest.mark.parametrize("stage", STAGES)


@each_stage
def test_ignored_errors_upstream_leave_out_their_examples_only(stage):
    mixed = STAGES[stage](faulty().ignore_errors())
    total = np.concatenate([x for x, _ in mixed.as_numpy_iterator()])
    assert len(total) == 46
    seen = np.flatnonzero(total.sum(axis=0))
    assert set(range(48)) - set(seen) >= {5, 30}
    # Each of the others is the first example of one row, and so has some of it but
    # where λ is 0.
    assert len(seen) == 46


@each_stage
def test_an_error_of_the_source_reaches_fit(stage):
    import keras

    model = keras.Sequential([keras.layers.Dense(48)])
    model.compile("sgd", "mse")
    with pytest.raises(tf.errors.InvalidArgumentError, match="cannot decode"):
        model.fit(STAGES[stage](faulty()), epochs=1, verbose=0, shuffle=False)
