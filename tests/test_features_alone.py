"""Elements without targets, as for self-supervision: x stays x, and (x,) stays (x,)."""

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.reference import ROUTES, mixed

N = 12
X = np.eye(N, dtype="float32")
MIXER = tfmixup.MixUp(1.0)


@pytest.mark.parametrize("element", [X, (X,)], ids=["x", "(x,)"])
@pytest.mark.parametrize("route", [*ROUTES, "from_tensors"])
def test_features_alone(route, element):
    if route == "from_tensors":
        ds = tfmixup.from_tensors(element, MIXER, 6, seed=1)
    else:
        ds = mixed(route, tf.data.Dataset.from_tensor_slices(element), MIXER, 6)
    # `Dataset.map` hands a function the parts of a tuple: of (x,) it sees x.
    kept = isinstance(element, tuple) and route in ("two_streams", "from_tensors")
    kept = kept or (isinstance(element, tuple) and route == "in_batch")
    got = next(iter(ds))
    assert isinstance(got, tuple) == kept or route == "pair"
    x = tf.nest.flatten(got)[0].numpy()
    np.testing.assert_allclose(x.sum(axis=1), 1, rtol=1e-6)
    assert ((x > 0).sum(axis=1) == 2).any()


def test_originals_of_features_alone():
    ds = tf.data.Dataset.from_tensor_slices(X)
    stream = tfmixup.two_streams(MIXER, 6, keep_originals=True, seed=1)
    original, got, *_ = ds.apply(stream)
    assert set(np.unique(original)) == {0, 1}
    assert got.shape == (6, N)


def test_what_needs_targets_says_so():
    with pytest.raises(ValueError, match="num_classes=3 is for targets, and the eleme"):
        tfmixup.MixUp(num_classes=3)(X)
    with pytest.raises(ValueError, match="looks at one label, and the elements have 0"):
        tfmixup.Remix([1, 2], num_classes=2)(X)
    with pytest.raises(
        ValueError, match=r"target_keys=\(\) says that there are no targ"
    ):
        tfmixup.MixUp(target_keys=())(X, X)
    with pytest.raises(TypeError, match=r"a dict or x alone, got list"):
        MIXER([X, X])
