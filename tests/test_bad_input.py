"""What cannot be mixed is refused, early, with a message that says what to do.

"Early" is when the pipeline is built: nothing is iterated inside `pytest.raises`
unless a comment says that the element_spec cannot tell.
"""

import threading

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup

tfd = tfp.distributions

MIXER = tfmixup.MixUp(0.2)
CLASSES = tfmixup.MixUp(0.2, num_classes=3)

# A route takes unbatched examples; two_streams with a buffer of one keeps their order.
ROUTES = {
    "two_streams": lambda ds, mixer: ds.apply(
        tfmixup.two_streams(mixer, 4, shuffle_buffer_size=1)
    ),
    "in_batch": lambda ds, mixer: ds.batch(4).apply(tfmixup.in_batch(mixer)),
    "map": lambda ds, mixer: ds.batch(4).map(mixer),
    "pair": lambda ds, mixer: tf.data.Dataset.zip((ds.batch(4), ds.batch(4))).map(
        mixer.pair
    ),
}
# Who speaks: a message starts with the name of what the user called.
SPEAKER = {
    "two_streams": r"^tfmixup\.two_streams: ",
    "in_batch": r"^tfmixup\.in_batch: ",
    "map": r"^tfmixup\.MixUp: ",
    "pair": r"^tfmixup\.MixUp: ",
}

each_route = pytest.mark.parametrize("route", ROUTES)


def examples(features=None, targets=None, n=12):
    features = tf.zeros([n, 5]) if features is None else features
    targets = tf.zeros([n, 3]) if targets is None else targets
    return tf.data.Dataset.from_tensor_slices((features, targets))


def short(value):
    """A case's name: the input, without the error and the message it leads to."""
    is_outcome = isinstance(value, type) or (isinstance(value, str) and len(value) > 12)
    return "" if is_outcome else str(value)


def refused(error, message, route=None):
    """`pytest.raises`, the message from its start where a route is given."""
    start = SPEAKER[route] if route else ""
    return pytest.raises(error, match=f"(?s){start}{message}")


# The mixer's arguments -------------------------------------------------------------

NOT_A_NUMBER = r"alpha must be a number, got {}.*Pass a Python float, such as alpha=0.2"
NOT_FINITE = r"alpha must be finite and not negative, got {}.*Use alpha=0 for no mixing"


@pytest.mark.parametrize(
    ("alpha", "error", "message"),
    [
        (-0.1, ValueError, NOT_FINITE.format("-0.1")),
        (float("nan"), ValueError, NOT_FINITE.format("nan")),
        (float("inf"), ValueError, NOT_FINITE.format("inf")),
        ("0.2", TypeError, NOT_A_NUMBER.format(r"'0.2' \(str\)")),
        (True, TypeError, NOT_A_NUMBER.format(r"True \(bool\)")),
        (None, TypeError, NOT_A_NUMBER.format(r"None \(NoneType\)")),
        ((0.2, 0.4), TypeError, NOT_A_NUMBER.format(r"\(0.2, 0.4\) \(tuple\)")),
    ],
    ids=short,
)
def test_alpha(alpha, error, message):
    with refused(error, rf"^tfmixup\.MixUp: {message}"):
        tfmixup.MixUp(alpha)


NOT_A_PAIR = r"lam_range must be a pair of numbers \(low, high\), got {}.*For example"
NOT_A_RANGE = r"lam_range must satisfy 0 <= low < high <= 1, got \({}\).*For example"


