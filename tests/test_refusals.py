"""What cannot be mixed is refused, early, with a message that says what to do.

Arguments are refused at once, and elements when the pipeline is built: each once, by
`in_batch`, which looks at their specs alone. That the other entries pass a refusal on
in their own name is one test. At the end stands what no spec can tell.
"""

import dataclasses
import re
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup
from tests.reference import ROUTES, mixed

tfd = tfp.distributions

MIXER = tfmixup.MixUp(0.2)
CLASSES = tfmixup.MixUp(0.2, num_classes=3)
NAN, INF = float("nan"), float("inf")


def refused(error, message, name=None):
    """`pytest.raises`; the message begins with the name of what was called."""
    start = rf"^\W?tfmixup\.{name}: " if name else ""  # a KeyError's is quoted
    return pytest.raises(error, match=f"(?s){start}{message}")


def each(name, argument, error, message, *values, **others):
    """A row for each value of an argument; {} in the message is the value's repr."""
    return [
        (
            name,
            {**others, argument: value},
            error,
            f"{argument}{message}".replace("{}", re.escape(repr(value))),
        )
        for value in values
    ]


# Arguments --------------------------------------------------------------------------

V, T = ValueError, TypeError
NAN, INF = float("nan"), float("inf")
INTEGER, NUMBER = " must be an integer, got {}", " must be a number, got {}"
FRACTION = r" must be in \[0, 1\], got {}"
PAIR = r" must be a pair of numbers \(low, high\), got {}.*For example"
RANGE = " must satisfy 0 <= low < high <= 1, got {}.*For example"
EXTREME = r"=\S+ is beyond what float32 can draw"
NO_MASS = r"=\(0.6, 0.9\) holds \d.\de[+-]\d\d of the distribution of λ.*Widen lam"
OUTSIDE = " must have its support within .0, 1., but {} reaches from .*use Beta"
NO_DISTRIBUTION = " must be a tfp.distributions.Distribution, got .*For example"
NOT_SCALAR = " must be scalar, got batch shape .* and event shape .*scalar param"
SMOOTH = r".*CategoricalCrossentropy\(label_smoothing"


def mixture(shares, *components):
    """Without a quantile function: draws tell where it is."""
    return tfd.MixtureSameFamily(tfd.Categorical(probs=shares), *components)


ELSEWHERE = tfd.Uniform(0.0, 0.3), mixture([0.5, 0.5], tfd.Beta([80.0] * 2, 900.0))
BEYOND = {
    # Its draws are all in [0, 1]: 10,000 of them reach from 0.46 to 0.54.
    "Normal": tfd.Normal(0.5, 0.01),
    "Gamma": tfd.Gamma(2.0, 9.0),
    "Uniform": tfd.Uniform(-0.1, 0.5),
    "Deterministic": tfd.Deterministic(2.0),
    # Few of their draws are beyond 1.
    "Poisson": tfd.Poisson(2e-3),
    "Mix": mixture([0.99999, 0.00001], tfd.Uniform([0.0, 2.0], [1.0, 3.0])),
}
MASKS = {"num_classes": 3, "ignore_label": 255}
TWO = {"mixers": [MIXER, MIXER]}
STREAMS = {"mixer": MIXER, "batch_size": 4}
REMIX2, RATE = {"class_counts": [3, 1]}, {"sample_rate": 8000}
HUGE = 10**400  # no float can hold it
NO_MIXERS = tfmixup.MixUp, 0.2, None, lambda x, y: (x, y)

