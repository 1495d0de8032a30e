"""What every test shares."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # tests compare to CPU kernels

import pytest


@pytest.hookimpl(optionalhook=True)  # `-o addopts=` runs the tests without xdist
def pytest_xdist_auto_num_workers(config):
    """Of `-n logical`: a worker a core for the whole suite, none for a part of it.

    Each worker imports TensorFlow, and has some 1.5 GB. The slow tests have processes
    of their own, and measure them.
    """
    whole = config.args_source is config.ArgsSource.TESTPATHS
    if not whole or config.option.keyword or config.option.markexpr != "not slow":
        return 0
    return min(8, len(os.sched_getaffinity(0)))


@pytest.fixture(autouse=True)
def no_global_seed():
    """Takes back a seed that another test or an example has set for all TensorFlow.

    It takes part in pipelines without a seed, which then repeat.
    """
    import tensorflow as tf

    tf.random.set_seed(None)