@pytest.mark.parametrize(
    ("alpha", "lam_range", "error", "message"),
    [
        (1, (-0.1, 0.9), ValueError, NOT_A_RANGE.format("-0.1, 0.9")),
        (1, (0.1, 1.1), ValueError, NOT_A_RANGE.format("0.1, 1.1")),
        (1, (0.9, 0.1), ValueError, NOT_A_RANGE.format("0.9, 0.1")),
        (1, (0.5, 0.5), ValueError, NOT_A_RANGE.format("0.5, 0.5")),
        (1, (0.1, float("nan")), ValueError, NOT_A_RANGE.format("0.1, nan")),
        (1, 0.5, TypeError, NOT_A_PAIR.format("0.5")),
        (1, (0.1, 0.5, 0.9), TypeError, NOT_A_PAIR.format(r"\(0.1, 0.5, 0.9\)")),
        (1, "ab", TypeError, NOT_A_PAIR.format("'ab'")),
        (1, (True, False), TypeError, NOT_A_PAIR.format(r"\(True, False\)")),
        (
            1e-14,
            (0.4, 0.6),
            ValueError,
            r"lam_range=\(0.4, 0.6\) holds \d.\de[+-]\d\d of the distribution of λ.*"
            "Widen lam_range",
        ),
    ],
    ids=short,
)
def test_lam_range(alpha, lam_range, error, message):
    with refused(error, rf"^tfmixup\.MixUp: {message}"):
        tfmixup.MixUp(alpha, lam_range=lam_range)


@pytest.mark.parametrize(
    "distribution",
    [
        lambda: tfd.Uniform(0.0, 0.3),
        # Without a quantile function: 10,000 draws tell.
        lambda: tfd.MixtureSameFamily(
            tfd.Categorical(probs=[0.5, 0.5]), tfd.Beta([80.0, 90.0], [900.0, 800.0])
        ),
    ],
    ids=["Uniform", "Mixture"],
)
def test_lam_range_where_a_distribution_has_no_mass(distribution):
    with refused(ValueError, r"lam_range=\(0.6, 0.9\) holds 0.0e\+00 of the dist"):
        tfmixup.MixUp(distribution=distribution(), lam_range=(0.6, 0.9))


def out_of_support(name, low, high):
    return (
        f"distribution must have its support within .0, 1., but {name} reaches "
        f"from {low} to {high}.*use Beta, Uniform, TruncatedNormal or Kumaraswamy"
    )


ANY = r"-?[\d.e+]+"


