"""Measures, balances and weights classes of unequal frequency."""

from tfmixup.imbalance.class_balanced import class_balanced
from tfmixup.imbalance.class_counts import class_counts
from tfmixup.imbalance.class_weights import weight_by_class
from tfmixup.imbalance.label_mass import label_mass

__all__ = ["class_balanced", "class_counts", "label_mass", "weight_by_class"]