# fmt: off
ARGUMENTS = [
    *each("MixUp", "alpha", V,
        " must be finite and not negative, got {}.*Use alpha=0 f", -0.1, NAN, INF),
    *(
        row
        for name, argument, value, others in [
            ("MixUp", "alpha", HUGE, {}),
            ("MixUp", "probability", HUGE, {}),
            ("MixUp", "lam_range", (0, HUGE), {}),
            ("MixUp", "label_smoothing", HUGE, {"num_classes": 3}),
            ("CMixup", "bandwidth", HUGE, {}),
            ("Remix", "class_counts", [3, HUGE], {}),
            ("Remix", "kappa", HUGE, REMIX2),
            ("RandomChoice", "weights", (HUGE, 1), TWO),
            ("BetweenClass", "sample_rate", HUGE, {}),
            ("two_streams", "batch_size", HUGE, {"mixer": MIXER}),
            ("two_streams", "shuffle_buffer_size", HUGE, STREAMS),
        ]
        for row in each(name, argument, V, " must (be|satisfy) .*got .*000", value,
            **others)
    ),
    *each("MixUp", "alpha", T, NUMBER + r" \(.*Pass a Python float, such as alpha=0.2",
        "0.2", True, None, (0.2, 0.4)),
    *each("MixUp", "alpha", V, EXTREME, 1e-40, 1e-31, 1e31, 1e40),
    *each("MixUp", "lam_range", V, RANGE, (-0.1, 0.9), (0.1, 1.1), (0.9, 0.1),
        (0.5, 0.5), (0.1, NAN)),
    *each("MixUp", "lam_range", T, PAIR, 0.5, (0.1, 0.5, 0.9), "ab", (True, False)),
    *each("MixUp", "lam_range", V, NO_MASS, (0.6, 0.9), alpha=1e-14),
    *(
        row
        for d in ELSEWHERE
        for row in each("MixUp", "lam_range", V, NO_MASS, (0.6, 0.9), distribution=d)
    ),
    *each("MixUp", "distribution", T, NO_DISTRIBUTION, 0.5, tfd.Beta),
    *each("MixUp", "distribution", V, NOT_SCALAR, tfd.Beta([1.0, 2.0], 1.0),
        tfd.Dirichlet([1.0] * 3)),
    *(
        row
        for name, d in BEYOND.items()
        for row in each("MixUp", "distribution", V, OUTSIDE.format(name + r"\S*"), d)
    ),
    *each("MixUp", "probability", V, FRACTION + ".*share, not as a percentage", 1.5, 50,
        NAN),
    *each("MixUp", "probability", T, r" must be a number in \[0, 1\], got {}", "1"),
    *each("MixUp", "num_classes", V, " must be at least 2, got {}", 0, 1),
    *each("MixUp", "num_classes", T, INTEGER, 2.5, True),
    *each("MixUp", "label_smoothing", V, r" must be in \[0, 1\), got {}", 1.0, -0.1,
        num_classes=3),
    *each("MixUp", "label_smoothing", V,
        "={} is for integer labels and needs num_cl.*" + SMOOTH, 0.1),
    *each("MixUp", "label_smoothing", V, "={} is for one class an", 0.1, num_classes=3,
        targets="union"),
    *each("MixUp", "targets", V, " must be one of 'blend', 'pair', 'union'; got {}",
        "mean"),
    *each("MixUp", "per", V, " must be one of 'example', 'batch'; got {}", "image"),
    *each("MixUp", "dtype", V,
        " must be one of 'float32', 'float16', 'bfloat16', 'float64', 'uint8'; got {}",
        "int8"),
    *each("MixUp", "dtype", V, " must be one of .*; got 'int32'", tf.int32),
    *each("MixUp", "jit_compile", V, " must be one of True, False, 'auto'; got {}",
        "yes", 1),
    *each("MixUp", "feature_keys", V, " is empty: name at least one", ()),
    ("MixUp", {"feature_keys": ("a", "b"), "target_keys": ("b",)}, V,
        "'b' is in both feature_keys and target_keys. Leave it in one"),
    *(
        row
        for keys in ("feature_keys", "target_keys", "length_keys", "keep_keys")
        for row in (
            *each(
                "MixUp",
                keys,
                T,
                r" must be a tuple of dict keys, got {}. Write \w+=\({},\)",
                "a",
            ),
            *each("MixUp", keys, V, "={} names a key twice", ("a", "a")),
            *each(
                "MixUp",
                keys,
                T,
                r" must hold dict keys, got \['a'\] \(list\)",
                (["a"],),
            ),
        )
    ),
    *each("MixUp", "integer_masks", V, "={} keeps one class id a pixel, but .*CutMix",
        True, num_classes=3),
    *each("MixUp", "integer_masks", T, " must be True or False, got {}", 1),
    *each("CutMix", "label_smoothing", V, "={} cannot be told", 0.1, num_classes=3,
        integer_masks=True),
    *each("MixUp", "ignore_label", V, "={} is a class, being below num", 2,
        num_classes=3),
    *each("MixUp", "ignore_label", T, " must be an integer, NaN or None, got {}", 2.5,
        True, "-1", float("inf"), num_classes=3),
    *each("MixUp", "num_classes", V, "={} is more than 16,777,216, .*pair", 2**31),
    *each("CutMix", "integer_masks", V, "={} needs num_classes=.*stay ids", True),
    *each("CutMix", "alpha", V, " must be finite and not negative, got {}", -1),
    *each("ResizeMix", "scale", V, RANGE, (0.8, 0.1)),
    *each("ResizeMix", "scale", T, PAIR, 0.5),
    *each("ResizeMix", "per", V, " must be one of 'example', 'batch'; got {}", "image"),
    *each("ResizeMix", "probability", V, FRACTION, 2),
    *each("ResizeMix", "interpolation", V,
        " must be one of 'bilinear', 'nearest'; got {}", "cubic"),
    *each("Mosaic", "centre_range", V, RANGE, (0.8, 0.1), (0.5, 0.5), (0, 1.5)),
    *each("Mosaic", "centre_range", T, PAIR, 0.5),
    *each("Mosaic", "per", V, " must be one of 'example', 'batch'; got {}", "image"),
    *each("Mosaic", "probability", V, FRACTION, 2),
    *each("Remix", "class_counts", T, " must be a sequence of numbers.*got {}", 3,
        {0: 3}, "abc"),
    *each("Remix", "class_counts", V, " must have at least two", [3]),
    *each("Remix", "class_counts", T, " must be numbers, got .* for class 1", [3, "a"]),
    *each("Remix", "class_counts", V,
        " must be positive and finite, got .* for class 1", [3, 0], [3, NAN]),
    *each("Remix", "class_counts", T, " must be numbers, got .* for class 0",
        np.ones([2, 2])),
    *each("Remix", "num_classes", V, "={}, but class_counts has 2", 3, **REMIX2),
    *each("Remix", "kappa", V, " must be finite and at least 1, got {}", 0.5, INF,
        **REMIX2),
    *each("Remix", "kappa", T, NUMBER, "3", **REMIX2),
    *each("Remix", "tau", V, FRACTION, 1.5, **REMIX2),
    *each("CMixup", "bandwidth", T,
        " must be a number in the unit of the labels, got {}", "1", None, True),
    *each("CMixup", "bandwidth", V, " must be finite and at least 1e-30, got {}", 0,
        -1.0, 1e-31, NAN, INF),
    *each("BetweenClass", "sample_rate", T, INTEGER, 0.2),
    *each("BetweenClass", "sample_rate", V, " must be at least 1000, got {}", 1),
    *each("BetweenClass", "alpha", V, " must be finite and not negative, got {}", -1,
        **RATE),
    *each("BetweenClass", "dtype", V, "={} cannot hold waveforms", "uint8", **RATE),
    *each("RandomChoice", "mixers", T, " must be a list of mixers, got {}", MIXER),
    *each("RandomChoice", "mixers", T, " must be mixers, such as", [tfmixup.MixUp]),
    *each("RandomChoice", "mixers", V, " must be one or more", []),
    *each("RandomChoice", "weights", V, " must be 2 positive numbers.*got {}.*odds",
        (1,), (1, 0), (1, "3"), **TWO),
    *each("RandomChoice", "weights", V, " must have a finite sum", (1e308, 1e308),
        **TWO),
    *each("RandomChoice", "weights", T, " must be a list of numbers, .*got {}", 0.5,
        **TWO),
    *each("RandomChoice", "per", V, " must be one of 'batch', 'example'; got {}",
        "image", **TWO),
    *each("two_streams", "mixer", T, " must be a mixer such as tfmixup.MixUp",
        *NO_MIXERS, batch_size=4),
    *each("in_batch", "mixer", T, " must be a mixer such as tfmixup.MixUp", *NO_MIXERS),
    *each("two_streams", "batch_size", V, " must be at least 1, got {}", 0, -1,
        mixer=MIXER),
    *each("two_streams", "batch_size", T, INTEGER, 2.5, True, mixer=MIXER),
    *each("two_streams", "shuffle_buffer_size", V, " must be at least 1, got {}", 0,
        **STREAMS),
    *each("two_streams", "seed", T, " must be an integer or None, got {}", "a",
        **STREAMS),
    *each("two_streams", "drop_remainder", T, " must be True or False, got {}", 1,
        **STREAMS),
    *each("two_streams", "keep_originals", V,
        " must be one of False, True, 'same_batch'; got {}", "no", 1, **STREAMS),
    *each("two_streams", "partner", T, " must be a tf.data.Dataset, got .*leave it out",
        [1, 2], **STREAMS),
    *each("two_streams", "padding_values", V, "={} needs padded_shapes", 0, **STREAMS),
    *each("in_batch", "seed", T, " must be an integer or None, got {}", "a", 1.5, True,
        mixer=MIXER),
]
# fmt: on


@pytest.mark.parametrize(("name", "arguments", "error", "message"), ARGUMENTS)
def test_arguments(name, arguments, error, message):
    with refused(error, message, name):
        getattr(tfmixup, name)(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("/gpu:7",), ValueError, r"there is no device '/gpu:7'.*pass one of them, or"),
        (("nonsense",), ValueError, r"there is no device 'nonsense'.*CPU:0"),
        (("",), ValueError, "there is no device ''"),
        ((0,), TypeError, r"device must be a string, got 0. For example '/gpu:0'"),
        (("auto", 0), ValueError, "buffer_size must be at least 1, got 0"),
        (("auto", 1.5), TypeError, "buffer_size must be an integer, got 1.5"),
        (("auto", [2]), TypeError, r"buffer_size must be an integer, got \[2\]"),
        (("auto", HUGE), ValueError, r"buffer_size must be less than 2\*\*63"),
    ],
)
def test_prefetch_to_device(arguments, error, message):
    with refused(error, message, "prefetch_to_device"):
        tf.data.Dataset.range(2).apply(tfmixup.prefetch_to_device(*arguments))