@pytest.mark.parametrize(
    ("distribution", "error", "message"),
    [
        (
            lambda: 0.5,
            TypeError,
            "distribution must be a tfp.distributions.Distribution, got float. For",
        ),
        (
            lambda: tfd.Beta,
            TypeError,
            "distribution must be a tfp.distributions.Distribution, got .*For example",
        ),
        (
            lambda: tfd.Beta([1.0, 2.0], 1.0),
            ValueError,
            r"distribution must be scalar, got batch shape \(2,\) and event shape \(\) "
            "of Beta.*from scalar parameters",
        ),
        (
            lambda: tfd.Dirichlet([1.0, 1.0, 1.0]),
            ValueError,
            r"distribution must be scalar, got batch shape \(\) and event shape \(3,\)",
        ),
        # Its draws are all in [0, 1]: 10,000 of them reach from 0.46 to 0.54.
        (
            lambda: tfd.Normal(0.5, 0.01),
            ValueError,
            out_of_support("Normal", r"-1e\+06", r"1e\+06"),
        ),
        (lambda: tfd.Gamma(2.0, 9.0), ValueError, out_of_support("Gamma", ANY, ANY)),
        (lambda: tfd.Uniform(0.0, 2.0), ValueError, out_of_support("Uniform", 0, 2)),
        (
            lambda: tfd.Uniform(-0.1, 0.5),
            ValueError,
            out_of_support("Uniform", -0.1, 0.5),
        ),
        (
            lambda: tfd.Deterministic(2.0),
            ValueError,
            out_of_support("Deterministic", ANY, ANY),
        ),
    ],
    ids=[
        "number",
        "class",
        "batch of Betas",
        "Dirichlet",
        "Normal",
        "Gamma",
        "Uniform(0, 2)",
        "Uniform(-0.1, 0.5)",
        "Deterministic(2)",
    ],
)
def test_distribution(distribution, error, message):
    with refused(error, rf"^tfmixup\.MixUp: {message}"):
        tfmixup.MixUp(distribution=distribution())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"probability": 1.5}, ValueError, r"probability must be in \[0, 1\], got 1.5"),
        ({"probability": 50}, ValueError, "probability .*share, not as a percentage"),
        (
            {"probability": float("nan")},
            ValueError,
            r"probability must be in \[0, 1\], got nan",
        ),
        ({"probability": "1"}, TypeError, r"probability must be a number in \[0, 1\]"),
        ({"num_classes": 0}, ValueError, "num_classes must be at least 2, got 0"),
        ({"num_classes": 1}, ValueError, "num_classes must be at least 2, got 1"),
        (
            {"num_classes": 2.5},
            TypeError,
            r"num_classes must be an integer, got 2.5 \(float\)",
        ),
        ({"num_classes": True}, TypeError, "num_classes must be an integer, got True"),
        (
            {"label_smoothing": 1.0, "num_classes": 3},
            ValueError,
            r"label_smoothing must be in \[0, 1\), got 1.0",
        ),
        (
            {"label_smoothing": -0.1, "num_classes": 3},
            ValueError,
            r"label_smoothing must be in \[0, 1\), got -0.1",
        ),
        (
            {"label_smoothing": 0.1},
            ValueError,
            "label_smoothing=0.1 is for integer labels and needs num_classes.*"
            r"CategoricalCrossentropy\(label_smoothing",
        ),
        ({"per": "image"}, ValueError, "per must be one of 'example', 'batch'; got 'i"),
        (
            {"dtype": "float64"},
            ValueError,
            "dtype must be one of 'float32', 'float16', 'bfloat16', 'uint8'; got 'floa",
        ),
        ({"dtype": tf.int32}, ValueError, "dtype must be one of .*; got 'int32'"),
        (
            {"jit_compile": "yes"},
            ValueError,
            "jit_compile must be one of True, False, 'auto'; got 'yes'",
        ),
        ({"jit_compile": 1}, ValueError, "jit_compile must be one of .*; got 1"),
        (
            {"feature_keys": "image"},
            TypeError,
            r"feature_keys must be a tuple of dict keys, got 'image'. Write "
            r"feature_keys=\('image',\)",
        ),
        (
            {"target_keys": "label"},
            TypeError,
            r"target_keys must be a tuple of .*Write target_keys=\('label',\)",
        ),
        ({"feature_keys": ()}, ValueError, "feature_keys is empty: name at least one"),
        (
            {"feature_keys": ("a", "b"), "target_keys": ("b",)},
            ValueError,
            "'b' is in both feature_keys and target_keys. Leave it in one",
        ),
    ],
    ids=short,
)
def test_other_arguments_of_the_mixer(arguments, error, message):
    with refused(error, rf"^tfmixup\.MixUp: {message}"):
        tfmixup.MixUp(0.2, **arguments)


# The pipeline's arguments ----------------------------------------------------------


@pytest.mark.parametrize("mixer", [tfmixup.MixUp, 0.2, None, lambda x, y: (x, y)])
@pytest.mark.parametrize("stage", ["two_streams", "in_batch"])
def test_what_is_no_mixer(stage, mixer):
    arguments = (mixer, 4) if stage == "two_streams" else (mixer,)
    with refused(TypeError, r"mixer must be a mixer such as tfmixup.MixUp\(al", stage):
        getattr(tfmixup, stage)(*arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": -1}, ValueError, "batch_size must be at least 1, got -1"),
        ({"batch_size": 2.5}, TypeError, r"batch_size must be an integer, got 2.5 \(f"),
        ({"batch_size": True}, TypeError, "batch_size must be an integer, got True"),
        (
            {"shuffle_buffer_size": 0},
            ValueError,
            "shuffle_buffer_size must be at least 1, got 0",
        ),
        ({"seed": "a"}, TypeError, r"seed must be an integer or None, got 'a' \(str\)"),
        ({"seed": 1.5}, TypeError, "seed must be an integer or None, got 1.5"),
        ({"drop_remainder": 1}, TypeError, "drop_remainder must be True or False"),
        ({"keep_originals": "no"}, TypeError, "keep_originals must be True or False"),
    ],
    ids=short,
)
def test_arguments_of_two_streams(arguments, error, message):
    with refused(error, message, "two_streams"):
        tfmixup.two_streams(**{"mixer": MIXER, "batch_size": 4, **arguments})


