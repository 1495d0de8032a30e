"""CMixup: partners drawn by the nearness of labels, against the formula in NumPy."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfmixup
from tfmixup.elements import Parts

JIT = [True, False]
LABELS = np.array([0.0, 0.1, 0.5, 0.5, 2.0, -1.0], np.float32)


def formula(labels, bandwidth):
    """P(j | i), from the paper's formula, without oneself."""
    labels = np.asarray(labels, np.float64).reshape(len(labels), -1)
    chances = np.zeros([len(labels)] * 2)
    for i, one in enumerate(labels):
        for j, other in enumerate(labels):
            if i != j:
                square = ((one - other) ** 2).sum()
                chances[i, j] = np.exp(-square / (2 * bandwidth**2))
    return chances / chances.sum(axis=1, keepdims=True)


def partners(mixer, labels, uniform, jit=False):
    """The kernel itself, with numbers given for what is drawn."""
    labels = tf.constant(labels)
    params = tfmixup.CMixupParams(tf.ones([1]), tf.constant(uniform, tf.float32))

    def partner_of():
        return mixer.partner_of(Parts(labels, labels), params, None)

    return tf.function(partner_of, jit_compile=jit)().numpy()


@pytest.mark.parametrize("jit", JIT)
def test_partners_are_as_frequent_as_the_formula_says(jit):
    """χ² for every example; false alarm 1e-4 for each of 6, at a fixed seed."""
    mixer = tfmixup.CMixup(0.6)
    draws = 4000
    uniform = mixer.sample(6, seed=[1, 2], num_batches=draws).uniform
    mix = tf.function(
        lambda u: mixer.partner_of(
            Parts(None, tf.constant(LABELS)), tfmixup.CMixupParams(None, u), None
        ),
        jit_compile=jit,
    )
    drawn = np.stack([mix(u).numpy() for u in uniform])
    want = formula(LABELS, 0.6)
    for i in range(6):
        others = [j for j in range(6) if j != i]
        counted = np.bincount(drawn[:, i], minlength=6)
        assert counted[i] == 0  # never oneself
        _, p = scipy.stats.chisquare(counted[others], draws * want[i, others])
        assert p > 1e-4


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("shape", [(), (1,), (2,), (2, 3)])
def test_the_inverse_of_the_distribution(shape, jit):
    """In the middle of each one's piece of [0, 1) that one is drawn."""
    labels = np.random.default_rng(3).normal(size=(7, *shape)).astype("float32")
    chances = formula(labels, 1.5)
    ends = np.cumsum(chances, axis=1)
    mixer = tfmixup.CMixup(1.5)
    for j in range(7):
        middle = ends[:, j] - chances[:, j] / 2
        got = partners(mixer, labels, middle, jit)
        nobody = np.arange(7) == j
        np.testing.assert_array_equal(got[~nobody], j)
        assert (got != np.arange(7)).all()


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-24])
@pytest.mark.parametrize("bandwidth", [1e-30, 1e-3])
def test_a_tiny_bandwidth_takes_the_nearest(bandwidth, uniform, jit):
    labels = np.float32([0, 10, 13, 100, 1e6, -1e7])
    got = partners(tfmixup.CMixup(bandwidth), labels, np.full(6, uniform), jit)
    np.testing.assert_array_equal(got, [1, 2, 1, 2, 3, 0])
    labels = np.float32([-3e38, 3e38, 2.9e38, -3.1e38])  # differences beyond float32
    got = partners(tfmixup.CMixup(bandwidth), labels, np.full(4, uniform), jit)
    np.testing.assert_array_equal(got, [3, 2, 1, 0])


@pytest.mark.parametrize("jit", JIT)
def test_equally_near_ones_are_equally_likely(jit):
    labels = np.float32([5, 5, 5, 5])
    mixer = tfmixup.CMixup(1e-30)
    for uniform, want in ((0.1, [1, 0, 0, 0]), (0.9, [3, 3, 3, 2])):
        got = partners(mixer, labels, np.full(4, uniform), jit)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("jit", JIT)
def test_labels_that_are_not_finite_are_nobody_s_neighbours(jit):
    labels = np.float32([0, 1, np.nan, np.inf])
    for uniform in (0.0, 1 - 2**-24):
        got = partners(tfmixup.CMixup(1.0), labels, np.full(4, uniform), jit)
        np.testing.assert_array_equal(got[:2], [1, 0])
        assert (got >= 0).all()
        assert (got < 4).all()
        assert (got != np.arange(4)).all()


@pytest.mark.parametrize("jit", JIT)
def test_a_wide_bandwidth_takes_anybody(jit):
    mixer = tfmixup.CMixup(1e30)
    uniform = (np.arange(5) + 0.5) / 5
    for u, place in zip(uniform, range(5)):
        got = partners(mixer, LABELS, np.full(6, u), jit)
        want = [[j for j in range(6) if j != i][place] for i in range(6)]
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_labels_of_every_float_dtype(dtype, jit):
    labels = tf.cast(tf.constant([0.0, 4.0, 5.0, 20.0]), dtype)
    got = partners(tfmixup.CMixup(0.1), labels, np.full(4, 0.5), jit)
    np.testing.assert_array_equal(got, [1, 2, 1, 2])


