"""Classes of unequal frequency: seen, balanced and weighed."""

from tfmixup.imbalance.class_balanced import class_balanced
from tfmixup.imbalance.counting import class_counts
from tfmixup.imbalance.label_mass import label_mass
from tfmixup.imbalance.weight_by_class import weight_by_class

__all__ = ["class_balanced", "class_counts", "label_mass", "weight_by_class"]