@pytest.mark.parametrize("seed", ["a", 1.5, True])
def test_seed_of_in_batch(seed):
    message = f"seed must be an integer or None, got {seed!r}"
    with refused(TypeError, message, "in_batch"):
        tfmixup.in_batch(MIXER, seed=seed)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("/gpu:7",), ValueError, r"there is no device '/gpu:7'.*pass one of them, or"),
        (("nonsense",), ValueError, r"there is no device 'nonsense'.*CPU:0"),
        (("",), ValueError, "there is no device ''"),
        ((0,), TypeError, r"device must be a string, got 0. For example '/gpu:0'"),
        (("auto", 0), ValueError, "buffer_size must be at least 1, got 0"),
        (("auto", 1.5), TypeError, "buffer_size must be an integer, got 1.5"),
    ],
    ids=short,
)
def test_prefetch_to_device(arguments, error, message):
    with refused(error, rf"^tfmixup\.prefetch_to_device: {message}"):
        examples().apply(tfmixup.prefetch_to_device(*arguments))


# Features --------------------------------------------------------------------------


@each_route
@pytest.mark.parametrize("dtype", ["string", "bool", "complex64"])
def test_features_that_are_no_numbers(route, dtype):
    values = tf.zeros([12, 5], dtype)
    message = rf"features must be numbers, got {dtype} of shape .*Decode or cast"
    with refused(TypeError, message, route):
        ROUTES[route](examples(features=values), MIXER)


COMPOSITE = {
    "ragged": lambda: tf.ragged.constant([[1.0] * (1 + k % 3) for k in range(12)]),
    "sparse": lambda: tf.sparse.from_dense(np.eye(12, 5, dtype=np.float32)),
}


@each_route
@pytest.mark.parametrize("kind", COMPOSITE)
def test_ragged_and_sparse_features(route, kind):
    message = (
        f"features must be dense tensors, got \\S*{kind}.*Pad ragged ones.*densify"
    )
    with pytest.raises(TypeError, match=f"(?si){SPEAKER[route]}{message}"):
        ROUTES[route](examples(features=COMPOSITE[kind]()), MIXER)


@each_route
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_uint8_result_of_other_features(route, dtype):
    mixer = tfmixup.MixUp(0.2, dtype="uint8")
    message = rf"dtype='uint8' .*takes uint8 features, got {dtype} .*Use dtype='float32"
    with refused(TypeError, message, route):
        ROUTES[route](examples(features=tf.zeros([12, 5], dtype)), mixer)


# Targets and sample weights --------------------------------------------------------


@each_route
@pytest.mark.parametrize("shape", [[12], [12, 1]])
def test_integer_labels_without_num_classes(route, shape):
    message = r"targets are integers \(int64\(.*cannot be averaged. Pass num_classes="
    with refused(ValueError, message, route):
        ROUTES[route](examples(targets=tf.zeros(shape, tf.int64)), MIXER)


@each_route
@pytest.mark.parametrize("shape", [[12, 3], [12, 3, 1]])
def test_integer_one_hot_labels(route, shape):
    dataset = examples(targets=tf.zeros(shape, tf.int32))
    if route == "two_streams" and len(shape) == 2:
        # Integer vectors are a batch of class ids just as well.
        message = "elements must be single examples.*int32.*remove .batch"
    elif len(shape) == 3:
        message = r"a mask must have the size of its image.*int32.*one-hot.*to float32"
    else:
        message = r"integer class labels must have shape \(batch,\) or .*to float32"
    with refused(ValueError, message, route):
        ROUTES[route](dataset, CLASSES)


