"""CMixup: partners drawn by the nearness of labels, against the formula in NumPy."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfmixup
from tests.reference import RATE, blend, mixed, weigh

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


def chosen(mixer, labels, uniform):
    """The partners, read off unit vectors at λ = 0, for what `uniform` gives."""
    size = len(labels)
    params = tfmixup.CMixupParams(tf.zeros([1]), tf.constant(uniform, tf.float32))
    batch = tf.eye(size), tf.convert_to_tensor(labels)
    x, _ = mixer.apply_in_batch(batch, tf.zeros([size], tf.int32), params)
    return np.argmax(x, axis=1)


@pytest.mark.parametrize("jit", JIT)
def test_partners_are_as_frequent_as_the_formula_says(jit):
    """χ² for every example."""
    mixer = tfmixup.CMixup(0.6, jit_compile=jit)
    draws = 4000
    uniform = mixer.sample(6, seed=[1, 2], num_batches=draws).uniform
    batch, anybody = (tf.eye(6), tf.constant(LABELS)), tf.zeros([6], tf.int32)

    def features(u):
        params = tfmixup.CMixupParams(tf.zeros([1]), u)
        return mixer.apply_in_batch(batch, anybody, params)[0]

    drawn = tf.data.Dataset.from_tensor_slices(uniform).map(features).batch(draws)
    drawn = np.argmax(drawn.get_single_element(), axis=2)
    want = formula(LABELS, 0.6)
    for i in range(6):
        others = [j for j in range(6) if j != i]
        counted = np.bincount(drawn[:, i], minlength=6)
        assert counted[i] == 0  # never oneself
        _, p = scipy.stats.chisquare(counted[others], draws * want[i, others])
        assert p > RATE


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_the_inverse_of_the_distribution(shape, jit):
    """In the middle of each one's piece of [0, 1) that one is drawn."""
    labels = np.random.default_rng(3).normal(size=(7, *shape)).astype("float32")
    chances = formula(labels, 1.5)
    ends = np.cumsum(chances, axis=1)
    mixer = tfmixup.CMixup(1.5, jit_compile=jit)
    for j in range(7):
        middle = ends[:, j] - chances[:, j] / 2
        got = chosen(mixer, labels, middle)
        others = np.arange(7) != j
        np.testing.assert_array_equal(got[others], j)
        assert (got != np.arange(7)).all()


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("bandwidth", [1e-30, 1e-3])
def test_a_tiny_bandwidth_takes_the_nearest(bandwidth, jit):
    mixer = tfmixup.CMixup(bandwidth, jit_compile=jit)
    for labels, want in (
        ([0, 10, 13, 100, 1e6, -1e7], [1, 2, 1, 2, 3, 0]),
        ([-3e38, 3e38, 2.9e38, -3.1e38], [3, 2, 1, 0]),  # differences beyond float32
    ):
        for uniform in (0.0, 0.5, 1 - 2**-24):
            got = chosen(mixer, np.float32(labels), np.full(len(labels), uniform))
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("jit", JIT)
def test_equally_near_ones_are_equally_likely(jit):
    mixer = tfmixup.CMixup(1e-30, jit_compile=jit)
    for uniform, want in ((0.1, [1, 0, 0, 0]), (0.9, [3, 3, 3, 2])):
        got = chosen(mixer, np.float32([5, 5, 5, 5]), np.full(4, uniform))
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("jit", JIT)
def test_labels_that_are_not_finite_are_nobody_s_neighbours(jit):
    labels = np.float32([0, 1, np.nan, np.inf])
    mixer = tfmixup.CMixup(1.0, jit_compile=jit)
    for uniform in (0.0, 1 - 2**-24):
        got = chosen(mixer, labels, np.full(4, uniform))
        np.testing.assert_array_equal(got[:2], [1, 0])
        assert (got != np.arange(4)).all()


@pytest.mark.parametrize("jit", JIT)
def test_a_wide_bandwidth_takes_anybody(jit):
    mixer = tfmixup.CMixup(1e30, jit_compile=jit)
    for place, u in enumerate((np.arange(5) + 0.5) / 5):
        got = chosen(mixer, LABELS, np.full(6, u))
        want = [[j for j in range(6) if j != i][place] for i in range(6)]
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_labels_of_every_float_dtype(dtype):
    labels = tf.cast(tf.constant([0.0, 4.0, 5.0, 20.0]), dtype)
    got = chosen(tfmixup.CMixup(0.1), labels, np.full(4, 0.5))
    np.testing.assert_array_equal(got, [1, 2, 1, 2])


