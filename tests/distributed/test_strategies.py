"""tf.distribute: shapes, shares and randomness of each replica.

Each job is one process, or two that speak over the loopback interface.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.distributed.strategies import EXAMPLES, GLOBAL_BATCH

ROOT = pathlib.Path(__file__).parents[2]
STEPS = EXAMPLES // GLOBAL_BATCH

pytestmark = pytest.mark.slow


def start(kind, how, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.distributed.strategies", kind, how],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process):
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-2000:]
    return json.loads(out.splitlines()[-1])


def workers(how):
    """What two workers of a MultiWorkerMirroredStrategy print."""
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            ports.append(probe.getsockname()[1])
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    jobs = [
        start(
            "multi",
            how,
            TF_CONFIG=json.dumps(
                {"cluster": cluster, "task": {"type": "worker", "index": index}}
            ),
        )
        for index in range(2)
    ]
    try:
        return [result(job) for job in jobs]
    finally:
        for job in jobs:
            job.kill()


def rows(batches):
    return np.array(batches).reshape(-1, EXAMPLES)


def pairs(table):
    """The pair of examples of every row, as far as λ is not 0 or 1."""
    return [tuple(np.flatnonzero(row)) for row in table]


@pytest.mark.parametrize("how", ["distribute_dataset", "from_function"])
def test_mirrored_replicas(how):
    job = result(start("mirrored", how))
    size = GLOBAL_BATCH // 2
    assert job["shapes"] == [[size, EXAMPLES]] * 4  # x and y of two replicas
    replicas = [rows([batch[k] for batch in job["batches"]]) for k in range(2)]
    assert [len(table) for table in replicas] == [EXAMPLES // 2] * 2
    # λ: the k-th row of one replica has nothing to do with the k-th of the other.
    lam = [np.sort(table.max(axis=1)) for table in replicas]
    assert not np.intersect1d(*lam).size
    assert not set(pairs(replicas[0])) & set(pairs(replicas[1]))
    # Every example once in each stream.
    total = np.concatenate(replicas)
    assert np.all((total > 0).sum(axis=0) <= 2)
    assert np.all((total > 0).sum(axis=0) >= 1)


def test_mirrored_fit():
    job = result(start("mirrored", "fit"))
    assert len(job["loss"]) == 3
    assert np.isfinite(job["loss"]).all()
    assert job["loss"][2] < job["loss"][0]


def test_mixing_in_the_model_of_replicas():
    """One λ for a replica's batch; each replica and each step has another."""
    job = result(start("mirrored", "in_the_model"))
    assert job["steps"] == STEPS
    tables = [np.array(labels) for labels in job["labels"]]
    assert [table.shape for table in tables] == [(GLOBAL_BATCH // 2, EXAMPLES)] * 12
    lam = [np.unique(np.round(table.max(axis=1), 5)) for table in tables]
    assert all(values.size == 1 for values in lam)
    assert np.unique(np.concatenate(lam)).size == 12


def test_two_workers_with_a_shard_each():
    jobs = workers("shard_before_shuffle")
    size = GLOBAL_BATCH // 2
    tables = [rows(job["batches"]) for job in jobs]
    for index, (job, table) in enumerate(zip(jobs, tables)):
        assert job["shapes"] == [[size, EXAMPLES]] * 2
        assert table.shape == (EXAMPLES // 2, EXAMPLES)
        # Its own examples, twice each (a stream each), and none of the other's.
        seen = np.flatnonzero(table.sum(axis=0))
        assert seen.tolist() == list(range(index, EXAMPLES, 2))
        assert np.all((table > 0).sum(axis=0) <= 2)
    assert not np.intersect1d(tables[0].max(axis=1), tables[1].max(axis=1)).size
    # One model: both workers see the same global losses and end with the same weights.
    assert jobs[0]["loss"] == jobs[1]["loss"]
    assert jobs[0]["weights"] == jobs[1]["weights"]
    assert jobs[0]["loss"][0] == pytest.approx(np.log(EXAMPLES), rel=1e-5)


def test_two_workers_sharded_after_an_unseeded_shuffle_lose_and_repeat_examples():
    """Why docs say to shard first: each worker shuffles in its own way."""
    tables = [rows(job["batches"]) for job in workers("shard_after_shuffle")]
    times = (np.concatenate(tables) > 0).sum(axis=0)
    # A place in each of two streams is what every example should have. That 48 examples
    # all do by chance is less likely than 1e-9.
    assert times.max() > 2
    assert times.min() < 2


def test_keras_fit_under_two_workers_is_as_docs_say():
    """A custom loop is the way as long as this holds."""
    errors = [job["error"] for job in workers("fit")]
    assert all(error and "PerReplica" in error for error in errors), errors
