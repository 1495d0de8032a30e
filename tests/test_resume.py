"""Checkpoints of iterators: what follows is what would have followed."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.pipelines import (
    BATCH,
    LABELS,
    MIXER,
    PIPELINES,
    VALUES,
    N,
    from_tensors,
    source,
    stream,
    two_streams,
)

EPOCHS = 3


def resumed(make, at: list[int], path) -> list[list[bytes]]:
    """What follows in another pipeline, restored from each of several steps."""
    iterator, taken, saved = iter(make()), 0, []
    for steps in at:
        while taken < steps:
            next(iterator)
            taken += 1
        checkpoint = tf.train.Checkpoint(iterator=iterator)
        saved.append(checkpoint.write(str(path / f"{steps}")))
    other, found = make(), []
    for prefix in saved:
        restored = iter(other)
        tf.train.Checkpoint(iterator=restored).read(prefix).assert_consumed()
        found.append([x.numpy().tobytes() for x, _ in restored])
    return found


@pytest.mark.parametrize("make", PIPELINES.values(), ids=PIPELINES)
def test_a_checkpoint_resumes_in_any_epoch(make, tmp_path):
    """In data this small a parallel map is at the epoch's end when we save."""

    def epochs():
        return make(7).repeat(EPOCHS)

    whole = stream(epochs())
    length = len(whole) // EPOCHS
    at = sorted({1, length, length + 1})  # in the first epoch, at its end, behind it
    assert resumed(epochs, at, tmp_path) == [whole[steps:] for steps in at]


IMAGES = tf.reshape(tf.range(16.0), [16, 1, 1, 1])


def images(mixer=MIXER, size=4, seed=1, values=IMAGES):
    dataset = tf.data.Dataset.from_tensor_slices((values, values[:, 0, 0]))
    return dataset.apply(tfmixup.two_streams(mixer, size, seed=seed)).repeat(2)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"seed": 2}, None),
        ({"mixer": tfmixup.MixUp(0.1, jit_compile=False)}, None),
        ({"values": IMAGES + 100}, None),
        ({"size": 5}, tf.errors.InvalidArgumentError),
        ({"mixer": tfmixup.CutMix()}, tf.errors.NotFoundError),
    ],
)
def test_a_checkpoint_in_another_pipeline(changed, error, tmp_path):
    """docs/guarantees.md says so; all data are in the shuffle buffer."""
    iterator = iter(images())
    next(iterator)
    prefix = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "c"))
    following = next(iterator)[0]

    def resume():
        restored = iter(images(**changed))
        tf.train.Checkpoint(iterator=restored).read(prefix)
        return next(restored)[0]

    if error is None:
        np.testing.assert_array_equal(resume(), following)
    else:
        with pytest.raises(error):
            resume()


@pytest.mark.parametrize("seed", [1, None])
def test_a_checkpoint_in_a_dataset_that_was_iterated_before(seed, tmp_path):
    iterator = iter(two_streams(seed).repeat(2))
    for _ in range(7):
        next(iterator)
    prefix = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "c"))
    used = two_streams(seed).repeat(2)
    list(used)
    next(iter(used))
    restored = iter(used)
    tf.train.Checkpoint(iterator=restored).read(prefix)
    want, got = ([x.numpy().tobytes() for x, _ in it] for it in (iterator, restored))
    assert got == want
    assert len(want) == 3


@pytest.mark.parametrize("in_memory", [False, True], ids=["filter", "memory"])
def test_a_balanced_stream_resumes(in_memory, tmp_path):
    labelled = tf.data.Dataset.from_tensor_slices((VALUES, LABELS))

    def make():
        made = tfmixup.class_balanced(labelled, 3, seed=1, in_memory=in_memory)
        return made.take(60)

    at = [1, 17, 50]
    assert resumed(make, at, tmp_path) == [stream(make())[steps:] for steps in at]


@pytest.mark.parametrize("make", [two_streams, from_tensors])
def test_a_checkpoint_is_small(make, tmp_path):
    """It has no empty places of a shuffle buffer, and no orders of examples."""
    if make is two_streams:
        dataset = two_streams(7, shuffle_buffer_size=1_000_000)
    else:
        many = tf.zeros([100_000, 1])
        dataset = from_tensors(7, tensors=(many, many))
    iterator = iter(dataset.repeat())
    next(iterator)
    tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "c"))
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 200_000


def test_a_mixer_that_is_mapped_refuses_a_checkpoint(tmp_path):
    batches = tf.data.Dataset.from_tensors((VALUES, VALUES))
    iterator = iter(batches.map(tfmixup.MixUp(0.2, jit_compile=False)))
    next(iterator)
    with pytest.raises(tf.errors.FailedPreconditionError, match="is stateful"):
        tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "c"))


EXAMPLE = pathlib.Path(__file__).parents[1] / "examples" / "resumable_training.py"


def start(out, data_dir):
    flags = ["--epochs", "6", "--save-every", "5", "--data-dir", data_dir]
    return subprocess.Popen(
        [sys.executable, EXAMPLE, "--out", out, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def weights(process):
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    return re.search(r"weights: (\w+)", out)[1], out


@pytest.mark.slow
def test_killed_and_started_again_ends_with_the_same_weights(tmp_path):
    """The example, killed without warning in the middle of an epoch."""
    pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("sklearn")
    data = tmp_path / "data"
    whole, _ = weights(start(tmp_path / "whole", data))
    # 22 steps an epoch: one is in the middle of the first, the other of the third.
    for step in (10, 50):
        process = start(tmp_path / "killed", data)
        for line in process.stdout:
            if line.startswith(f"step {step}:"):
                process.kill()
                break
        process.communicate()
        assert process.returncode == -9
    resumed, out = weights(start(tmp_path / "killed", data))
    assert re.search(r"goes on after step (50|55|60|65|70)", out)
    assert resumed == whole


@pytest.mark.parametrize("stage", ["in_batch", "two_streams"])
def test_a_shuffle_before_the_stage_goes_on_with_its_epochs(stage, tmp_path):
    def epochs():
        shuffled = source().shuffle(N, seed=3)
        if stage == "two_streams":
            mixed = two_streams(7, dataset=shuffled, shuffle_buffer_size=1)
        else:
            batches = shuffled.batch(BATCH, drop_remainder=True)
            mixed = batches.apply(tfmixup.in_batch(MIXER, seed=7))
        return mixed.repeat(EPOCHS)

    whole = stream(epochs())
    length = len(whole) // EPOCHS
    at = [1, length, length + 1]
    assert resumed(epochs, at, tmp_path) == [whole[steps:] for steps in at]