@each_route
@pytest.mark.parametrize("shape", [[12], [12, 4]])
def test_num_classes_with_nothing_but_other_float_targets(route, shape):
    message = r"num_classes=3 is for integer class labels, but the targets are float32"
    with refused(ValueError, message, route):
        ROUTES[route](examples(targets=tf.zeros(shape)), CLASSES)


@each_route
@pytest.mark.parametrize("dtype", ["string", "bool"])
def test_targets_that_are_no_numbers(route, dtype):
    values = tf.zeros([12], dtype)
    message = rf"targets must be numbers, got {dtype} of shape .*StringLookup"
    with refused(TypeError, message, route):
        ROUTES[route](examples(targets=values), CLASSES)


@each_route
@pytest.mark.parametrize("kind", COMPOSITE)
def test_ragged_and_sparse_targets(route, kind):
    message = f"targets must be dense tensors, got \\S*{kind}.*Pad or densify"
    with pytest.raises(TypeError, match=f"(?si){SPEAKER[route]}{message}"):
        ROUTES[route](examples(targets=COMPOSITE[kind]()), MIXER)


@each_route
def test_sample_weights_that_are_no_numbers(route):
    dataset = examples().map(lambda x, y: (x, y, True))
    with refused(TypeError, "sample_weight must be numbers, got bool.*Cast it", route):
        ROUTES[route](dataset, MIXER)


@each_route
@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("bad", [-1, 3])
def test_label_outside_the_classes(route, bad, jit_compile):
    mixer = tfmixup.MixUp(0.2, num_classes=3, jit_compile=jit_compile)
    labels = np.arange(16) % 3
    labels[9] = bad
    # The spec cannot tell: it is the third batch that raises, and not before.
    iterator = iter(ROUTES[route](examples(tf.zeros([16, 5]), labels), mixer))
    good = [next(iterator)[1] for _ in range(2)]
    np.testing.assert_allclose(np.sum(good, axis=-1), 1, atol=1e-6)
    message = rf"integer labels must be in \[0, 3\).*Labels:.*\[2 {bad} 1 2\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        next(iterator)


BY_HAND = {
    "first": lambda mixer, wrong, fine: mixer.pair(wrong, fine),
    "second": lambda mixer, wrong, fine: mixer.pair(fine, wrong),
    "batch": lambda mixer, wrong, fine: mixer(*wrong),
}


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("bad", [-1, 3])
@pytest.mark.parametrize("which", BY_HAND)
def test_label_outside_the_classes_by_hand(which, bad, jit_compile):
    mixer = tfmixup.MixUp(0.2, num_classes=3, jit_compile=jit_compile)
    fine = (tf.zeros([4, 5]), tf.constant([0, 1, 2, 0]))
    wrong = (tf.zeros([4, 5]), tf.constant([0, 1, bad, 0]))
    message = rf"integer labels must be in \[0, 3\).*Labels:.*0, 1, {bad}, 0"
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        BY_HAND[which](mixer, wrong, fine)


@pytest.mark.parametrize("bad", [-1, 3])
def test_label_outside_the_classes_in_partner(bad):
    partner = examples(tf.zeros([8, 5]), tf.constant([0, 1, 2, 0, 1, 2, bad, 0]))
    dataset = examples(tf.zeros([8, 5]), tf.constant([0, 1, 2, 0, 1, 2, 0, 1]))
    stage = tfmixup.two_streams(CLASSES, 4, partner=partner, shuffle_buffer_size=1)
    iterator = iter(dataset.apply(stage))
    next(iterator)
    message = rf"integer labels must be in \[0, 3\).*\[1 2 {bad} 0\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        next(iterator)


# Elements --------------------------------------------------------------------------

ELEMENTS = {
    "tuple": lambda x, y: (x, y),
    "dict": lambda x, y: {"image": x, "label": y},
}