@pytest.mark.parametrize("jit", JIT)
def test_examples_and_labels_are_blended_with_the_same_partner(jit):
    mixer = tfmixup.CMixup(0.2, jit_compile=jit)
    lam = np.float32([0, 0.25, 0.5, 0.75, 0.9, 1])
    uniform = np.float32([0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
    chosen = partners(mixer, LABELS, uniform)
    x = np.arange(12, dtype="float32").reshape(6, 2)
    w = np.arange(6, dtype="float32")
    params = tfmixup.CMixupParams(tf.constant(lam), tf.constant(uniform))
    ignored = tf.zeros([6], tf.int32)
    got = mixer.apply_in_batch((x, LABELS, w), ignored, params)
    for value, part in zip(got, (x, LABELS, w)):
        weight = lam.reshape([-1] + [1] * (part.ndim - 1))
        want = weight * part + (1 - weight) * part[chosen]
        np.testing.assert_allclose(value, want, rtol=1e-6)


def source(n=50):
    values = np.random.default_rng(0).normal(size=(n, 1)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((values, values))


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("remainder", [True, False])
@pytest.mark.parametrize("way", ["in_batch", "map", "unknown"])
def test_pipelines(way, remainder, jit):
    """Neighbours are mixed: a blend is about as near as they are."""
    mixer = tfmixup.CMixup(1e-3, jit_compile=jit)
    batches = source().batch(8, drop_remainder=remainder)
    if way == "unknown":
        batches = source().filter(lambda x, y: True).batch(8)
        remainder = False
    mixed = (
        batches.map(mixer)
        if way == "map"
        else batches.apply(tfmixup.in_batch(mixer, seed=1))
    )
    assert mixed.element_spec[1].shape.as_list() == [8 if remainder else None, 1]
    pairs = zip(batches.as_numpy_iterator(), mixed.as_numpy_iterator())
    for (_, y), (x, mixed_y) in pairs:
        np.testing.assert_array_equal(x, mixed_y)
        y = y[:, 0]
        distance = np.abs(y[:, None] - y) + np.where(np.eye(len(y)), np.inf, 0)
        nearest = y[distance.argmin(axis=1)]
        low, high = np.minimum(y, nearest), np.maximum(y, nearest)
        assert ((low - 1e-3 <= x[:, 0]) & (x[:, 0] <= high + 1e-3)).all()
        assert (np.abs(x[:, 0] - y) > 1e-7).any()


def test_a_batch_of_one_has_only_itself():
    x, y = tfmixup.CMixup(1.0)(tf.ones([1, 2]), tf.ones([1]))
    np.testing.assert_array_equal(x, [[1, 1]])
    np.testing.assert_array_equal(y, [1])


def test_same_seed_same_stream():
    def stream(seed):
        batches = source().shuffle(50, seed=2).batch(8)
        mixed = batches.apply(tfmixup.in_batch(tfmixup.CMixup(0.3), seed=seed))
        return [x.tobytes() for x, _ in mixed.repeat(2).as_numpy_iterator()]

    assert stream(1) == stream(1) != stream(2)


def test_shapes_of_what_is_drawn():
    per_batch = tfmixup.CMixup(1.0, per="batch")
    params = per_batch.sample(4, seed=[1, 2], num_batches=3)
    assert params.lam.shape == (3, 1)
    assert params.uniform.shape == (3, 4)
    # One λ, but a partner for each.
    x, y = per_batch(tf.ones([4, 2]), tf.range(4.0))
    assert x.shape == (4, 2)
    assert y.shape == (4,)


def test_dict_elements_name_the_label_first():
    elements = {"image": tf.zeros([6, 2]), "label": LABELS, "sample_weight": LABELS * 0}
    mixer = tfmixup.CMixup(1.0, target_keys=("label", "sample_weight"))
    mixed = mixer(elements)
    assert sorted(mixed) == ["image", "label", "sample_weight"]


def test_cmixup_is_a_value():
    mixer = tfmixup.CMixup(2)
    assert mixer == tfmixup.CMixup(bandwidth=2.0)
    assert hash(mixer) == hash(tfmixup.CMixup(2.0))
    assert (mixer.bandwidth, mixer.alpha) == (2.0, 2.0)
    assert repr(mixer) == "CMixup(bandwidth=2.0)"
    plain = dataclasses.replace(mixer, alpha=0)
    _, y = plain(tf.ones([3, 1]), tf.range(3.0))
    np.testing.assert_array_equal(y, [0, 1, 2])


@pytest.mark.parametrize(
    ("bandwidth", "error"),
    [
        ("1", TypeError),
        (None, TypeError),
        (True, TypeError),
        (0, ValueError),
        (-1.0, ValueError),
        (1e-31, ValueError),
        (np.nan, ValueError),
        (np.inf, ValueError),
    ],
)
def test_bad_bandwidth(bandwidth, error):
    with pytest.raises(error, match="bandwidth"):
        tfmixup.CMixup(bandwidth)


def test_labels_without_a_distance():
    ids = tf.data.Dataset.from_tensors((tf.zeros([4, 2]), tf.range(4)))
    with pytest.raises(TypeError, match="float32; for classes"):
        ids.apply(tfmixup.in_batch(tfmixup.CMixup(1.0)))
    two = tf.data.Dataset.from_tensors((tf.zeros([4, 2]), (tf.zeros([4]),) * 2))
    with pytest.raises(ValueError, match="2 targets"):
        two.apply(tfmixup.in_batch(tfmixup.CMixup(1.0)))


def test_there_is_no_second_stream():
    mixer = tfmixup.CMixup(1.0)
    with pytest.raises(ValueError, match=r"tfmixup.CMixup chooses .*in_batch"):
        tfmixup.two_streams(mixer, 4)
    batches = source().batch(4)
    with pytest.raises(ValueError, match=r"tfmixup.CMixup.*in_batch"):
        tf.data.Dataset.zip((batches, batches)).map(mixer.pair)
