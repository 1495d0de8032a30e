"""What every test shares."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # tests compare to CPU kernels

import pytest


@pytest.fixture(autouse=True)
def no_global_seed():
    """Takes back a seed that another test or an example has set for all TensorFlow.

    It takes part in pipelines without a seed, which then repeat.
    """
    import tensorflow as tf

    tf.random.set_seed(None)