@pytest.mark.parametrize("stage", ["in_batch", "map"])
@pytest.mark.parametrize("form", ELEMENTS)
@pytest.mark.parametrize("label", ["id", "one-hot"])
def test_unbatched_examples(stage, form, label):
    targets = tf.zeros([12], tf.int32) if label == "id" else tf.zeros([12, 3])
    dataset = examples(targets=targets).map(ELEMENTS[form])
    message = r"elements must be batches, got parts .*Call dataset.batch\(batch_size\)"
    with refused(ValueError, message, stage):
        if stage == "map":
            dataset.map(CLASSES)
        else:
            dataset.apply(tfmixup.in_batch(CLASSES))


@pytest.mark.parametrize("form", ELEMENTS)
@pytest.mark.parametrize(
    ("drop_remainder", "label"), [(False, "id"), (False, "one-hot"), (True, "id")]
)
def test_batches_in_two_streams(form, drop_remainder, label):
    targets = tf.zeros([12], tf.int32) if label == "id" else tf.zeros([12, 3])
    batched = examples(targets=targets).map(ELEMENTS[form]).batch(4, drop_remainder)
    message = "elements must be single examples.*remove .batch.*unbatch.*in_batch"
    with refused(ValueError, message, "two_streams"):
        ROUTES["two_streams"](batched, CLASSES)


@each_route
@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ({}, "'image', which feature_keys="),
        ({"feature_keys": ("pixels",)}, "'label', which target_keys="),
    ],
    ids=short,
)
def test_missing_keys(route, keys, missing):
    dataset = examples().map(lambda x, y: {"pixels": x, "class": y})
    message = rf".?{missing}.*they have \['class', 'pixels'\]. Pass \w+=\(...\)"
    # A KeyError shows its message quoted.
    start = SPEAKER[route].replace("^", "")
    with pytest.raises(KeyError, match=f"(?s){start}elements have no key {message}"):
        ROUTES[route](dataset, tfmixup.MixUp(0.2, **keys))


ODD_ELEMENTS = {
    "features only": (lambda x, y: x, "TensorSpec"),
    "tuple of one": (lambda x, y: (x,), "tuple of 1"),
    "tuple of four": (lambda x, y: (x, y, 1.0, 2.0), "tuple of 4"),
}


@pytest.mark.parametrize("route", ["two_streams", "in_batch"])
@pytest.mark.parametrize("kind", ODD_ELEMENTS)
def test_elements_of_another_form(route, kind):
    form, came = ODD_ELEMENTS[kind]
    message = rf"elements must be \(x, y\), .* or a dict, got {came}.*as_supervised="
    with refused(TypeError, message, route):
        ROUTES[route](examples().map(form), MIXER)


@pytest.mark.parametrize(
    ("kind", "came"),
    [
        ("features only", ".*Tensor"),
        ("tuple of one", ".*Tensor"),
        ("tuple of four", "tuple of 4"),
    ],
)
def test_elements_of_another_form_in_map(kind, came):
    with refused(TypeError, rf"elements must be \(x, y\), .*got {came}", "map"):
        ROUTES["map"](examples().map(ODD_ELEMENTS[kind][0]), MIXER)


@pytest.mark.parametrize("call", [lambda e: MIXER(e), lambda e: MIXER.pair(e, e)])
def test_lists_are_no_elements(call):
    with refused(TypeError, r"elements must be \(x, y\).*got list", "map"):
        call([tf.zeros([4, 5]), tf.zeros([4, 3])])


@pytest.mark.parametrize("route", ["in_batch", "map"])
def test_parts_of_different_lengths(route):
    dataset = tf.data.Dataset.from_tensors((tf.zeros([4, 5]), tf.zeros([3, 3])))
    message = r"elements must be batches, .*float32\(4, 5\), float32\(3, 3\)"
    with refused(ValueError, message, route):
        dataset.map(MIXER) if route == "map" else dataset.apply(tfmixup.in_batch(MIXER))


