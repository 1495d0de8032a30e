"""What is used of TensorFlow Probability, and that one file imports it."""

import ast
import dataclasses
import pathlib
import sys

import matplotlib
import pytest

matplotlib.use("agg")
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup

PACKAGE = pathlib.Path(tfmixup.__file__).parent
# Of a distribution that a user gives. Whoever adds one asks more of TFP, whose last
# release is of 2024.
USED = {
    "batch_shape",
    "cdf",
    "dtype",
    "event_shape",
    "experimental_default_event_space_bijector",
    "name",
    "parameters",
    "quantile",
    "sample",
}


def test_one_file_imports_it():
    files = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and "tensorflow_probability"
        in {getattr(node, "module", None), *(alias.name for alias in node.names)}
    }
    assert files == {"distributions.py"}


def test_the_names_of_the_module_that_are_used():
    tree = ast.parse((PACKAGE / "distributions.py").read_text())
    used = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("tfp.")
    ]
    assert set(used) == {
        "tfp.distributions",
        "tfp.distributions.Beta",
        "tfp.distributions.Distribution",
    }
    assert issubclass(tfp.distributions.Beta, tfp.distributions.Distribution)


def test_the_names_of_a_distribution_that_are_used():
    used = set()

    class Uniform(tfp.distributions.Uniform):
        def __getattribute__(self, name):
            caller = sys._getframe(1).f_globals["__name__"]
            if caller.startswith("tfmixup."):
                used.add(name)
            return super().__getattribute__(name)

    plain = tfmixup.MixUp(distribution=Uniform(0.2, 0.8))
    within = dataclasses.replace(plain, lam_range=(0.3, 0.7))
    assert plain == tfmixup.MixUp(distribution=Uniform(0.2, 0.8))
    hash(plain)
    x, y = tf.zeros([4, 2]), tf.zeros([4, 1])
    ds = tf.data.Dataset.from_tensor_slices((x, y))
    for mixer in (plain, within):
        list(ds.apply(tfmixup.two_streams(mixer, 2, seed=1)))
        tfmixup.plot.lambdas(mixer)
    with pytest.raises(ValueError, match="Uniform reaches from 0 to 2"):
        tfmixup.MixUp(distribution=Uniform(0.0, 2.0))
    known = tfmixup.MixUp(distribution=tfp.distributions.Uniform(0.2, 0.8))
    assert tfmixup.MixUp.from_config(known.get_config()) == known
    assert used - {"__class__"} == USED


def test_beta_is_the_distribution_of_tfp_and_its_draws_are_ours():
    beta = tfmixup.mixers.beta.Beta(0.3, 0.3)
    assert isinstance(beta, tfp.distributions.Beta)
    assert type(beta)._sample_n is not tfp.distributions.Beta._sample_n
