"""tf.data service: what every sharding delivers, and what a killed worker costs.

Workers are processes of their own, as the example starts them.
"""

import collections
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.distributed.many_runs import EXAMPLE, load_example, many_runs

EXAMPLES, BATCH = 96, 4
BATCHES = EXAMPLES // BATCH
SERVICE = tf.data.experimental.service
POLICY = SERVICE.ShardingPolicy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def example():
    return load_example()


@pytest.fixture(scope="module")
def cluster(example):
    with example.local_cluster(workers=2) as running:
        yield running


def unit_vectors(n=EXAMPLES):
    """Example k is the k-th unit vector: a mixed row tells its two examples and λ."""
    return tf.data.Dataset.range(n).map(lambda k: (tf.one_hot(k, n), tf.one_hot(k, n)))


def replace_a_worker(cluster):
    """Kills one without warning and starts another at its address."""
    port, worker = next(iter(cluster.workers.items()))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    cluster.start_worker(port)


def two_streams(dataset, seed):
    return dataset.apply(tfmixup.two_streams(tfmixup.MixUp(1.0), BATCH, seed=seed))


def in_batch(dataset, seed):
    shuffle_seed = None if seed is None else 1
    batches = dataset.shuffle(EXAMPLES, seed=shuffle_seed).batch(
        BATCH, drop_remainder=True
    )
    return batches.apply(tfmixup.in_batch(tfmixup.MixUp(1.0), seed=seed))


PIPELINES = {"two_streams": two_streams, "in_batch": in_batch}
each_pipeline = pytest.mark.parametrize("pipeline", PIPELINES)


def epochs(cluster, pipeline, policy, seed=None, n=2):
    """The batches of each epoch, as the workers deliver them."""
    dataset = PIPELINES[pipeline](unit_vectors(), seed)
    dataset = dataset.apply(SERVICE.distribute(policy, cluster.dispatcher))
    return [[x for x, _ in dataset.as_numpy_iterator()] for _ in range(n)]


def mass(batches):
    """How much of every example is in some batches: 1 where it is seen once."""
    return np.concatenate(batches).sum(axis=0)


def distinct(batches):
    return len({batch.tobytes() for batch in batches})


@each_pipeline
def test_off_without_a_seed_every_worker_mixes_its_own_pass(cluster, pipeline):
    first, second = epochs(cluster, pipeline, POLICY.OFF)
    assert len(first) == len(second) == 2 * BATCHES
    assert distinct(first + second) == 4 * BATCHES
    # In a pass an example has a place in each stream: more than 0, at most 2.
    total = mass(first)
    assert total.sum() == pytest.approx(2 * EXAMPLES, rel=1e-4)
    assert total.min() > 0
    assert total.max() <= 4


def test_off_with_a_seed_every_worker_sends_the_same(cluster):
    """What docs/guarantees.md warns of; of tf.data's making, not of ours."""
    first, second = epochs(cluster, "two_streams", POLICY.OFF, seed=1)
    counts = collections.Counter(batch.tobytes() for batch in first)
    assert set(counts.values()) == {2}
    assert {batch.tobytes() for batch in second} == set(counts)


@pytest.mark.parametrize("seed", [None, 1])
@each_pipeline
def test_dynamic_no_example_is_seen_more_often_than_in_one_pass(
    cluster, pipeline, seed
):
    for batches in epochs(cluster, pipeline, POLICY.DYNAMIC, seed):
        # Each worker drops a remainder.
        assert BATCHES - 2 <= len(batches) <= BATCHES
        assert distinct(batches) == len(batches)
        # First once, with λ. Second, with 1 − λ, once too, or once on each worker.
        assert mass(batches).max() < (3 if pipeline == "two_streams" else 2)


def test_few_files_of_which_a_worker_may_get_none():
    for run in many_runs(6, seed=1):
        assert not run.error
        assert run.repeated == 0
        if run.event == "none":
            assert (run.hung, run.lost) == (False, 0)
        # Readers wait at a dead worker's address until somebody answers there.
        assert not run.hung or run.went_on
        assert not run.hung or run.event == "killed, not replaced"


def test_a_worker_killed_and_replaced(example):
    """Off: what is lost is the rest of the dead worker's pass, and nothing else."""
    with example.local_cluster(workers=2) as cluster:
        dataset = two_streams(unit_vectors(), None).repeat(40)
        dataset = dataset.apply(SERVICE.distribute(POLICY.OFF, cluster.dispatcher))
        iterator = iter(dataset)
        before = [next(iterator)[0].numpy() for _ in range(50)]
        replace_a_worker(cluster)
        after = [x.numpy() for x, _ in iterator]
    # The survivor's 40 passes, all of the newcomer's, and what the dead one sent.
    assert len(after) >= 2 * 40 * BATCHES - 50
    assert distinct(before + after) == len(before + after)
    assert np.isfinite(mass(after)).all()


def test_a_worker_killed_under_dynamic_sharding(example):
    """Its shards are lost; training goes on to the end of the epoch."""
    with example.local_cluster(workers=2) as cluster:
        n = 2000
        dataset = two_streams(unit_vectors(n), None)
        dataset = dataset.apply(SERVICE.distribute(POLICY.DYNAMIC, cluster.dispatcher))
        iterator = iter(dataset)
        batches = [next(iterator)[0].numpy() for _ in range(20)]
        replace_a_worker(cluster)
        batches += [x.numpy() for x, _ in iterator]
    assert 20 < len(batches) <= n // BATCH
    assert mass(batches).max() < 4  # first once, and second on each of three workers


def test_nothing_that_was_started_is_left(example):
    with example.local_cluster(workers=1) as cluster:
        processes = list(cluster.workers.values())
        assert all(process.poll() is None for process in processes)
    assert all(process.poll() is not None for process in processes)


def test_the_example_trains(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("sklearn")
    arguments = ["--epochs", "2", "--limit", "256", "--sharding", "dynamic"]
    done = subprocess.run(
        [sys.executable, EXAMPLE, *arguments, "--data-dir", tmp_path / "data"],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Epoch 2/2" in done.stdout
    assert "test accuracy 0." in done.stdout.splitlines()[-1]
    assert "the workers shared each pass" in done.stdout.splitlines()[-1]
    assert "ran out of data" not in done.stderr
