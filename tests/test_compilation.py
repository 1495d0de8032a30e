"""How often XLA compiles: a new shape costs a compilation, tenths of a second."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

N, BATCH = 22, 4  # five batches and one of two


def _run(directory: str) -> None:
    """Runs pipelines and prints how many programs XLA was given for each."""
    import tensorflow as tf

    import tfmixup

    x = tf.reshape(tf.range(N * 3, dtype=tf.float32), [N, 3])
    arrays = (x, x)
    examples = tf.data.Dataset.from_tensor_slices(arrays)
    # As many lengths as batches, in batches that mixer.pair can take.
    lengths = tf.data.Dataset.range(2, 8).map(lambda n: (tf.ones([4, n]), x[:4]))

    def mixer(alpha, **kwargs):  # its function is cached: another one for each
        return tfmixup.MixUp(distribution=_uniform(alpha), **kwargs)

    def _uniform(high):
        import tensorflow_probability as tfp

        return tfp.distributions.Uniform(0.0, high)

    whole = {"drop_remainder": True}
    rest = {"drop_remainder": False}
    pipelines = {
        "two_streams": examples.apply(
            tfmixup.two_streams(mixer(0.1), BATCH, **whole)
        ).repeat(2),
        "two_streams, remainder": examples.apply(
            tfmixup.two_streams(mixer(0.2), BATCH, **rest)
        ).repeat(2),
        "in_batch, remainder": examples.batch(BATCH)
        .apply(tfmixup.in_batch(mixer(0.3)))
        .repeat(2),
        "from_tensors": tfmixup.from_tensors(arrays, mixer(0.4), BATCH).repeat(2),
        "from_tensors, remainder": tfmixup.from_tensors(
            arrays, mixer(0.5), BATCH, **rest
        ).repeat(2),
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


@pytest.fixture(scope="module")
def compilations(tmp_path_factory) -> dict[str, int]:
    directory = str(tmp_path_factory.mktemp("xla"))
    flags = f"--xla_dump_to={directory} --xla_dump_hlo_as_text"
    done = subprocess.run(
        [sys.executable, __file__, directory],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XLA_FLAGS": flags},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["two_streams", "from_tensors"])
def test_batches_of_one_size_compile_once(name, compilations):
    assert compilations[name] == 1


@pytest.mark.parametrize("name", ["two_streams", "in_batch", "from_tensors"])
def test_a_shorter_last_batch_costs_one_more(name, compilations):
    assert compilations[f"{name}, remainder"] == 2


@pytest.mark.parametrize("name", ["lengths", "lengths, in_batch"])
def test_varying_lengths_do_not_compile(name, compilations):
    assert compilations[name] == 0


def test_what_is_counted_are_compilations(compilations):
    """Each of six lengths compiles where that is asked for."""
    assert compilations["lengths, compiled"] == 6


if __name__ == "__main__":
    _run(sys.argv[1])
