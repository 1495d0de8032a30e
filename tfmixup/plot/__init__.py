"""Figures. They need matplotlib, which is imported when a figure is drawn."""

from tfmixup.plot.batch import batch
from tfmixup.plot.label_mass import label_mass
from tfmixup.plot.lambdas import lambdas

__all__ = ["batch", "label_mass", "lambdas"]
