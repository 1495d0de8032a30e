"""Dynamic sharding by tf.data service, with its servers in this process."""

import threading

import numpy as np
import pytest
import tensorflow as tf

import tfmixup

N, BATCH = 48, 4
SERVICE = tf.data.experimental.service
MIXER = tfmixup.MixUp(1.0, num_classes=N, targets="pair")


@pytest.fixture(scope="module")
def service():
    dispatcher = SERVICE.DispatchServer()
    address = dispatcher.target.split("://")[1]
    config = SERVICE.WorkerConfig(address, heartbeat_interval_ms=100)
    workers = [SERVICE.WorkerServer(config) for _ in range(2)]
    yield dispatcher.target
    del workers


def files(number):
    """Examples that are shared out by whole files, of unknown number."""
    each = N // number
    numbers = tf.data.Dataset.range(number).flat_map(
        lambda file: tf.data.Dataset.range(file * each, (file + 1) * each)
    )
    return numbers.map(lambda k: (tf.cast(k, tf.float32)[None], k))


ROWS = tf.data.Dataset.from_tensor_slices((np.zeros([N, 1], "float32"), np.arange(N)))
SOURCES = {
    "one file": lambda: files(1),
    "one cached file": lambda: files(1).cache(),
    "two files": lambda: files(2),
    "rows": lambda: ROWS,
}


def pairs(mixed, service):
    """First and second examples of an epoch, as the two workers send them."""
    policy = SERVICE.ShardingPolicy.DYNAMIC
    dataset = mixed.apply(SERVICE.distribute(policy, service))
    batches = []

    def read():
        batches.extend(y for _, y in dataset.as_numpy_iterator())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(120)
    assert not reader.is_alive(), "the epoch has no end"
    return [np.concatenate([y[k] for y in batches]).argmax(1) for k in (0, 1)]


@pytest.mark.parametrize("source", SOURCES)
def test_each_example_is_first_once(service, source):
    stage = tfmixup.two_streams(MIXER, BATCH, drop_remainder=False)
    first, second = pairs(SOURCES[source]().apply(stage), service)
    assert sorted(first) == list(range(N))
    # Twice at most: each worker takes partners from a pass of its own.
    assert np.bincount(second).max() <= 2


def test_a_partner_that_is_shorter_is_repeated(service):
    few = files(1).take(BATCH).cache()
    stage = tfmixup.two_streams(MIXER, BATCH, partner=few)
    first, second = pairs(files(2).apply(stage), service)
    assert sorted(first) == list(range(N))
    assert sorted(second) == sorted([*range(BATCH)] * (N // BATCH))


def test_in_batch(service):
    batches = files(2).cache().shuffle(N).batch(BATCH)
    first, second = pairs(batches.apply(tfmixup.in_batch(MIXER)), service)
    assert sorted(first) == sorted(second) == list(range(N))