@pytest.mark.parametrize(
    ("seed", "came"),
    [
        (5, r"int32 of shape \(\)"),
        ([1, 2, 3], r"int32 of shape \(3,\)"),
        ([1.0, 2.0], r"float32 of shape \(2,\)"),
        ([True, False], r"bool of shape \(2,\)"),
        ("a", r"string of shape \(\)"),
        ([None, 1], r"\[None, 1\]"),
        ([[1, 2], [3]], r"\[\[1, 2\], \[3\]\]"),
        ([2**70, 1], r"\[1180591620717411303424, 1\]"),
        ({"a": 1}, r"\{'a': 1\}"),
    ],
)
def test_seed_of_one_batch(seed, came):
    for call, name in (
        (lambda: MIXER(X, Y, seed=seed), "MixUp"),
        (lambda: MIXER.pair((X, Y), (X, Y), seed), "MixUp"),
        (lambda: MIXER.sample(4, seed), None),
        (lambda: CHOICE.sample(4, seed), None),
    ):
        with refused(ValueError, f"seed must be two integers, .*got {came}", name):
            call()


@pytest.mark.parametrize("mixer", [MIXER, tfmixup.CutMix(), tfmixup.ResizeMix()])
def test_sample(mixer):
    with refused(ValueError, "seed must be two integers, .*got None"):
        mixer.sample(4, None)
    for size in ("a", 2.5, None):
        with refused(TypeError, f"batch_size must be an integer, got {size!r}"):
            mixer.sample(size, [1, 2])
    with refused(ValueError, "batch_size must be at least 0, got -1"):
        mixer.sample(-1, [1, 2])


def test_replace_checks_again():
    with refused(TypeError, "num_classes must be an integer", "MixUp"):
        dataclasses.replace(CLASSES, num_classes="3")


# Elements ---------------------------------------------------------------------------

N, H, W = 4, 6, 10
OTHERS = [(5, 7), (W, H), (4, 4, 2)]  # sizes


def zeros(*shape, dtype="float32"):
    return tf.zeros([N, *shape], dtype)


X, Y, IDS = zeros(5), zeros(3), zeros(dtype="int64")
IMAGE, MASK = zeros(H, W, 3), zeros(H, W, dtype="uint8")
RAGGED = tf.ragged.constant([[1.0], [], [2.0], [3.0]])
SPARSE = tf.sparse.from_dense(np.eye(N, 5, dtype=np.float32))
BYTES = tfmixup.MixUp(0.2, dtype="uint8")
CUTMIX, CUTMIX3 = tfmixup.CutMix(), tfmixup.CutMix(num_classes=3)
IGNORING = tfmixup.MixUp(num_classes=3, ignore_label=255)
LENGTHS = tfmixup.MixUp(feature_keys=("x",), length_keys=("n",))
KEEPING = tfmixup.MixUp(keep_keys=("id",))
KEYED_X_N = tfmixup.MixUp(feature_keys=("x", "n"))
REMIX, CMIXUP = tfmixup.Remix([3, 1]), tfmixup.CMixup(1.0)
BETWEEN = tfmixup.BetweenClass(16_000)
CHOICE = tfmixup.RandomChoice([MIXER, CUTMIX])

FEATURES = r"features must be numbers, got {}\(.*Decode or cast.*keep_keys"
COMPLEX = r"features must be real numbers, got complex64\(4, 5\). Make channels of .*st"
NAMES = (
    r"features must be quantities, got {0}\(.*\){1}\. .*cannot be averaged. Cast quanti"
    "ties to float32. Leave names unmixed: {2}. Or mix their embeddings inside the netw"
)
BY_DICT = r"map the dataset to \({'x': x, 'ids': ids}, y\) and name 'ids' in keep_keys"
BY_KEY = r"name {} in keep_keys \(and not in feature_keys\)"
HALVES = "dtype='float16' holds numbers up to 65504, got {}.*'bfloat16'"
BYTES8 = r"dtype='uint8' .*takes uint8 features, got {}\(.*Use dtype='float32"
INTEGERS = r"targets are integers \(int64\(.*cannot be averaged. Pass num_classes="
TARGETS = "targets must be numbers, got {} of shape .*StringLookup"
NO_ID = r"integer class labels must have shape \(batch,\) or .*to float32"
NO_IMAGE = r"{} pastes rectangles and needs images .*got float32\(.*use tfmixup.MixUp"
SIZE = (
    r"a mask must have the size of its image, .*got int64\(.*\) beside features .*"
    "Resize it with method='nearest'.*one-hot already to float32"
)
NO_CLASSES = r"targets are integer masks \(uint8\(.*Pass num_classes=..., so that they"
NO_MASK = r".*is for integer masks \(batch, height, width\), and the targets are int"
NO_IDS = "ignore_label={} is for class ids, or for float targets .*got|targets are {}"
PASTED = "CutMix pastes the same box into targets of three dimensions and more.*got "
ONE_LAMBDA = "targets='{}' has one λ for the whole target, but CutMix takes ev"
WEIGHTS = r"a sample weight belongs to its target: .*got float32\(.*for the target "
BATCHES = r"elements must be batches.*float32.*Call dataset\.batch\(batch_size\)"
FORM = r"elements must be \(x, y\), .* a dict or x alone, got {}.*as_supervised="
KEY = r"elements have no key '{0}', which {1}=.*they have \[.*\]. Pass {1}=\(...\)"
LENGTH = "length_keys name integer lengths or .*'n' is {} of shape .*Cast it"
WAVES = r"BetweenClass mixes waveforms \(batch, time\) or .*got {}"
REMIXED = r"Remix looks up the classes .*ids .*one-hot \(batch, 2\)"
UNION = tfmixup.MixUp(targets="union")
SMOOTHED = tfmixup.MixUp(num_classes=3, label_smoothing=0.1)
IDS_MASKS = tfmixup.CutMix(num_classes=3, integer_masks=True)


def rows(error, message, mixer, *elements):
    return [(mixer, element, error, message) for element in elements]