@pytest.mark.parametrize("jit", JIT)
def test_examples_and_labels_are_blended_with_the_same_partner(jit):
    mixer = tfmixup.CMixup(0.2, jit_compile=jit)
    lam = np.float32([0, 0.25, 0.5, 0.75, 0.9, 1])
    uniform = np.float32([0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
    partner = chosen(mixer, LABELS, uniform)
    x = np.arange(12, dtype="float32").reshape(6, 2)
    w = np.arange(6, dtype="float32")
    params = tfmixup.CMixupParams(tf.constant(lam), tf.constant(uniform))
    ignored = tf.zeros([6], tf.int32)
    got = mixer.apply_in_batch((x, LABELS, w), ignored, params)
    _, share = weigh(w, w[partner], lam)
    for value, part, by in zip(got, (x, LABELS, w), (lam, share, lam)):
        np.testing.assert_allclose(value, blend(part, part[partner], by), rtol=1e-6)


@pytest.mark.parametrize(
    ("way", "jit"), [("in_batch", True), ("map", False), ("unknown", True)]
)
def test_pipelines(way, jit):
    """Neighbours are mixed: a blend is about as near as they are."""
    values = np.random.default_rng(0).normal(size=(50, 1)).astype("float32")
    source = tf.data.Dataset.from_tensor_slices((values, values))
    if way == "unknown":
        source = source.filter(lambda x, y: True)
    mixer = tfmixup.CMixup(1e-3, jit_compile=jit)
    drop = way == "in_batch"
    got = mixed(
        way if way == "map" else "in_batch", source, mixer, 8, drop_remainder=drop
    )
    assert got.element_spec[1].shape.as_list() == [8 if drop else None, 1]
    pairs = zip(source.batch(8).as_numpy_iterator(), got.as_numpy_iterator())
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


def test_one_lambda_for_the_batch_but_a_partner_for_each():
    per_batch = tfmixup.CMixup(1.0, per="batch")
    params = per_batch.sample(4, seed=[1, 2], num_batches=3)
    assert (params.lam.shape, params.uniform.shape) == ((3, 1), (3, 4))
    x, y = per_batch(tf.eye(4), tf.range(4.0))
    assert (x.shape, y.shape) == ((4, 4), (4,))
    assert len(np.unique(np.diag(x))) == 1


def test_lambda_is_that_of_beta_2_by_default():
    lam = tfmixup.CMixup(1.0).sample(20_000, [1, 2]).lam
    assert scipy.stats.kstest(np.asarray(lam), scipy.stats.beta(2, 2).cdf).pvalue > RATE


def test_dict_elements_name_the_label_first():
    elements = {"image": tf.zeros([6, 2]), "label": LABELS, "sample_weight": LABELS * 0}
    mixer = tfmixup.CMixup(1.0, target_keys=("label", "sample_weight"))
    assert sorted(mixer(elements)) == ["image", "label", "sample_weight"]


def test_there_is_no_second_stream():
    mixer = tfmixup.CMixup(1.0)
    with pytest.raises(ValueError, match=r"tfmixup.CMixup chooses .*in_batch"):
        tfmixup.two_streams(mixer, 4)
    batch = tf.zeros([4, 2]), tf.zeros([4])
    with pytest.raises(ValueError, match=r"tfmixup.CMixup.*in_batch"):
        mixer.pair(batch, batch)


def test_a_label_that_is_ignored_is_nobody_s_neighbour():
    """-1 would be nearer to 0 than 3 is."""
    labels = np.array([-1.0, 0.0, 3.0], np.float32)
    for ignore_label, partner in ((None, 0), (-1, 2)):
        mixer = tfmixup.CMixup(1e-3, ignore_label=ignore_label, jit_compile=False)
        params = tfmixup.CMixupParams(tf.zeros([1]), tf.fill([3], 0.5))
        made = mixer.apply_in_batch((tf.eye(3), labels), [0, 0, 0], params)
        assert np.argmax(made[0][1]) == partner
