"""Dense targets: integer masks, ignored pixels, depth maps, weights of pixels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup

JIT = [True, False]
N, H, W, C = 6, 7, 10, 4
IGNORED = 255
LAM = np.array([0.0, 0.125, 0.3, 0.5, 0.9, 1.0], np.float32)
MIXUP = tfmixup.MixUpParams(lam=tf.constant(LAM))
CENTRE = np.linspace(0.05, 0.95, 2 * N, dtype=np.float32).reshape(N, 2)
CUTMIX = tfmixup.CutMixParams(lam=tf.constant(LAM), centre=tf.constant(CENTRE))


def batch(seed, dtype=np.uint8, ignored=True, channel=False):
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 256, (N, H, W, 3), np.uint8)
    mask = draw.integers(0, C + ignored, (N, H, W))
    mask = np.where(mask == C, IGNORED, mask).astype(dtype)
    return x, mask[..., None] if channel else mask


def hot(mask):
    """(valid, one-hot with rows of zeros where ignored), from comparisons."""
    mask = np.asarray(mask, np.int64).reshape(N, H, W)
    return mask != IGNORED, (mask[..., None] == np.arange(C)).astype(np.float64)


def like(lam, rank):
    return lam.astype(np.float64).reshape([-1] + [1] * (rank - 1))


def pasted_where():
    """Which pixels CutMix pastes; test_cutmix.py tells that they are right."""
    zeros = np.zeros([N, H, W, 1], np.uint8)
    mixed, _ = tfmixup.CutMix().apply((zeros, LAM), (zeros + 1, LAM), CUTMIX)
    return mixed.numpy()[..., 0] == 1


INSIDE = pasted_where()


def pasted(first, second):
    inside = INSIDE.reshape(INSIDE.shape + (1,) * (np.ndim(first) - 3))
    return np.where(inside, second, first)


# Masks that are blended -------------------------------------------------------------


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("channel", [True, False])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "int64"])
def test_mixup_blends_one_hot_pixels(dtype, channel, jit):
    one, other = (batch(k, dtype, False, channel) for k in (1, 2))
    mixer = tfmixup.MixUp(num_classes=C, label_smoothing=0.1, jit_compile=jit)
    _, got = mixer.apply(one, other, MIXUP)
    lam = like(LAM, 4)
    want = lam * hot(one[1])[1] + (1 - lam) * hot(other[1])[1]
    assert (got.dtype, got.shape) == (tf.float32, (N, H, W, C))
    np.testing.assert_allclose(got, 0.9 * want + 0.1 / C, atol=1e-6)


def predictions(seed=5):
    logits = np.random.default_rng(seed).normal(size=(N, H, W, C))
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("label", [IGNORED, -1])
@pytest.mark.parametrize("epsilon", [0.0, 0.2])
def test_ignored_pixels_weigh_nothing_and_others_their_share(epsilon, label, jit):
    one, other = (batch(k, np.int32) for k in (1, 2))
    (v1, y1), (v2, y2) = hot(one[1]), hot(other[1])
    shifted = [(x, np.where(m == IGNORED, label, m)) for x, m in (one, other)]
    mixer = tfmixup.MixUp(
        num_classes=C, ignore_label=label, label_smoothing=epsilon, jit_compile=jit
    )
    _, y, weights = mixer.apply(*shifted, MIXUP)
    assert (weights.dtype, weights.shape) == (tf.float32, (N, H, W))
    loss = keras.losses.CategoricalCrossentropy(reduction="none")
    p = predictions()
    got = np.asarray(loss(y, p.astype(np.float32), sample_weight=weights))
    # λ·v_i·CE_i + (1 − λ)·v_j·CE_j, each cross-entropy by itself, in float64.
    smooth = [(1 - epsilon) * hot + epsilon / C for hot in (y1, y2)]
    ce = [-np.sum(hot * np.log(p), axis=-1) for hot in smooth]
    lam = like(LAM, 3)
    np.testing.assert_allclose(
        got, lam * v1 * ce[0] + (1 - lam) * v2 * ce[1], atol=1e-5
    )
    # Rows are distributions, or zeros where both are ignored; never a class of its own.
    sums = np.asarray(tf.reduce_sum(y, -1))
    some = (lam * v1 + (1 - lam) * v2) > 0
    np.testing.assert_allclose(sums, some, atol=1e-6)
    np.testing.assert_allclose(weights, lam * v1 + (1 - lam) * v2, atol=1e-6)


@pytest.mark.parametrize("mix", ["MixUp", "CutMix"])
@pytest.mark.parametrize("shape", [(N,), (N, 1), (N, H, W), (N, H, W, 1)])
def test_given_weights_are_multiplied_and_mixed(shape, mix):
    given = [np.random.default_rng(k).uniform(1, 2, shape).astype("f") for k in (3, 4)]
    one, other = batch(1), batch(2, channel=False)
    mixer = getattr(tfmixup, mix)(num_classes=C, ignore_label=IGNORED)
    params = MIXUP if mix == "MixUp" else CUTMIX
    got = mixer.apply((*one, given[0]), (*other, given[1]), params)[2]
    full = [
        np.broadcast_to(
            g.reshape(N, *(shape[1:3] if len(shape) > 2 else (1, 1))), (N, H, W)
        )
        for g in given
    ]
    a, b = (v * f for v, f in zip((hot(one[1])[0], hot(other[1])[0]), full))
    lam = like(LAM, 3)
    want = lam * a + (1 - lam) * b if mix == "MixUp" else pasted(a, b)
    np.testing.assert_allclose(got, want, atol=1e-6)


# Masks that are pasted --------------------------------------------------------------


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("channel", [True, False])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "uint16"])
def test_cutmix_pastes_masks_as_the_image(dtype, channel, jit):
    one, other = (batch(k, dtype, True, channel) for k in (1, 2))
    arguments = {"num_classes": C, "ignore_label": IGNORED, "jit_compile": jit}
    want = pasted(one[1], other[1])
    mixer = tfmixup.CutMix(integer_masks=True, **arguments)
    x, got, weights = mixer.apply(one, other, CUTMIX)
    assert (got.dtype, got.shape) == (dtype, one[1].shape)
    np.testing.assert_array_equal(x, pasted(one[0], other[0]))
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(weights, hot(want)[0])
    _, got, weights = tfmixup.CutMix(**arguments).apply(one, other, CUTMIX)
    np.testing.assert_array_equal(got, hot(want)[1])
    np.testing.assert_array_equal(weights, hot(want)[0])
    off = tfmixup.CutMix(0, integer_masks=True, **arguments)
    np.testing.assert_array_equal(off(*one)[1], one[1])


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("unknown", [True, False])
def test_depth_one_hot_weights_and_labels_in_one_element(unknown, jit):
    def element(seed):
        draw = np.random.default_rng(seed)
        dense = {
            "depth": draw.normal(size=(N, H, W)).astype("f"),
            "hot": draw.normal(size=(N, H, W, C)).astype("f"),
            "label": np.eye(C, dtype="f")[draw.integers(0, C, N)],
            "angle": draw.normal(size=N).astype("f"),
        }
        return batch(seed)[0], dense, draw.uniform(size=(N, H, W)).astype("f")

    # The function of a pipeline whose spec does not know height and width.
    mixer = tfmixup.CutMix(jit_compile=jit)
    call = mixer.apply
    if unknown:
        spec = tf.nest.map_structure(
            lambda t: tf.TensorSpec([None] * t.ndim, t.dtype), element(1)
        )
        call = tf.function(lambda a, b: mixer.apply(a, b, CUTMIX), [spec, spec])
    one, other = element(1), element(2)
    x, y, w = call(one, other) if unknown else call(one, other, CUTMIX)
    np.testing.assert_array_equal(x, pasted(one[0], other[0]))
    np.testing.assert_array_equal(w, pasted(one[2], other[2]))
    for key in ("depth", "hot"):
        np.testing.assert_array_equal(y[key], pasted(one[1][key], other[1][key]))
    kept = 1 - INSIDE.mean(axis=(1, 2))
    for key in ("label", "angle"):
        a, b = one[1][key], other[1][key]
        share = like(kept, a.ndim)
        np.testing.assert_allclose(y[key], share * a + (1 - share) * b, atol=1e-6)


def test_video_with_a_mask_for_every_frame():
    draw = np.random.default_rng(0)
    x = [draw.integers(0, 256, (N, H, H, W, 1), np.uint8) for _ in range(2)]  # T = H
    for shape in ((N, H, H, W), (N, H, H, W, 1)):
        mask = [draw.integers(0, C, shape) for _ in range(2)]
        mixer = tfmixup.CutMix(num_classes=C, integer_masks=True)
        _, got = mixer.apply((x[0], mask[0]), (x[1], mask[1]), CUTMIX)
        inside = INSIDE[:, None].reshape(N, 1, H, W, *shape[4:])
        np.testing.assert_array_equal(got, np.where(inside, mask[1], mask[0]))


# Pipelines and training -------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "name"),
    [("tuple", "MixUp"), ("dict", "MixUp"), ("dict", "CutMix"), ("tuple", "ResizeMix")],
)
def test_pipelines_of_images_and_masks(form, name):
    x, mask = batch(1, channel=True)
    ds = tf.data.Dataset.from_tensor_slices((x, mask))
    key = {"target_keys": ("mask",)}
    if form == "dict":
        ds = ds.map(lambda x, m: {"image": x, "mask": m, "id": b"a"})
    mixer = getattr(tfmixup, name)(num_classes=C, ignore_label=IGNORED, **key)
    routes = {
        "two_streams": ds.apply(
            tfmixup.two_streams(mixer, 4, keep_originals=True, drop_remainder=False)
        ),
        "in_batch": ds.batch(4).apply(tfmixup.in_batch(mixer)),
        "map": ds.batch(4).map(mixer),
        "static": ds.batch(3, drop_remainder=True).apply(tfmixup.in_batch(mixer)),
    }
    for route, mixed in routes.items():
        sizes = []
        for element in mixed.as_numpy_iterator():
            if form == "dict":
                assert set(element) == {"image", "mask", "id", "sample_weight"}
                element = [element[k] for k in ("image", "mask", "sample_weight")]
            image, y, weights = element
            sizes.append(len(image))
            assert (y.shape[1:], weights.shape[1:]) == ((H, W, C), (H, W))
            np.testing.assert_allclose(y.sum(-1), weights > 0, atol=1e-6)
        want = {"two_streams": [4, 4, 2, 2], "static": [3, 3]}
        assert sizes == want.get(route, [4, 2])
        spec = tf.nest.flatten(mixed.element_spec)
        assert all(s.shape.is_fully_defined() for s in spec) or route != "static"


def network(seed=0):
    start = keras.initializers.GlorotUniform(seed=seed)
    layer = keras.layers.Conv2D(C, 1, activation="softmax", kernel_initializer=start)
    return keras.Sequential([keras.layers.Rescaling(1 / 255), layer])


def test_fit_trains_on_the_sum_of_both_losses():
    one, other = batch(1), batch(2)
    mixer = tfmixup.MixUp(num_classes=C, ignore_label=IGNORED)
    mixed = mixer.apply(one, other, MIXUP)
    model = network()
    before = [w.numpy() for w in model.build((None, H, W, 3)) or model.weights]
    model.compile(keras.optimizers.SGD(1.0), "categorical_crossentropy")
    history = model.fit(tf.data.Dataset.from_tensors(mixed), verbose=0).history

    by_hand = network()
    by_hand.build((None, H, W, 3))
    by_hand.set_weights(before)
    lam = like(LAM, 3).astype("f")
    with tf.GradientTape() as tape:
        p = by_hand(mixed[0])
        parts = []
        for (_, mask), share in ((one, lam), (other, 1 - lam)):
            valid = mask != IGNORED
            ids = np.where(valid, mask, 0)
            ce = keras.losses.sparse_categorical_crossentropy(ids, p)
            parts.append(tf.reduce_mean(ce * valid * share))
        loss = sum(parts)
    np.testing.assert_allclose(history["loss"][0], loss, rtol=1e-4)
    gradients = tape.gradient(loss, by_hand.trainable_variables)
    for after, start, gradient in zip(model.get_weights(), before, gradients):
        np.testing.assert_allclose(after, start - gradient, atol=1e-5)


def test_fit_on_integer_masks_with_ignore_class():
    x, mask = batch(1)
    mixer = tfmixup.CutMix(num_classes=C, ignore_label=IGNORED, integer_masks=True)
    mixed = mixer.apply((x, mask), batch(2), CUTMIX)
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=IGNORED)
    model.compile(keras.optimizers.SGD(0.0), loss)
    got = model.fit(tf.data.Dataset.from_tensors(mixed), verbose=0).history["loss"][0]
    p = np.asarray(model(mixed[0]), np.float64)
    valid, y = hot(mixed[1])
    # Keras then takes the mean over the valid pixels.
    want = -(y * np.log(p)).sum() / valid.sum()
    np.testing.assert_allclose(got, want, rtol=1e-4)
    assert not valid.all()
