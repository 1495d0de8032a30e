"""How often a dataset is read, and what the workers of a service read of it."""

import pytest
import tensorflow as tf

import tfmixup


@pytest.mark.parametrize(("known", "passes"), [(True, 2), (False, 3)])
def test_how_often_a_dataset_is_read(known, passes):
    """Of an unknown length, the second stream starts over once as the epoch ends."""
    reads = tf.Variable(0, dtype=tf.int64)

    def count(i):
        reads.assign_add(1)
        return tf.cast(i, tf.float32)[None], tf.zeros([1])

    source = tf.data.Dataset.range(40).filter(lambda i: True).map(count)
    if known:
        source = source.apply(tf.data.experimental.assert_cardinality(40))
    assert len(list(source.apply(tfmixup.two_streams(tfmixup.MixUp(1.0), 10)))) == 4
    assert int(reads) == 40 * passes


def test_two_workers_of_the_data_service_do_not_repeat_each_other():
    """Without a seed; with one, every worker yields the same, as tf.data has it."""
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    workers = [
        service.WorkerServer(
            service.WorkerConfig(dispatcher_address=dispatcher.target.split("://")[1])
        )
        for _ in range(2)
    ]
    values = tf.range(32, dtype=tf.float32)[:, None]
    dataset = (
        tf.data.Dataset.from_tensor_slices((values, values))
        .apply(tfmixup.two_streams(tfmixup.MixUp(1.0), 4))
        .apply(service.distribute("parallel_epochs", dispatcher.target))
    )
    batches = [x.tobytes() for _ in range(2) for x, _ in dataset.as_numpy_iterator()]
    assert len(batches) == 2 * len(workers) * 8
    assert len(set(batches)) == len(batches)
