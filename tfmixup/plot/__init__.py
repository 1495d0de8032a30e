"""Figures; they need matplotlib, which is imported when one is drawn."""

from tfmixup.plot.label_mass import label_mass

__all__ = ["label_mass"]
