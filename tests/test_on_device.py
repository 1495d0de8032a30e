"""The mixer inside a compiled training step, as on an accelerator."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup

BATCH, CLASSES, SEED = 8, 5, [7, 11]
MIXER = tfmixup.MixUp(0.4, num_classes=CLASSES)


def batch(seed=0):
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (BATCH, 6, 4, 1), np.uint8)
    return tf.constant(images), tf.constant(draw.integers(0, CLASSES, BATCH))


def forms():
    def alone(seed):
        return MIXER(*batch(), seed=seed)

    def pair(seed):
        return MIXER.pair(batch(0), batch(1), seed=seed)

    return {"in_batch": alone, "pair": pair}


@pytest.mark.parametrize("form", forms())
def test_compiled_on_the_device_and_in_the_host_pipeline_alike(form):
    mix = forms()[form]
    compiled = tf.function(mix, jit_compile=True)
    seed = tf.constant(SEED)
    on_device = compiled(seed)
    on_host = next(iter(tf.data.Dataset.from_tensors(seed).map(compiled)))
    for mine, theirs in zip(on_device, on_host):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(on_device, mix(seed)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-4)
    x, y = (np.asarray(part, np.float64) for part in on_device)
    first, second = batch(0), batch(1 if form == "pair" else 0)
    lam = y[np.arange(BATCH), first[1]]
    assert np.all((lam > 0) & (lam <= 1))
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)
    if form == "pair":
        differ = first[1] != second[1]
        assert np.sum(differ) >= 4
        scale = lam[:, None, None, None]
        want = scale * first[0].numpy() + (1 - scale) * second[0].numpy()
        np.testing.assert_allclose(x[differ], want[differ], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("way", ["call", "pair"])
def test_without_a_seed_every_compiled_call_draws_anew(way):
    def mix():
        return MIXER(*batch()) if way == "call" else MIXER.pair(batch(0), batch(1))

    compiled = tf.function(mix, jit_compile=True)
    images = [compiled()[0].numpy().tobytes() for _ in range(5)]
    assert len(set(images)) == 5


def test_other_seeds_other_batches():
    mix = tf.function(forms()["in_batch"], jit_compile=True)
    first, second = (mix(tf.constant([1, k]))[0] for k in (1, 2))
    assert np.any(first.numpy() != second.numpy())


class Recording(keras.Model):
    """Mixes in its training step, and keeps the last mixed batch."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.step = tf.Variable(0, dtype=tf.int32, trainable=False)
        self.images = tf.Variable(tf.zeros([BATCH, 6, 4, 1]), trainable=False)

    def call(self, x, training=None):
        return self.model(x, training=training)

    def train_step(self, data):
        self.step.assign_add(1)
        seed = tf.stack([SEED[0], self.step])
        mixed = MIXER(*data, seed=seed)
        self.images.assign(mixed[0])
        return super().train_step(mixed)


@pytest.mark.slow
@pytest.mark.parametrize("jit", [True, False])
def test_a_training_step_that_mixes(jit):
    network = keras.Sequential(
        [keras.layers.Flatten(), keras.layers.Dense(CLASSES, activation="softmax")]
    )
    model = Recording(network)
    model.compile("sgd", "categorical_crossentropy", jit_compile=jit)
    images, labels = batch()
    data = tf.data.Dataset.from_tensors((images, labels)).repeat(3)
    model.fit(data, epochs=1, verbose=0, shuffle=False)

    @tf.function(jit_compile=jit)
    def host(seed):
        return MIXER(images, labels, seed=seed)

    np.testing.assert_array_equal(
        model.images.numpy(), host(tf.constant([SEED[0], 3]))[0]
    )


def ops_of(dataset):
    """Every op of a pipeline's graph and of its functions.

    Serialising refuses (policy 2) whatever lives outside the graph.
    """
    variant = tf.data.experimental.to_variant(dataset)
    graph = tf.compat.v1.GraphDef.FromString(
        tf.raw_ops.DatasetToGraphV2(
            input_dataset=variant, external_state_policy=2
        ).numpy()
    )
    functions = [node for f in graph.library.function for node in f.node_def]
    return {node.op for node in [*graph.node, *functions]}


@pytest.mark.parametrize("mixer", [MIXER, tfmixup.CutMix(1.0, num_classes=CLASSES)])
def test_what_a_hosts_pipeline_is_made_of(mixer):
    """No Python, no stateful random op, nothing that another process would not have."""
    images, labels = batch()
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    mixed = dataset.apply(tfmixup.two_streams(mixer, 4, seed=1))
    ops = ops_of(mixed)
    assert any("Zip" in op for op in ops)
    assert not {op for op in ops if "PyFunc" in op or "NumpyFunc" in op}
    stateful = {"RandomUniform", "RandomStandardNormal", "RandomGamma", "RandomShuffle"}
    assert not ops & {*stateful, "RandomUniformInt", "Multinomial"}
    for spec in tf.nest.flatten(mixed.element_spec):
        assert spec.shape.is_fully_defined()