# fmt: off
ELEMENTS = [
    # Features and weights
    *rows(T, FEATURES.format("string"), MIXER, (zeros(5, dtype="string"), Y)),
    *rows(T, COMPLEX, MIXER, (zeros(5, dtype="complex64"), Y)),
    *(
        row
        for d in ("bool", "int32", "int64", "uint32", "uint64")
        for row in rows(T, NAMES.format(d, "", BY_DICT), MIXER, (zeros(5, dtype=d), Y))
    ),
    *rows(T, NAMES.format("int64", " at 1", BY_DICT), MIXER, ((X, IDS), Y)),
    *rows(T, NAMES.format("int64", " at 'n'", BY_KEY.format("'n'")), KEYED_X_N,
        ({"x": X, "n": IDS}, Y), {"x": X, "n": IDS, "label": Y}),
    *rows(T, NAMES.format("int64", " at 'a'/0", BY_KEY.format("'a'")), MIXER,
        ({"a": (IDS, X)}, Y)),
    *rows(T, NAMES.format("bool", "", ".*") + ".*padding mask is named in length_keys",
        BETWEEN, (IDS > 0, Y)),
    *(
        row
        for mixer in (CUTMIX, tfmixup.ResizeMix(), tfmixup.Mosaic(), CHOICE,
            MIXER.off(),
            tfmixup.RandomChoice([BETWEEN, tfmixup.MixUp(feature_keys=("audio",))]))
        for row in rows(T, NAMES.format("int32", "", BY_DICT), mixer,
            (zeros(H, W, 3, dtype="int32"), Y))
    ),
    *rows(KeyError, KEY.format("id", "keep_keys"), KEEPING, ({"x": X}, Y),
        {"image": X, "label": Y}),
    *rows(T, r"keep_keys=\('id',\) needs elements or features that are dicts. Map",
        KEEPING, (X, Y)),
    *rows(V, r"elements have no features: x is \{\}.*take a key out of keep_keys",
        KEEPING, ({"id": IDS}, Y)),
    *(
        row
        for d in ("float32", "int32")
        for row in rows(T, BYTES8.format(d), BYTES, (zeros(5, dtype=d), Y))
    ),
    *(
        row
        for d in ("uint16", "uint32")
        for row in rows(T, HALVES.format(d), tfmixup.MixUp(0.2, dtype="float16"),
            (zeros(5, dtype=d), Y))
    ),
    *rows(T, r"features must be dense tensors, got \S*Ragged.*Pad ragged", MIXER,
        (RAGGED, Y)),
    *rows(T, r"features must be dense tensors, got \S*Sparse.*densify", MIXER,
        (SPARSE, Y)),
    *rows(T, "features must be dense tensors, got None.*leave None out", MIXER,
        ((X, None), Y)),
    *rows(V, r"elements have no features: x is \(\)", MIXER, ((), Y)),
    *rows(T, "sample_weight must be numbers, got bool.*Cast", MIXER, (X, Y, IDS > 0)),
    *rows(T, "sample weights must be dense tensors, got .*Ragged", MIXER,
        (X, Y, RAGGED)),
    # Targets
    *rows(V, INTEGERS, MIXER, (X, IDS), (X, zeros(1, dtype="int64"))),
    *rows(V, INTEGERS, UNION, (X, IDS)),
    *rows(V, NO_ID, CLASSES, (X, zeros(3, dtype="int32"))),
    *rows(V, "num_classes=3 is for integer class labels, but.*float32", CLASSES,
        (X, Y[:, :1]), (X, Y[:, 0])),
    *rows(V, "label_smoothing=0.1 is for integer class", SMOOTHED, (X, Y)),
    *rows(T, TARGETS.format("string"), CLASSES, (X, zeros(dtype="string"))),
    *rows(T, TARGETS.format("bool"), CLASSES, (X, zeros(dtype="bool"))),
    *rows(T, r"targets must be dense tensors, got \S*Ragged.*Pad or dens", MIXER,
        (X, RAGGED)),
    *rows(T, r"targets must be dense tensors, got \S*Sparse.*Pad or dens", MIXER,
        (X, SPARSE)),
    # Forms
    *rows(T, FORM.format("tuple of 4"), MIXER, (X, Y, Y, Y)),
    *rows(KeyError, KEY.format("image", "feature_keys"), MIXER, {"x": X, "label": Y}),
    *rows(KeyError, KEY.format("label", "target_keys"), MIXER, {"image": X, "y": Y}),
    *rows(KeyError, KEY.format("n", "length_keys"), LENGTHS, {"x": X, "label": Y},
        ({"x": X}, Y)),
    *rows(T, "length_keys=.* needs elements or features that are d", LENGTHS, (X, Y)),
    *rows(T, LENGTH.format("float32"), LENGTHS, ({"x": X, "n": zeros()}, Y)),
    *rows(T, LENGTH.format("string"), LENGTHS,
        ({"x": X, "n": zeros(dtype="string")}, Y)),
    *rows(V, BATCHES, MIXER, (X[0], Y[0, 0]), {"image": X[0], "label": Y[0, 0]},
        (X, Y[:2])),
    *rows(V, BATCHES, MIXER, (X, Y, tf.constant(1.0)), ((X, X[:1]), Y)),
    # Images
    *rows(V, NO_IMAGE.format("CutMix"), CUTMIX, (X, Y), (zeros(4, 5), Y),
        (zeros(2, 2, 4, 5, 3), Y)),
    *rows(V, NO_IMAGE.format("ResizeMix"), tfmixup.ResizeMix(), (X, Y),
        (zeros(4, 5), Y)),
    *rows(V, NO_IMAGE.format("CutMix"), CHOICE, (X, Y)),
    *(
        row
        for mixer in (CUTMIX, tfmixup.ResizeMix())
        for shape in ((0, 4, 3), (4, 0, 3), (2, 4, 0, 3))
        for row in rows(V, r"\w+Mix needs elements along .*got float32\(4, ", mixer,
            (zeros(*shape), Y))
    ),
    *rows(V, "CutMix mixes all features alike, and they differ in he", CUTMIX,
        ((IMAGE, zeros(W, H, 3)), Y)),
    *rows(V, PASTED, CUTMIX, *((IMAGE, zeros(*s)) for s in OTHERS)),
    *rows(V, WEIGHTS, CUTMIX, *((IMAGE, Y, zeros(*s)) for s in OTHERS)),
    *rows(V, ONE_LAMBDA.format("pair"), tfmixup.CutMix(targets="pair"),
        (IMAGE, zeros(H, W)), (IMAGE, MASK)),
    *rows(V, ONE_LAMBDA.format("union"), tfmixup.CutMix(targets="union"),
        (IMAGE, zeros(H, W, 4))),
    # Masks
    *(
        row
        for mixer in (CLASSES, CUTMIX3)
        for s in [(5, 7), (3, 2), (W, H, 1), (H, W, 2), (3, H, W)]
        for row in rows(V, SIZE if mixer is CLASSES or s == (H, W, 2) else PASTED,
            mixer, (IMAGE, zeros(*s, dtype="int64")))
    ),
    *rows(V, NO_CLASSES, MIXER, (IMAGE, MASK)),
    *rows(V, NO_CLASSES, CUTMIX, (IMAGE, MASK)),
    *rows(V, NO_IDS.format(255, "float32"), IGNORING, (IMAGE, zeros(3))),
    *rows(V, NO_IDS.format("nan", "int64"), tfmixup.MixUp(num_classes=3,
        ignore_label=float("nan")), (IMAGE, IDS)),
    *rows(V, NO_MASK, IDS_MASKS, (IMAGE, IDS)),
    *rows(V, WEIGHTS, IGNORING,
        *((IMAGE, MASK, zeros(*s)) for s in [(H, W, 3), (W, H)]),
        (IMAGE, IDS, zeros(2)), (IMAGE, IDS, zeros(H, W)),
        (IMAGE, (MASK, IDS), zeros(H, W))),
    *rows(V, "sample weights must be one tensor", IGNORING,
        (IMAGE, (MASK, MASK), (IDS, IDS, IDS))),
    # Labels that a mixer looks at, and waveforms
    *rows(V, REMIXED, REMIX, (IMAGE, zeros(5)), (IMAGE, zeros()), (IMAGE, MASK)),
    *rows(V, "this mixer looks at one label, .*2 targets", REMIX, (IMAGE, (Y, Y))),
    *rows(V, "this mixer looks at one label, .*2 targets", CMIXUP, (X, (Y, Y))),
    *rows(T, "CMixup draws .*float32; for classes", CMIXUP, (X, IDS)),
    *rows(V, WAVES.format(r"float32\(4, 100, 64\). Mix before"), BETWEEN,
        (zeros(100, 64), Y)),
    *rows(V, WAVES.format(".*mean several channels"), BETWEEN, (zeros(100, 2), Y),
        (IMAGE, Y), (zeros(), Y)),
    *rows(T, r"waveforms must be .*signed integers, got uint8\(4, 100\). Unsigned",
        BETWEEN, (zeros(100, dtype="uint8"), Y)),
]
# fmt: on


