"""Mixing for some epochs and plain data for the last ones, in one resumable stream."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup

N, BATCH, MIXED, PLAIN = 12, 4, 2, 2
VALUES = np.arange(N, dtype="float32")[:, None]
MIXER = tfmixup.MixUp(1.0)


def two_streams(mixer):
    source = tf.data.Dataset.from_tensor_slices((VALUES, VALUES))
    return source.apply(tfmixup.two_streams(mixer, BATCH, seed=1))


def in_batch(mixer):
    source = tf.data.Dataset.from_tensor_slices((VALUES, VALUES)).shuffle(N, seed=2)
    batches = source.batch(BATCH, drop_remainder=True)
    return batches.apply(tfmixup.in_batch(mixer, seed=1))


def schedule(make):
    return make(MIXER).repeat(MIXED).concatenate(make(MIXER.off()).repeat(PLAIN))


@pytest.mark.parametrize("make", [two_streams, in_batch])
def test_the_last_epochs_are_plain_and_a_checkpoint_resumes_across(make, tmp_path):
    whole = [x for x, _ in schedule(make).as_numpy_iterator()]
    per_epoch = N // BATCH
    assert len(whole) == len(schedule(make)) == (MIXED + PLAIN) * per_epoch
    epochs = np.array(whole).reshape(MIXED + PLAIN, N)
    for epoch in epochs[:MIXED]:
        assert not np.isin(epoch, VALUES).all()
    for epoch in epochs[MIXED:]:
        np.testing.assert_array_equal(np.sort(epoch), VALUES[:, 0])
    assert len({epoch.tobytes() for epoch in epochs}) == MIXED + PLAIN
    # Before the switch, at it, and after it; in data this small a parallel map has come
    # to the end of its epoch when we save.
    for steps in (4, 6, 8):
        iterator = iter(schedule(make))
        for _ in range(steps):
            next(iterator)
        saved = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "c"))
        restored = iter(schedule(make))
        tf.train.Checkpoint(iterator=restored).read(saved).assert_consumed()
        rest = [x.numpy() for x, _ in restored]
        np.testing.assert_array_equal(rest, whole[steps:])


class Seen(keras.callbacks.Callback):
    """Counts the batches of every epoch."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.append(0)

    def on_train_batch_end(self, batch, logs=None):
        self.batches[-1] += 1


def test_fit_reads_the_schedule_epoch_by_epoch_and_two_fits_count_on():
    network = keras.Sequential([keras.layers.Dense(1)])
    network.compile("sgd", "mse")
    seen = Seen()
    options = {"shuffle": False, "verbose": 0, "callbacks": [seen]}
    network.fit(
        schedule(two_streams),
        epochs=MIXED + PLAIN,
        steps_per_epoch=N // BATCH,
        **options,
    )
    assert seen.batches == [3, 3, 3, 3]
    network.fit(two_streams(MIXER), epochs=MIXED, **options)
    plain = two_streams(MIXER.off())
    history = network.fit(plain, initial_epoch=MIXED, epochs=MIXED + PLAIN, **options)
    assert seen.batches == [3] * 8
    assert history.epoch == [2, 3]