@each_route
def test_unknown_number_of_dimensions(route):
    spec = (tf.TensorSpec(None), tf.TensorSpec([3]))
    dataset = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=spec)
    with refused(
        ValueError, "the number of dimensions must be known.*ensure_shape", route
    ):
        ROUTES[route](dataset, MIXER)


# Partner ---------------------------------------------------------------------------

PARTNERS = {
    "structure": (lambda x, y: {"image": x, "label": y}, "their structures differ"),
    "weights": (lambda x, y: (x, y, 1.0), "their structures differ"),
    "shape": (lambda x, y: (x[:4], y), r"shape \(4,\) is not \(5,\)"),
    "dtype": (lambda x, y: (tf.cast(x, tf.float16), y), "float16 is not float32"),
    "target": (lambda x, y: (x, tf.cast(y, tf.int32)), "int32 is not float32"),
}


@pytest.mark.parametrize("kind", PARTNERS)
def test_partner_unlike_the_dataset(kind):
    change, difference = PARTNERS[kind]
    stage = tfmixup.two_streams(MIXER, 4, partner=examples().map(change))
    message = f"partner must yield elements like the dataset's, but {difference}.*Map"
    with refused(ValueError, message, "two_streams"):
        examples().apply(stage)


@pytest.mark.parametrize("kind", ["shape", "dtype"])
def test_second_batch_unlike_the_first(kind):
    change, difference = PARTNERS[kind]
    first = (tf.zeros([4, 5]), tf.zeros([4, 3]))
    second = change(*first)
    if kind == "shape":
        second, difference = (tf.zeros([4, 6]), second[1]), r"shape \(4, 6\) is not"
    message = f"the second batch must yield elements like .*{difference}"
    with refused(ValueError, message, "pair"):
        MIXER.pair(first, second)


@pytest.mark.parametrize("partner", [[1, 2], "two", (tf.zeros([4, 5]),)])
def test_partner_that_is_no_dataset(partner):
    message = "partner must be a tf.data.Dataset, got .*leave it out to mix"
    with refused(TypeError, message, "two_streams"):
        tfmixup.two_streams(MIXER, 4, partner=partner)


def test_empty_partner():
    stage = tfmixup.two_streams(MIXER, 4, partner=examples().take(0))
    with refused(ValueError, "partner is empty: it has no example", "two_streams"):
        examples().apply(stage)


def test_partner_that_turns_out_empty():
    nothing = examples().filter(lambda x, y: False)
    mixed = examples().apply(tfmixup.two_streams(MIXER, 4, partner=nothing))
    # Its length is unknown until it is read: not silence, at least.
    message = "tfmixup.two_streams: partner is empty"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(mixed)


# Too few examples ------------------------------------------------------------------


@pytest.mark.parametrize("route", ["two_streams", "in_batch"])
def test_empty_dataset(route):
    with refused(ValueError, "the dataset is empty. Check the split, filter", route):
        ROUTES[route](examples().take(0), MIXER)


def test_fewer_examples_than_a_batch():
    message = "the dataset has 12 examples, fewer than batch_size=13, .*smaller batch_s"
    with refused(ValueError, message, "two_streams"):
        examples().apply(tfmixup.two_streams(MIXER, 13))
    with refused(ValueError, "the dataset is empty.*drop_remainder=True", "in_batch"):
        batches = examples().batch(13, drop_remainder=True)
        batches.apply(tfmixup.in_batch(MIXER))