@pytest.mark.parametrize(("mixer", "element", "error", "message"), ELEMENTS)
def test_elements(mixer, element, error, message):
    batches = tf.data.Dataset.from_tensors(element)
    with refused(error, message, "in_batch"):
        batches.apply(tfmixup.in_batch(mixer))


def test_a_message_ends_with_the_page_that_explains_it():
    with refused(
        ValueError,
        r".*cannot be averaged.*float32.*\. See the page \"Guide\" of the doc",
    ):
        MIXER(X, IDS)


def slices(element):
    return tf.data.Dataset.from_tensor_slices(element)


ENTRIES = {
    "two_streams": lambda e, mixer: slices(e).apply(tfmixup.two_streams(mixer, 2)),
    "in_batch": lambda e, mixer: slices(e).batch(2).apply(tfmixup.in_batch(mixer)),
    "from_tensors": lambda e, mixer: tfmixup.from_tensors(e, mixer, 2),
    "map": lambda e, mixer: slices(e).batch(2).map(mixer),
    "pair": lambda e, mixer: tf.data.Dataset.zip((slices(e).batch(2),) * 2).map(
        mixer.pair
    ),
    "call": lambda e, mixer: mixer(e),
    "pair by hand": lambda e, mixer: mixer.pair(e, e),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_passes_a_refusal_on_in_its_own_name(entry):
    for mixer, element, error, message in [
        (MIXER, (zeros(5, dtype="string"), Y), TypeError, FEATURES.format("string")),
        (MIXER, (X, IDS), ValueError, INTEGERS),
        (
            MIXER,
            {"x": X, "label": Y},
            KeyError,
            KEY.format("image", "feature_keys"),
        ),
        (CUTMIX, (X, Y), ValueError, NO_IMAGE.format("CutMix")),
        (CHOICE, (X, Y), ValueError, NO_IMAGE.format("CutMix")),
        (REMIX, (X, Y), ValueError, "Remix looks up the classes"),
        (BETWEEN, (zeros(100, 2), Y), ValueError, WAVES.format("")),
    ]:
        kind = type(mixer).__name__
        name = kind if entry in ("map", "pair", "call", "pair by hand") else entry
        with refused(error, message, name):
            ENTRIES[entry](element, mixer)


@pytest.mark.parametrize("route", ["two_streams", "in_batch", "map", "pair"])
def test_none_among_features_and_targets(route):
    name = route if route in tfmixup.__all__ else "MixUp"
    for element, role in [
        (lambda x, y: ((x, None), y), "features"),
        (lambda x, y: (x, (y, None)), "targets"),
    ]:
        with refused(TypeError, f"{role} must be dense tensors, got None", name):
            mixed(route, examples().map(element), MIXER, 4)


@pytest.mark.parametrize("route", ["two_streams", "in_batch", "map", "pair", "partner"])
def test_no_sample_weights_as_keras_has_them(route):
    dataset = examples().map(lambda x, y: (x, y, None))
    options = {}
    if route == "partner":
        options = {"partner": examples(), "padded_shapes": ([5], [3])}
    route = "two_streams" if route == "partner" else route
    batches = list(mixed(route, dataset, MIXER, 4, **options))
    assert [[*map(len, batch)] for batch in batches] == [[4, 4]] * 3


@pytest.mark.parametrize("partner", [True, False])
def test_other_keys_that_are_no_tensors(partner):
    def element(other):
        return lambda x, y: {"image": x, "label": y, "other": other(x)}

    def stage(dataset):
        return tfmixup.two_streams(MIXER, 4, partner=dataset if partner else None)

    nothing = examples().map(element(lambda x: None))
    assert len(list(nothing.apply(stage(nothing)))) == 3
    for other, kind in [
        (tf.experimental.Optional.from_value, "OptionalSpec"),
        (lambda x: tf.TensorArray(tf.float32, 1).unstack([x]), "TensorArraySpec"),
    ]:
        dataset = examples().map(element(other))
        with refused(
            TypeError, rf"element\['other'\] is of {kind}, which .*Leave", "two_streams"
        ):
            dataset.apply(stage(dataset))
    some = examples().map(element(tf.data.Dataset.from_tensors))
    message = "partner must yield .*NoneTensorSpec.* is not DatasetSpec"
    with refused(ValueError, message, "two_streams"):
        some.apply(tfmixup.two_streams(MIXER, 4, partner=nothing))


def test_errors_keep_the_name_in_a_function_that_autograph_converts():
    def apply(*batch):
        return MIXER.apply(batch, batch, tfmixup.MixUpParams(tf.ones([1])))

    def apply_in_batch(*batch):
        return MIXER.apply_in_batch(batch, [1, 0], tfmixup.MixUpParams(tf.ones([1])))

    for function in (apply, apply_in_batch):
        with pytest.raises(ValueError, match=f"tfmixup.MixUp: {INTEGERS}"):
            slices((X, IDS)).batch(2).map(function)


@pytest.mark.parametrize("entry", ["two_streams", "in_batch", "map", "pair"])
def test_every_pipeline_refuses_ragged_and_sparse_parts(entry):
    name = "MixUp" if entry in ("map", "pair") else entry
    for composite in (RAGGED, SPARSE):
        with refused(TypeError, "features must be dense tensors", name):
            ENTRIES[entry]((composite, Y), MIXER)
        with refused(TypeError, "targets must be dense tensors", name):
            ENTRIES[entry]((X, composite), MIXER)


def test_lists_are_no_elements_and_a_pair_of_batches_is_none():
    for call in (MIXER, lambda e: MIXER.pair(e, e)):
        with refused(TypeError, r"elements must be \(x, y\).*got list", "MixUp"):
            call([X, Y])
    with refused(
        ValueError, r"the element looks like .*map mixer\.pair over the zipped", "MixUp"
    ):
        CLASSES((X, IDS), (X, IDS))


STAGES = {
    "two_streams": tfmixup.two_streams(MIXER, 4),
    "in_batch": tfmixup.in_batch(MIXER),
    "prefetch_to_device": tfmixup.prefetch_to_device(),
}


class Sequence(keras.utils.PyDataset):
    """Batches as Keras has them."""

    def __len__(self):
        return 2

    def __getitem__(self, k):
        return np.zeros([4, 5], "float32"), np.zeros([4, 3], "float32")


@pytest.mark.parametrize("name", STAGES)
def test_stages_of_what_is_no_dataset(name):
    message = r"what it is applied to must be a tf.data.Dataset, got tuple.*from_tensor"
    with refused(TypeError, message, name):
        STAGES[name]((X, Y))
    message = r"what it is applied to must not be a keras.utils.PyDataset, got Sequence"
    with refused(TypeError, rf"{message}.*__getitem__.*from_generator\(", name):
        STAGES[name](Sequence())


@pytest.mark.parametrize("name", STAGES)
def test_stages_that_are_mapped(name):
    message = (
        rf"this is a function for Dataset.apply, .*Write \w+.apply\(tfmixup.{name}"
    )
    for batches in (slices((X, Y)), slices({"image": X, "label": Y})):
        with refused(TypeError, message, name):
            batches.batch(2).map(STAGES[name])


def test_mixers_that_are_applied():
    message = r".*Write batches.map\(mixer\), or batches.apply\(tfmixup.in_batch\(mixer"
    with refused(TypeError, message, "MixUp"):
        slices((X, Y)).batch(2).apply(MIXER)
    with refused(TypeError, "a batch must not be a keras.utils.PyDataset", "MixUp"):
        MIXER(Sequence())
    with refused(
        TypeError, "tensors must not be a keras.utils.PyDataset", "from_tensors"
    ):
        tfmixup.from_tensors(Sequence(), MIXER, 2)


def test_a_py_dataset_is_mixed_as_the_message_says():
    class Mixed(Sequence):
        def __getitem__(self, k):
            return MIXER(*super().__getitem__(k))

    spec = tf.TensorSpec([4, 5]), tf.TensorSpec([4, 3])
    data = Sequence()
    batches = tf.data.Dataset.from_generator(
        lambda: (data[k] for k in range(len(data))), output_signature=spec
    )
    model = keras.Sequential([keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    for given in (Mixed(), batches.apply(tfmixup.in_batch(MIXER))):
        model.fit(given, verbose=0, shuffle=False)


def test_unknown_number_of_dimensions():
    spec = (tf.TensorSpec(None), tf.TensorSpec([3]))
    dataset = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=spec)
    message = "the number of dimensions must be known.*ensure_shape"
    for route in ROUTES:
        with refused(ValueError, message):
            mixed(route, dataset, MIXER, 4)


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
@pytest.mark.parametrize("key", ["bbox", "boxes", "Bounding_Boxes"])
def test_boxes_by_their_name(key, name):
    boxes, labels = zeros(2, 4), zeros(2, dtype="int64")
    message = f"the target '{key}' looks like bounding boxes, and corners of boxes cann"
    for y in ({key: boxes, "classes": labels}, ({"a": {key: boxes}}, labels)):
        batches = tf.data.Dataset.from_tensors((IMAGE, y))
        with refused(ValueError, message, "in_batch"):
            batches.apply(tfmixup.in_batch(getattr(tfmixup, name)(num_classes=3)))


def test_boxes_of_a_detection_set():
    # As TFDS yields them: a dict of boxes and of labels, as many as there are objects.
    spec = {
        "image": tf.TensorSpec([H, W, 3]),
        "label": tf.TensorSpec([], tf.int64),
        "objects": {"bbox": tf.TensorSpec([None, 4]), "label": tf.TensorSpec([None])},
    }
    ds = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=spec)
    mixer = tfmixup.MixUp(target_keys=("objects",))
    message = r"the target 'bbox' looks like bounding boxes.*max_boxes=\.\.\."
    with refused(ValueError, message, "two_streams"):
        ds.apply(tfmixup.two_streams(mixer, 4))
    batches = ds.ragged_batch(4)
    with refused(ValueError, message, "in_batch"):
        batches.apply(tfmixup.in_batch(mixer))
    # Left out of target_keys they pass through from the first example.
    labels = batches.apply(tfmixup.in_batch(CLASSES))
    assert labels.element_spec["objects"] == batches.element_spec["objects"]


def test_four_numbers_that_are_no_boxes_go_in_a_tuple():
    steps, ids = zeros(7, 4), zeros(7, dtype="int64")
    mixer = tfmixup.MixUp(targets="pair")
    with refused(ValueError, ".*no boxes, give targets as a tuple, not a dict"):
        mixer(X, {"steps": steps, "ids": ids})
    assert mixer(X, (steps, ids))[1][0][0].shape == [N, 7, 4]


# What two_streams refuses -----------------------------------------------------------


def examples(n=12):
    return slices((tf.zeros([n, 5]), tf.zeros([n, 3])))


@pytest.mark.parametrize(
    "batches",
    [
        examples().batch(4),
        slices({"image": X, "label": Y}).batch(2),
        slices((X, IDS)).batch(2),
        slices((X, IDS)).batch(2, drop_remainder=True),
        slices({"image": X, "label": IDS}).batch(2, drop_remainder=True),
        # Integer vectors are a batch of class ids just as well as one-hot labels.
        slices((X, zeros(3, dtype="int32"))),
    ],
)
def test_batches(batches):
    message = "elements must be single examples.*remove .batch.*unbatch.*in_batch"
    with refused(ValueError, message, "two_streams"):
        batches.apply(tfmixup.two_streams(CLASSES, 4))


def test_examples_of_unknown_size():
    for shape, label, mixer, hint in [
        (
            [None, None, 3],
            [None, None],
            CLASSES,
            "unknown size need one: tf.ensure_shape",
        ),
        ([None], [None], MIXER, "different length need padded_shapes"),
    ]:
        dtype = tf.int32 if mixer is CLASSES else tf.float32
        spec = tf.TensorSpec(shape), tf.TensorSpec(label, dtype)
        ds = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=spec)
        with refused(ValueError, f".*{hint}", "two_streams"):
            ds.apply(tfmixup.two_streams(mixer, 4))


