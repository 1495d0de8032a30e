"""Run as a process by test_strategies.py: one part of a distributed job.

Prints one line of JSON. Example k is the k-th unit vector, so that a mixed row tells
which examples are in it, and how much of each.
"""

import json
import os
import sys

import numpy as np
import tensorflow as tf

EXAMPLES, GLOBAL_BATCH = 48, 8


def unit_vectors():
    dataset = tf.data.Dataset.range(EXAMPLES)
    return dataset.map(lambda k: (tf.one_hot(k, EXAMPLES), tf.one_hot(k, EXAMPLES)))


def mixed(dataset, batch_size, seed):
    import tfmixup

    return dataset.apply(tfmixup.two_streams(tfmixup.MixUp(1.0), batch_size, seed=seed))


def per_replica(strategy, distributed):
    """[[rows of replica 0, rows of replica 1, ...] of each batch]."""
    return [
        [row.numpy().tolist() for row in strategy.experimental_local_results(x)]
        for x, _ in distributed
    ]


def static_shapes(distributed):
    specs = tf.nest.flatten(distributed.element_spec, expand_composites=True)
    return [spec.shape.as_list() for spec in specs]


def two_cpus():
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    return tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])


def in_the_model(strategy):
    """What each replica mixes in five steps of MixingModel, on batches of their own."""
    import keras

    import tfmixup

    seen = []

    def keep(y_true, y_pred):
        tf.py_function(lambda y: seen.append(y.numpy().tolist()), [y_true], [])
        return tf.reduce_mean(y_pred, axis=-1)

    with strategy.scope():
        x = keras.Input([EXAMPLES])
        hidden = keras.layers.Dense(4, name="hidden")(x)
        model = keras.Model(x, keras.layers.Dense(EXAMPLES)(hidden))
        mixer = tfmixup.MixUp(1.0, num_classes=EXAMPLES, per="batch")
        trainer = tfmixup.keras.MixingModel(model, mixer, at="hidden", seed=1)
        trainer.compile("sgd", keep)
    ids = tf.data.Dataset.range(EXAMPLES)
    batches = ids.map(lambda k: (tf.one_hot(k, EXAMPLES), k)).batch(GLOBAL_BATCH, True)
    trainer.fit(batches, epochs=1, verbose=0, shuffle=False)
    steps = int(trainer.mixing_state.numpy()[1])
    return {"labels": seen, "steps": steps}


def mirrored(how):
    """MirroredStrategy on two logical CPUs."""
    import keras

    import tfmixup

    strategy = two_cpus()
    if how == "fit":
        with strategy.scope():
            keras.utils.set_random_seed(1)
            model = keras.Sequential(
                [
                    keras.layers.Input([EXAMPLES]),
                    keras.layers.Dense(EXAMPLES, activation="softmax"),
                ]
            )
            model.compile(
                keras.optimizers.SGD(1.0),
                "categorical_crossentropy",
                metrics=[tfmixup.keras.MixedAccuracy()],
            )
        history = model.fit(
            mixed(unit_vectors(), GLOBAL_BATCH, 1),
            epochs=3,
            shuffle=False,
            verbose=0,
        ).history
        return {"loss": history["loss"], "accuracy": history["mixed_accuracy"]}
    if how == "in_the_model":
        return in_the_model(strategy)
    if how == "distribute_dataset":
        whole = mixed(unit_vectors(), GLOBAL_BATCH, 1)
        distributed = strategy.experimental_distribute_dataset(whole)
    else:

        def pipeline(context):
            shard = unit_vectors().shard(
                context.num_input_pipelines, context.input_pipeline_id
            )
            size = context.get_per_replica_batch_size(GLOBAL_BATCH)
            return mixed(shard, size, 1 + context.input_pipeline_id)

        distributed = strategy.distribute_datasets_from_function(pipeline)
    return {
        "shapes": static_shapes(distributed),
        "batches": per_replica(strategy, distributed),
    }


def multi_worker(how):
    """MultiWorkerMirroredStrategy: this process is one of the workers in TF_CONFIG."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    if how == "fit":
        return fit(strategy)
    if how == "shard_after_shuffle":
        # tf.data's own sharding by DATA puts the shard behind the unseeded shuffles.
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        whole = mixed(unit_vectors(), GLOBAL_BATCH, None).with_options(options)
        distributed = strategy.experimental_distribute_dataset(whole)
        return {"batches": per_replica(strategy, distributed)}

    def pipeline(context):
        # Sharded before anything is shuffled, and a seed for each pipeline.
        shard = unit_vectors().shard(
            context.num_input_pipelines, context.input_pipeline_id
        )
        size = context.get_per_replica_batch_size(GLOBAL_BATCH)
        # Endless, so that nobody has to ask whether the others are at the end, which
        # would make the batch size unknown.
        return mixed(shard, size, 1 + context.input_pipeline_id).repeat()

    distributed = strategy.distribute_datasets_from_function(pipeline)
    with strategy.scope():
        weights = tf.Variable(tf.zeros([EXAMPLES, EXAMPLES]))

    @tf.function
    def step(batch):
        def replica(x, y):
            with tf.GradientTape() as tape:
                loss = tf.nn.softmax_cross_entropy_with_logits(y, x @ weights)
                loss = tf.reduce_sum(loss) / GLOBAL_BATCH
            gradient = tape.gradient(loss, weights)
            context = tf.distribute.get_replica_context()
            weights.assign_sub(context.all_reduce("SUM", gradient))
            return loss

        losses = strategy.run(replica, args=batch)
        return strategy.reduce("SUM", losses, axis=None)

    losses, batches = [], []
    iterator = iter(distributed)
    for _ in range(EXAMPLES // GLOBAL_BATCH):
        batch = next(iterator)
        losses.append(float(step(batch)))
        batches.append(
            [x.numpy().tolist() for x in strategy.experimental_local_results(batch[0])]
        )
    return {
        "shapes": static_shapes(distributed),
        "batches": batches,
        "loss": losses,
        "weights": float(np.abs(weights.numpy()).sum()),
    }


def fit(strategy):
    """What Keras says to `model.fit` under this strategy."""
    import keras

    with strategy.scope():
        model = keras.Sequential(
            [keras.layers.Input([EXAMPLES]), keras.layers.Dense(2)]
        )
        model.compile("sgd", "mse")
    data = unit_vectors().map(lambda x, y: (x, y[:2])).batch(GLOBAL_BATCH)
    try:
        model.fit(data, epochs=1, verbose=0)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    return {"error": None}


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(
        json.dumps(
            {"mirrored": mirrored, "multi": multi_worker}[sys.argv[1]](sys.argv[2])
        )
    )
