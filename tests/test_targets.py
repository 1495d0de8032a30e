"""What targets become: unions, integer masks, depth maps, weights of pixels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.reference import assert_close, blend, mixed, one_hot, per_example

JIT = [True, False]
N, H, W, C = 6, 7, 10, 4
IGNORED = 255
LAM = np.array([0.0, 1e-6, 0.3, 0.5, 0.999, 1.0], np.float32)
MIXUP = tfmixup.MixUpParams(lam=tf.constant(LAM))
CENTRE = np.linspace(0.05, 0.95, 2 * N, dtype=np.float32).reshape(N, 2)
AREA = tf.constant([0.0, 0.125, 0.3, 0.5, 0.9, 1.0])
CUTMIX = tfmixup.CutMixParams(lam=AREA, centre=tf.constant(CENTRE))
X = (np.zeros([N, 4], np.float32), np.ones([N, 4], np.float32))


# Unions of labels -------------------------------------------------------------------


def union(first, second, lam):
    """Example by example: what one hears of the two."""
    rows = []
    for one, other, share in zip(first, second, np.broadcast_to(lam, N)):
        heard = ([one] if share > 0 else []) + ([other] if share < 1 else [])
        rows.append(np.max(heard, axis=0))
    return np.stack(rows)


@pytest.mark.parametrize("jit", JIT)
def test_union_of_multi_hot_labels_and_of_strengths_between_0_and_1(jit):
    rng = np.random.default_rng(1)
    shapes = [(N,), (N, 7), (N, 5, 7)]
    first, second = (
        {
            **{f"float32{s}": rng.uniform(size=s).astype("float32") for s in shapes},
            **{f"float16{s}": rng.integers(0, 2, s).astype("float16") for s in shapes},
        }
        for _ in range(2)
    )
    mixer = tfmixup.MixUp(targets="union", jit_compile=jit)
    for lam in (LAM, LAM[2:3]):
        params = tfmixup.MixUpParams(tf.constant(lam))
        x, y = mixer.apply((X[0], first), (X[1], second), params)
        np.testing.assert_allclose(x, blend(*X, lam), rtol=1e-6)
        for name, got in y.items():
            assert got.dtype == first[name].dtype
            want = union(first[name], second[name], lam)
            np.testing.assert_array_equal(got, want, name)


@pytest.mark.parametrize("jit", JIT)
def test_union_of_class_ids_is_multi_hot_and_weights_are_blended(jit):
    ids = np.array([[0, 1, 2, 3, 0, 1], [1, 1, 3, 0, 2, 2]])
    w = np.arange(N, dtype=np.float32)
    mixer = tfmixup.MixUp(targets="union", num_classes=4, jit_compile=jit)
    _, got, weights = mixer.apply((X[0], ids[0], w), (X[1], ids[1], 2 * w), MIXUP)
    np.testing.assert_array_equal(got, union(*np.eye(4)[ids], LAM))
    # Mixed with its own class there is one class, else two.
    np.testing.assert_array_equal(np.sum(got, axis=1), [1, 1, 2, 2, 2, 1])
    np.testing.assert_allclose(weights, blend(w, 2 * w, LAM), rtol=1e-6)


def test_union_of_what_is_not_mixed_is_its_own_labels():
    x = np.arange(40, dtype=np.float32)[:, None]
    ids = np.arange(40) % 5
    mixer = tfmixup.MixUp(
        1.0, lam_range=(0.2, 0.8), targets="union", num_classes=5, probability=0.5
    )
    ds = tf.data.Dataset.from_tensor_slices((x, ids))
    got_x, got_y = map(np.concatenate, zip(*mixed("two_streams", ds, mixer, 8)))
    whole = got_x[:, 0] == np.round(got_x[:, 0])
    # Of 40, between 6 and 34 with a chance of 1 − 1e-6.
    assert 5 < whole.sum() < 35
    own = ids[got_x[whole, 0].astype(int)]
    np.testing.assert_array_equal(got_y[whole], np.eye(5)[own])
    assert (got_y[~whole].sum(axis=1) >= 1).all()
    assert (got_y[~whole].sum(axis=1) == 2).any()


# Masks that are blended -------------------------------------------------------------


def batch(seed, dtype=np.uint8, ignored=True, channel=False):
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 256, (N, H, W, 3), np.uint8)
    mask = draw.integers(0, C + ignored, (N, H, W))
    mask = np.where(mask == C, IGNORED, mask).astype(dtype)
    return x, mask[..., None] if channel else mask


def hot(mask):
    """(valid, one-hot with rows of zeros where ignored)."""
    mask = np.asarray(mask, np.int64).reshape(N, H, W)
    return mask != IGNORED, one_hot(mask, C)


def masks(seed, dtypes, ignored):
    """An image and the same mask in every dtype, with a channel and without."""
    image, mask = batch(seed, np.int64, ignored)
    kinds = {
        f"{d} {m.shape}": m.astype(d) for d in dtypes for m in (mask, mask[..., None])
    }
    return image, kinds


@pytest.mark.parametrize("jit", JIT)
def test_mixup_blends_one_hot_pixels(jit):
    dtypes = ["uint8", "int16", "uint16", "int32", "int64"]
    one, other = (masks(k, dtypes, False) for k in (1, 2))
    mixer = tfmixup.MixUp(num_classes=C, label_smoothing=0.1, jit_compile=jit)
    _, y = mixer.apply(one, other, MIXUP)
    for name, got in y.items():
        ids = (m[1][name].reshape(N, H, W) for m in (one, other))
        want = blend(*(one_hot(i, C, 0.1) for i in ids), LAM)
        assert (got.dtype, got.shape) == (tf.float32, (N, H, W, C)), name
        assert_close(got, want, name=name)


@pytest.mark.parametrize(
    ("epsilon", "label", "jit"),
    [(0.2, IGNORED, True), (0.0, -1, True), (0.2, -1, False)],
)
def test_ignored_pixels_weigh_nothing_and_others_their_share(epsilon, label, jit):
    one, other = (batch(k, np.int32) for k in (1, 2))
    (v1, y1), (v2, y2) = hot(one[1]), hot(other[1])
    shifted = [(x, np.where(m == IGNORED, label, m)) for x, m in (one, other)]
    mixer = tfmixup.MixUp(
        num_classes=C, ignore_label=label, label_smoothing=epsilon, jit_compile=jit
    )
    lam = np.float32(AREA)
    params = tfmixup.MixUpParams(AREA)
    _, y, weights = mixer.apply(*shifted, params)
    assert (weights.dtype, weights.shape) == (tf.float32, (N, H, W))
    logits = np.random.default_rng(5).normal(size=(N, H, W, C))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    loss = keras.losses.CategoricalCrossentropy(reduction="none")
    got = np.asarray(loss(y, p.astype(np.float32), sample_weight=weights))
    # λ·v_i·CE_i + (1 − λ)·v_j·CE_j, each cross-entropy by itself, in float64.
    smooth = [(1 - epsilon) * hot + epsilon / C for hot in (y1, y2)]
    ce = [-np.sum(hot * np.log(p), axis=-1) for hot in smooth]
    np.testing.assert_allclose(got, blend(v1 * ce[0], v2 * ce[1], lam), atol=1e-5)
    # Rows are distributions, or zeros where both are ignored; never a class of its own.
    share = blend(v1, v2, lam)
    np.testing.assert_allclose(tf.reduce_sum(y, -1), share > 0, atol=1e-6)
    np.testing.assert_allclose(weights, share, atol=1e-6)
    alone = mixer.off(label_smoothing=epsilon)(*shifted[0])
    np.testing.assert_allclose(alone[1], v1[..., None] * smooth[0], atol=1e-6)
    np.testing.assert_array_equal(alone[2], v1)


SHAPES = [(N,), (N, 1), (N, H, W), (N, H, W, 1)]


def as_pixels(weights):
    return per_example(weights, 3) if weights.size == N else weights.reshape(N, H, W)


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_given_weights_are_multiplied_and_mixed(name):
    (x1, m1), (x2, m2) = batch(1), batch(2)
    given = [
        {str(s): np.random.default_rng(k).uniform(1, 2, s).astype("f") for s in SHAPES}
        for k in (3, 4)
    ]
    every = [{str(s): m for s in SHAPES} for m in (m1, m2)]
    mixer = getattr(tfmixup, name)(num_classes=C, ignore_label=IGNORED)
    params = MIXUP if name == "MixUp" else CUTMIX
    got = mixer.apply((x1, every[0], given[0]), (x2, every[1], given[1]), params)[2]
    # One tensor of weights is for all targets.
    shared = mixer.apply(
        (x1, {**every[0], "label": LAM}, given[0]["(6,)"]),
        (x2, {**every[1], "label": LAM}, given[1]["(6,)"]),
        params,
    )[2]
    for key, value in got.items():
        a, b = (hot(m)[0] * as_pixels(g[key]) for m, g in zip((m1, m2), given))
        want = blend(a, b, LAM) if name == "MixUp" else pasted(a, b)
        np.testing.assert_allclose(value, want, atol=1e-6, err_msg=key)
    np.testing.assert_array_equal(shared["(6, 7, 10)"], got["(6,)"])
    share = LAM if name == "MixUp" else 1 - INSIDE.mean(axis=(1, 2))
    want = blend(given[0]["(6,)"], given[1]["(6,)"], share)
    np.testing.assert_allclose(shared["label"], want, atol=1e-6)


def test_a_label_beside_masks_has_weights_of_one():
    x, mask = batch(1)
    mixer = tfmixup.CutMix(num_classes=C, ignore_label=IGNORED)
    element = x, {"mask": mask, "label": np.arange(N) % C}
    _, y, weights = mixer.apply(element, element, CUTMIX)
    assert (y["label"].shape, y["mask"].shape) == ((N, C), (N, H, W, C))
    np.testing.assert_array_equal(weights["label"], np.ones(N))
    np.testing.assert_array_equal(weights["mask"], hot(mask)[0])


# Masks that are pasted --------------------------------------------------------------


def pasted_where():
    """Which pixels CutMix pastes; test_cutmix.py tells that they are right."""
    zeros = np.zeros([N, H, W, 1], np.uint8)
    got, _ = tfmixup.CutMix().apply((zeros, LAM), (zeros + 1, LAM), CUTMIX)
    return got.numpy()[..., 0] == 1


INSIDE = pasted_where()


def pasted(first, second):
    inside = INSIDE.reshape(INSIDE.shape + (1,) * (np.ndim(first) - 3))
    return np.where(inside, second, first)


@pytest.mark.parametrize("jit", JIT)
def test_cutmix_pastes_masks_as_the_image(jit):
    one, other = (masks(k, ["uint16", "int64"], True) for k in (1, 2))
    arguments = {"num_classes": C, "ignore_label": IGNORED, "jit_compile": jit}
    mixer = tfmixup.CutMix(integer_masks=True, **arguments)
    x, y, weights = mixer.apply(one, other, CUTMIX)
    _, unmixed, _ = mixer.off()(*one)
    _, y_hot, weights_hot = tfmixup.CutMix(**arguments).apply(one, other, CUTMIX)
    np.testing.assert_array_equal(x, pasted(one[0], other[0]))
    for name, got in y.items():
        want = pasted(one[1][name], other[1][name])
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(weights[name], hot(want)[0])
        np.testing.assert_array_equal(y_hot[name], hot(want)[1])
        np.testing.assert_array_equal(weights_hot[name], hot(want)[0])
        np.testing.assert_array_equal(unmixed[name], one[1][name])


@pytest.mark.parametrize(
    ("jit", "unknown"), [(True, True), (True, False), (False, True)]
)
def test_depth_one_hot_weights_and_labels_in_one_element(unknown, jit):
    def element(seed):
        draw = np.random.default_rng(seed)
        dense = {
            "depth": draw.normal(size=(N, H, W)).astype("f"),
            "hot": draw.normal(size=(N, H, W, C)).astype("f"),
            "label": np.eye(C, dtype="f")[draw.integers(0, C, N)],
            "angle": draw.normal(size=N).astype("f"),
        }
        weights = {
            key: draw.uniform(size=target.shape[: min(target.ndim, 3)])
            for key, target in dense.items()
        }
        weights["label"] = draw.uniform(size=N)
        weights = {key: weight.astype("f") for key, weight in weights.items()}
        return batch(seed)[0], dense, weights

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
    for key in ("depth", "hot"):
        np.testing.assert_array_equal(w[key], pasted(one[2][key], other[2][key]))
        np.testing.assert_array_equal(y[key], pasted(one[1][key], other[1][key]))
    kept = 1 - INSIDE.mean(axis=(1, 2))
    for key in ("label", "angle"):
        weights, labels = ([e[k][key] for e in (one, other)] for k in (2, 1))
        np.testing.assert_allclose(w[key], blend(*weights, kept), atol=1e-6)
        share = kept * weights[0] / blend(*weights, kept)
        np.testing.assert_allclose(y[key], blend(*labels, share), atol=1e-6)


def test_video_with_a_mask_for_every_frame():
    draw = np.random.default_rng(0)
    x = [draw.integers(0, 256, (N, H, H, W, 1), np.uint8) for _ in range(2)]  # T = H
    for shape in ((N, H, H, W), (N, H, H, W, 1)):
        mask = [draw.integers(0, C, shape) for _ in range(2)]
        mixer = tfmixup.CutMix(num_classes=C, integer_masks=True)
        _, got = mixer.apply((x[0], mask[0]), (x[1], mask[1]), CUTMIX)
        inside = INSIDE[:, None].reshape(N, 1, H, W, *shape[4:])
        np.testing.assert_array_equal(got, np.where(inside, mask[1], mask[0]))


def test_a_mask_that_may_be_a_video_s_is_its_frames_and_no_image_s_channels():
    draw = np.random.default_rng(0)
    x = [
        {
            "still": draw.normal(size=(N, 5, 5, 1)),
            "clip": draw.normal(size=(N,) + (5,) * 4),
        }
        for _ in range(2)
    ]
    mask = [draw.integers(0, C, (N, 5, 5, 5)) for _ in range(2)]
    mixer = tfmixup.CutMix(num_classes=C, integer_masks=True)
    got_x, got = mixer.apply((x[0], mask[0]), (x[1], mask[1]), CUTMIX)
    from_second = got_x["clip"][..., 0] == np.float32(x[1]["clip"][..., 0])
    np.testing.assert_array_equal(got, np.where(from_second, mask[1], mask[0]))


# Pipelines and training -------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "name", "jit"),
    [
        ("tuple", "MixUp", True),
        ("dict", "CutMix", False),
        ("tuple", "ResizeMix", False),
    ],
)
def test_pipelines_of_images_and_masks(form, name, jit):
    ds = tf.data.Dataset.from_tensor_slices(batch(1, channel=True))
    if form == "dict":
        ds = ds.map(lambda x, m: {"image": x, "mask": m, "id": b"a"})
    mixer = getattr(tfmixup, name)(
        num_classes=C, ignore_label=IGNORED, target_keys=("mask",), jit_compile=jit
    )
    routes = {
        "two_streams": mixed("two_streams", ds, mixer, 4, keep_originals=True),
        "map": mixed("map", ds, mixer, 4),
        "static": mixed("in_batch", ds, mixer, 3, drop_remainder=True),
    }
    for route, got in routes.items():
        sizes = []
        for element in got.as_numpy_iterator():
            if form == "dict":
                assert set(element) == {"image", "mask", "id", "sample_weight"}
                element = [element[k] for k in ("image", "mask", "sample_weight")]
            image, y, weights = element
            sizes.append(len(image))
            assert (y.shape[1:], weights.shape[1:]) == ((H, W, C), (H, W))
            np.testing.assert_allclose(y.sum(-1), weights > 0, atol=1e-6)
        want = {"two_streams": [4, 4, 2, 2], "static": [3, 3]}
        assert sizes == want.get(route, [4, 2])
        spec = tf.nest.flatten(got.element_spec)
        assert all(s.shape.is_fully_defined() for s in spec) or route != "static"


def test_fit_on_integer_masks_with_ignore_class():
    mixer = tfmixup.CutMix(num_classes=C, ignore_label=IGNORED, integer_masks=True)
    element = mixer.apply(batch(1), batch(2), CUTMIX)
    layer = keras.layers.Conv2D(C, 1, activation="softmax")
    model = keras.Sequential([keras.layers.Rescaling(1 / 255), layer])
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=IGNORED)
    model.compile(keras.optimizers.SGD(0.0), loss)
    history = model.fit(tf.data.Dataset.from_tensors(element), verbose=0).history
    p = np.asarray(model(element[0]), np.float64)
    valid, y = hot(element[1])
    # Keras then takes the mean over the valid pixels.
    want = -(y * np.log(p)).sum() / valid.sum()
    np.testing.assert_allclose(history["loss"][0], want, rtol=1e-4)
    assert not valid.all()