@pytest.mark.parametrize("channel", [True, False])
def test_single_masks_are_no_batches(channel):
    mask = MASK[..., None] if channel else MASK
    got = slices((IMAGE, mask)).apply(tfmixup.two_streams(CLASSES, 4))
    assert got.element_spec[1].shape == (4, H, W, 3)


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


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        ((X, Y), (X, tf.cast(Y, tf.float64)), "float64 is not float32"),
        ((X, Y), (zeros(6), Y), r"shape \(4, 6\) is not \(4, 5\)"),
        ((X, Y, IDS), (X, Y), "only one of them has sample weights"),
        ((X, Y), ({"a": X}, Y), "their structures differ"),
    ],
)
def test_second_batch_unlike_the_first(first, second, difference):
    message = f"the second batch must yield elements like .*{difference}"
    with refused(ValueError, message, "MixUp"):
        MIXER.pair(first, second)
    with refused(ValueError, message, "MixUp"):
        MIXER.apply(first, second, tfmixup.MixUpParams(tf.ones([4])))


def test_too_few_examples():
    nothing = examples().take(0)
    for stage, name in [
        (tfmixup.two_streams(MIXER, 4), "two_streams"),
        (tfmixup.in_batch(MIXER), "in_batch"),
    ]:
        with refused(ValueError, "the dataset is empty. Check the split, filter", name):
            nothing.batch(4).apply(stage) if name == "in_batch" else nothing.apply(
                stage
            )
    with refused(ValueError, "partner is empty: it has no example", "two_streams"):
        examples().apply(tfmixup.two_streams(MIXER, 4, partner=nothing))
    message = "the dataset has 12 examples, fewer than batch_size=13, .*smaller batch_s"
    with refused(ValueError, message, "two_streams"):
        examples().apply(tfmixup.two_streams(MIXER, 13))
    with refused(ValueError, "the dataset is empty.*drop_remainder=True", "in_batch"):
        batches = examples().batch(13, drop_remainder=True)
        batches.apply(tfmixup.in_batch(MIXER))


