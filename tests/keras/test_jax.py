"""Keras on JAX, fed by tf.data: the same losses as on TensorFlow."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("jax") is None, reason="JAX is not installed"
    ),
]


@pytest.fixture(scope="module")
def runs():
    jobs = {
        backend: subprocess.Popen(
            [sys.executable, "-m", "tests.keras.on_backend"],
            cwd=ROOT,
            env={**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for backend in ("tensorflow", "jax")
    }
    results = {}
    for backend, job in jobs.items():
        out, err = job.communicate(timeout=300)
        assert job.returncode == 0, err[-3000:]
        results[backend] = json.loads(out.splitlines()[-1])
    return results


def test_each_ran_on_its_backend(runs):
    assert {name: run["backend"] for name, run in runs.items()} == {
        "tensorflow": "tensorflow",
        "jax": "jax",
    }


@pytest.mark.parametrize("kind", ["soft_labels", "pairs"])
def test_fit_gives_the_same_losses_metrics_and_weights(runs, kind):
    on_tensorflow, on_jax = runs["tensorflow"], runs["jax"]
    assert on_jax[kind].keys() == on_tensorflow[kind].keys()
    assert {"loss"} < on_jax[kind].keys()
    for name, values in on_tensorflow[kind].items():
        np.testing.assert_allclose(on_jax[kind][name], values, rtol=1e-5)
    weights = [run[f"{kind}_weights"] for run in (on_jax, on_tensorflow)]
    np.testing.assert_allclose(*weights, rtol=1e-4, atol=1e-5)
    losses = on_jax[kind]["loss"]
    assert losses[-1] < losses[0]


def test_pairs_and_soft_labels_have_the_same_loss(runs):
    for run in runs.values():
        np.testing.assert_allclose(
            run["pairs"]["loss"], run["soft_labels"]["loss"], rtol=1e-4
        )


def test_a_plain_jax_loop_over_numpy_batches(runs):
    losses = runs["jax"]["plain_loop"]
    np.testing.assert_allclose(losses, runs["tensorflow"]["plain_loop"], rtol=1e-5)