@pytest.mark.parametrize("batch_size", [1, 5, 12, 13])
@pytest.mark.parametrize("route", ["two_streams", "in_batch", "map"])
def test_short_last_batches_and_batches_of_one_are_fine(route, batch_size):
    x = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    y = (x @ np.arange(15).reshape(5, 3)).astype(np.float32)
    dataset = examples(x, y)
    if route == "two_streams":
        stage = tfmixup.two_streams(MIXER, batch_size, drop_remainder=False)
        mixed = dataset.apply(stage)
    elif route == "in_batch":
        mixed = dataset.batch(batch_size).apply(tfmixup.in_batch(MIXER))
    else:
        mixed = dataset.batch(batch_size).map(MIXER)
    got = list(mixed.as_numpy_iterator())
    sizes = [min(batch_size, 12 - start) for start in range(0, 12, batch_size)]
    assert [len(features) for features, _ in got] == sizes
    assert len(mixed) == len(sizes)
    for features, targets in got:
        # Targets that are linear in the features stay so under any mixing.
        expected = features @ np.arange(15).reshape(5, 3)
        np.testing.assert_allclose(targets, expected, atol=1e-3)


# Errors of the source --------------------------------------------------------------


@each_route
def test_error_of_the_source_arrives_and_nothing_hangs(route):
    def decode(k):
        fine = tf.debugging.Assert(k != 30, ["cannot decode example 30"])
        with tf.control_dependencies([fine]):
            return tf.zeros([5]), tf.zeros([3])

    mixed = ROUTES[route](tf.data.Dataset.range(48).map(decode), MIXER)
    seen = []

    def iterate():
        try:
            for batch in mixed:
                seen.append(len(batch[0]))
        except Exception as error:
            seen.append(error)

    thread = threading.Thread(target=iterate, daemon=True)
    thread.start()
    thread.join(timeout=60)
    assert not thread.is_alive(), "hangs"
    *batches, error = seen
    # Every batch before that of example 30 has come.
    assert batches == [4] * 7
    assert isinstance(error, tf.errors.InvalidArgumentError)
    assert "cannot decode example 30" in str(error)


# At the mixer itself ----------------------------------------------------------------


@each_route
def test_elements_without_features(route):
    dataset = tf.data.Dataset.from_tensor_slices(((), tf.zeros([12, 3])))
    with refused(ValueError, r"elements have no features: x is \(\)", route):
        ROUTES[route](dataset, MIXER)


@pytest.mark.parametrize(
    ("seed", "came"),
    [
        (5, r"int32 of shape \(\)"),
        ([1, 2, 3], r"int32 of shape \(3,\)"),
        ([1.0, 2.0], r"float32 of shape \(2,\)"),
    ],
    ids=short,
)
def test_seed_of_one_batch(seed, came):
    batch = tf.zeros([4, 5]), tf.zeros([4, 3])
    message = rf"^tfmixup\.MixUp: seed must be two integers, .*got {came}"
    with refused(ValueError, message):
        MIXER(*batch, seed=seed)
    with refused(ValueError, message):
        MIXER.pair(batch, batch, seed=seed)


@pytest.mark.parametrize("name", ["feature_keys", "target_keys", "length_keys"])
@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        (("a", "a"), ValueError, r"=\('a', 'a'\) names a key twice"),
        ((["a"],), TypeError, r" must hold dict keys, got \['a'\] \(list\)"),
    ],
    ids=short,
)
def test_keys_that_are_no_set_of_keys(name, keys, error, message):
    with refused(error, rf"^tfmixup\.MixUp: {name}{message}"):
        tfmixup.MixUp(**{name: keys})


@pytest.mark.parametrize(
    "stage",
    [tfmixup.two_streams(MIXER, 4), tfmixup.in_batch(MIXER)],
    ids=["two_streams", "in_batch"],
)
def test_stages_of_what_is_no_dataset(stage):
    message = r"what it is applied to must be a tf.data.Dataset, got tuple.*from_tensor"
    with refused(TypeError, rf"^tfmixup\.(two_streams|in_batch): {message}"):
        stage((tf.zeros([8, 2]), tf.zeros([8, 1])))


def test_a_message_ends_with_the_page_that_explains_it():
    with refused(ValueError, r".*cannot be averaged.*float32\. See docs/guide\.md\.$"):
        MIXER(tf.zeros([4, 2]), tf.range(4))