@pytest.mark.parametrize("extra", [Y[0], RAGGED, SPARSE])
def test_partner_that_turns_out_empty(extra):
    def element(x, y):
        return {"image": x, "label": y, "other": extra}

    dataset = examples().map(element)
    nothing = dataset.filter(lambda element: False)
    got = dataset.apply(tfmixup.two_streams(MIXER, 4, partner=nothing))
    # Its length is unknown until it is read: not silence, at least.
    message = "tfmixup.two_streams: partner is empty"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(got)


# What no spec can tell --------------------------------------------------------------


def fails(message):
    return pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}")


@pytest.mark.parametrize(
    ("route", "bad", "jit"),
    [
        ("two_streams", -1, True),
        ("in_batch", 3, True),
        ("map", -1, False),
        ("pair", 3, True),
    ],
)
def test_a_label_outside_the_classes_waits_for_its_batch(route, bad, jit):
    labels = np.arange(16) % 3
    labels[9] = bad
    mixer = tfmixup.MixUp(0.2, num_classes=3, jit_compile=jit)
    buffer = {"shuffle_buffer_size": 1} if route == "two_streams" else {}
    got = mixed(route, slices((tf.zeros([16, 5]), labels)), mixer, 4, **buffer)
    iterator = iter(got)
    good = [next(iterator)[1] for _ in range(2)]
    np.testing.assert_allclose(np.sum(good, axis=-1), 1, atol=1e-6)
    with fails(rf"integer labels must be in \[0, 3\).*Labels:.*2 {bad} 1 2"):
        next(iterator)


@pytest.mark.parametrize(
    ("label", "dtype", "jit"),
    [
        (3, "int64", True),
        (-1, "int8", True),
        (255, "uint8", False),
        (2**63, "uint64", False),
    ],
)
def test_a_label_outside_the_classes_by_hand(label, dtype, jit):
    good, bad = (
        (X[:3], tf.constant([0, 2, 1], dtype)),
        (X[:3], tf.constant([0, label, 1], dtype)),
    )
    mixer = tfmixup.MixUp(0.2, num_classes=3, jit_compile=jit)
    lam = tfmixup.MixUpParams(tf.fill([3], 0.5))
    for call in [
        lambda: mixer(*bad),
        lambda: mixer.apply(bad, good, lam),
        lambda: mixer.apply(good, bad, lam),
        lambda: mixer.apply(good, bad, lam, keep_first=True),
        lambda: mixer.off()(*bad),
    ]:
        with fails(
            r"tfmixup\.MixUp: integer labels must be in \[0, 3\).*highest label \+ 1"
        ):
            call()
    mixer.apply(good, good, lam)
    several = {"a": good[1], "b": bad[1][:, tf.newaxis], "c": Y[:3]}
    with fails(r"integer labels must be in \[0, 3\)"):
        tf.function(lambda: mixer(X[:3], several))()


def test_a_label_outside_the_classes_in_partner():
    partner = slices((tf.zeros([8, 5]), tf.constant([0, 1, 2, 0, 1, 2, 3, 0])))
    dataset = slices((tf.zeros([8, 5]), tf.constant([0, 1, 2, 0, 1, 2, 0, 1])))
    stage = tfmixup.two_streams(CLASSES, 4, partner=partner, shuffle_buffer_size=1)
    iterator = iter(dataset.apply(stage))
    next(iterator)
    with fails(r"integer labels must be in \[0, 3\).*1 2 3 0\]"):
        next(iterator)


def test_a_class_id_beyond_the_counts():
    with fails("0, 2"):
        REMIX(X, tf.constant([0, 1, 2, 0]))


@pytest.mark.parametrize("ignore_label", [None, 255])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint32"])
def test_mask_values_outside_the_classes(dtype, ignore_label):
    mixer = tfmixup.MixUp(num_classes=3, ignore_label=ignore_label)
    fine = np.array([0, 1, 2, 255 if ignore_label else 2], dtype).reshape(1, 2, 2)
    image = np.zeros([1, 2, 2, 3], "float32")
    mixer(image, fine)
    for strange in (3, 254) + ((-1,) if dtype.startswith("int") else ()):
        bad = np.array([0, 1, strange, fine.max()], dtype).reshape(1, 2, 2)
        with fails(rf"masks must be in \[0, 3\).*shift labels that start.*{strange}"):
            mixer(image, bad)


@pytest.mark.parametrize(("dtype", "label"), [("uint8", -1), ("int8", 255)])
def test_an_ignored_label_that_the_dtype_cannot_hold_does_not_wrap(dtype, label):
    mixer = tfmixup.MixUp(num_classes=3, ignore_label=label)
    mask = np.zeros([1, 2, 2], dtype)
    np.testing.assert_array_equal(mixer(tf.zeros([1, 2, 2, 3]), mask)[2], mask + 1)
    with fails(rf"masks must be in \[0, 3\) or ignore_label={label}"):
        mixer(tf.zeros([1, 2, 2, 3]), mask - 1)  # -1 or 255: the other one, modulo 256


