"""Benchmarks of tfmixup: `python -m tests.benchmarks --help`."""

import os

# Before TensorFlow is imported. The pipeline runs on the CPU wherever the model runs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
