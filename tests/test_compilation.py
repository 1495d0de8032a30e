"""How often XLA compiles: a new shape costs a compilation, tenths of a second."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

N, BATCH = 22, 4  # five batches and one of two

# How many programs XLA is given for two epochs, or for six lengths.
EXPECTED = {
    # Batches of one size compile once; a shorter last batch costs one more.
    "two_streams": 1,
    "two_streams, remainder": 2,
    "in_batch, remainder": 2,
    "from_tensors": 1,
    "from_tensors, remainder": 2,
    # Varying lengths do not compile ...
    "lengths": 0,
    "lengths, in_batch": 0,
    # ... but where that is asked for: what is counted are compilations.
    "lengths, compiled": 6,
}


def _run(directory: str) -> None:
    """Runs pipelines and prints how many programs XLA was given for each."""
    import tensorflow as tf
    import tensorflow_probability as tfp

    import tfmixup

    x = tf.reshape(tf.range(N * 3, dtype=tf.float32), [N, 3])
    arrays = (x, x)
    examples = tf.data.Dataset.from_tensor_slices(arrays)
    # As many lengths as batches, in batches that mixer.pair can take.
    lengths = tf.data.Dataset.range(2, 8).map(lambda n: (tf.ones([4, n]), x[:4]))

    def mixer(high, **kwargs):  # its function is cached: another one for each
        uniform = tfp.distributions.Uniform(0.0, high)
        return tfmixup.MixUp(distribution=uniform, **kwargs)

    def two_streams(high, drop):
        stage = tfmixup.two_streams(mixer(high), BATCH, drop_remainder=drop)
        return examples.apply(stage).repeat(2)

    def from_tensors(high, drop):
        made = tfmixup.from_tensors(arrays, mixer(high), BATCH, drop_remainder=drop)
        return made.repeat(2)

    batches = examples.batch(BATCH)
    pipelines = {
        "two_streams": two_streams(0.1, True),
        "two_streams, remainder": two_streams(0.2, False),
        "in_batch, remainder": batches.apply(tfmixup.in_batch(mixer(0.3))).repeat(2),
        "from_tensors": from_tensors(0.4, True),
        "from_tensors, remainder": from_tensors(0.5, False),
        "lengths": lengths.map(mixer(0.6)),
        "lengths, in_batch": lengths.apply(tfmixup.in_batch(mixer(0.7))),
        "lengths, compiled": lengths.map(mixer(0.8, jit_compile=True)),
    }
    counts, before = {}, 0
    for name, dataset in pipelines.items():
        assert len(list(dataset)) >= 6
        now = len(list(pathlib.Path(directory).glob("*before_optimizations.txt")))
        counts[name], before = now - before, now
    print(json.dumps(counts))


@pytest.mark.slow
def test_every_size_is_compiled_once_and_varying_lengths_never(tmp_path):
    flags = f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text"
    here = str(pathlib.Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": here},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == EXPECTED


if __name__ == "__main__":
    _run(sys.argv[1])