@pytest.mark.parametrize("jit", [True, False])
def test_images_and_masks_of_different_size(jit):
    spec = tuple(tf.TensorSpec([None] * rank, tf.float32) for rank in (4, 3))
    mixer = tfmixup.CutMix(jit_compile=jit)
    mix = tf.function(lambda *e: mixer(*e), input_signature=spec, autograph=False)
    mix(IMAGE, zeros(H, W))
    with fails("images, masks and weights of pixels mus"):
        mix(IMAGE, zeros(H, W + 1))


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("name", ["CutMix", "ResizeMix", "Mosaic"])
def test_images_without_pixels(name, jit):
    spec = tf.TensorSpec([None] * 4), tf.TensorSpec([None, 3])
    mixer = getattr(tfmixup, name)(jit_compile=jit)
    mix = tf.function(lambda *e: mixer(*e), input_signature=spec, autograph=False)
    mix(IMAGE, Y)
    with fails("one size along the axes of the box, above 0, but in this batch .*0"):
        mix(IMAGE[:, :0], Y)


@pytest.mark.parametrize("sizes", [(8, 5), (5, 8)])
def test_zipped_batches_of_different_length(sizes):
    """A batch of one would broadcast against the other."""
    streams = tuple(examples(n).batch(4) for n in sizes)
    got = tf.data.Dataset.zip(streams).map(MIXER.pair)
    with fails("MixUp: two batches to be mixed have different shapes"):
        list(got)


def test_a_partner_of_another_unknown_size():
    def unknown(size):
        row = tf.ones([size])
        ds = tf.data.Dataset.from_tensors((row, tf.zeros([1]))).repeat(8)
        # Unknown sizes that are equal are fine beside it.
        return ds.map(lambda x, y: ((y[y == 0], x[x == 1]), y))

    got = unknown(3).apply(tfmixup.two_streams(MIXER, 4, partner=unknown(1)))
    with fails("two batches to be mixed have different shapes"):
        list(got)


def of_lengths(lengths, element=lambda x, y: (x, y)):
    def generate():
        for n in lengths:
            yield np.zeros([n], "float32"), 0

    spec = tf.TensorSpec([None]), tf.TensorSpec([], tf.int64)
    return tf.data.Dataset.from_generator(generate, output_signature=spec).map(element)


@pytest.mark.parametrize(
    ("element", "name", "hint"),
    [
        (lambda x, y: (x, y), r"element\[0\]", r"padded_shapes=\(\[None\], \[\]\)"),
        (
            lambda x, y: {"image": x, "label": y, "other": RAGGED},
            r"element\[.*image.*\]",
            r"tf\.image\.resize",
        ),
        (
            lambda x, y: {"image": x[:2], "label": y, "other": (x,)},
            r"element\[.*other.*\]\[0\]",
            r"padded_shapes=\{.*image.*: \[None\], .*label.*: \[\]",
        ),
    ],
)
def test_examples_of_unequal_length(element, name, hint):
    got = of_lengths([3, 4, 3, 3], element).apply(tfmixup.two_streams(CLASSES, 4))
    message = rf"two_streams: examples have different shapes in {name}\. .*{hint}"
    with fails(rf"{message}.*Shapes:.*(\[3\] \[4\]|\[4\] \[3\])"):
        list(got)


def test_examples_of_unknown_length_are_mixed_where_the_length_is_one():
    stage = tfmixup.two_streams(CLASSES, 2, shuffle_buffer_size=1)
    # In a batch: with this buffer every batch has one length.
    got = of_lengths([3] * 4 + [5] * 2).apply(stage)
    assert [x.shape[1] for x, _ in got] == [3, 3, 5]


@pytest.mark.parametrize("route", ["two_streams", "in_batch"])
def test_an_error_of_the_source_arrives_and_nothing_hangs(route):
    def decode(k):
        fine = tf.debugging.Assert(k != 30, ["cannot decode example 30"])
        with tf.control_dependencies([fine]):
            return tf.zeros([5]), tf.zeros([3])

    buffer = {"shuffle_buffer_size": 1} if route == "two_streams" else {}
    got = mixed(route, tf.data.Dataset.range(48).map(decode), MIXER, 4, **buffer)
    seen = []

    def iterate():
        try:
            for batch in got:
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


ZIPPED = {
    "one-hot": (zeros(3), zeros(4)),
    "column": (zeros(3), zeros(1)),
    "ids": (zeros(3), zeros(dtype="int64")),
    "weights": (zeros(3), zeros(4), zeros()),
    "dict": {"image": zeros(3), "label": zeros(4)},
}


@pytest.mark.parametrize("kind", ZIPPED)
def test_two_zipped_elements_are_no_features_and_targets(kind):
    element, mixer = ZIPPED[kind], tfmixup.MixUp(0.2, num_classes=4)
    both = tf.data.Dataset.from_tensor_slices((element, element))
    batches = both.batch(2)
    message = r"the element looks like a pair of batches .* or map mixer\.pair"
    for caller, mix in (
        ("MixUp", lambda: batches.map(mixer)),
        ("in_batch", lambda: batches.apply(tfmixup.in_batch(mixer))),
        ("two_streams", lambda: both.apply(tfmixup.two_streams(mixer, 2))),
        ("from_tensors", lambda: tfmixup.from_tensors((element, element), mixer, 2)),
    ):
        with refused(ValueError, message, caller):
            mix()


@pytest.mark.parametrize("entry", ["two_streams", "in_batch", "map"])
def test_elements_beside_the_class_that_they_were_resampled_by(entry):
    examples = slices((X, IDS)).rejection_resample(lambda x, y: y, [1 / 3] * 3)
    message = (
        r"the element looks like \(class, \(x, y\)\).*map\(lambda label, element: el"
    )
    name = "MixUp" if entry == "map" else entry
    for mixer in (MIXER, CLASSES):
        with refused(ValueError, message, name):
            mixed(entry, examples, mixer, 2)


def test_features_and_targets_of_several_parts_are_no_zip():
    a, b, c = zeros(3), zeros(2), zeros()
    for x, y in (
        ((a, b), (c, c)),  # other ranks
        ((a, b), (a, b, b)),
        ({"a": a, "b": b}, {"a": a, "c": b}),
        ({"a": a}, {"a": a}),  # an autoencoder of one input
        ((a, a), a),
        (c, (a, b)),  # no class ids before
    ):
        ds = tf.data.Dataset.from_tensor_slices((x, y))
        assert len(ds.apply(tfmixup.two_streams(tfmixup.MixUp(0.2), 2))) == N // 2
        tfmixup.MixUp(0.2)(x, y)


def test_a_static_batch_beside_a_batch_of_one():
    static = examples(4).batch(4, drop_remainder=True)
    got = tf.data.Dataset.zip((static, examples(1).batch(4))).map(MIXER.pair)
    with fails("MixUp: two batches to be mixed have different shapes"):
        list(got)


@pytest.mark.parametrize("stage", [tfmixup.two_streams, tfmixup.in_batch])
def test_a_dataset_in_the_mixers_place(stage):
    ds = tf.data.Dataset.range(3)
    arguments = (ds, 2) if stage is tfmixup.two_streams else (ds,)
    with pytest.raises(TypeError, match=r"got a dataset, .* dataset\.apply\(tfmixup"):
        stage(*arguments)
