"""How two batches become one."""

from tfmixup.box_rows import Source
from tfmixup.mixers.base import Mixer, Recipe
from tfmixup.mixers.between_class import BetweenClass
from tfmixup.mixers.cmixup import CMixup, CMixupParams
from tfmixup.mixers.cutmix import CutMix, CutMixParams
from tfmixup.mixers.lam import LambdaMixer, blend_recipe
from tfmixup.mixers.mixup import MixUp, MixUpParams
from tfmixup.mixers.mosaic import Mosaic, MosaicParams
from tfmixup.mixers.random_choice import RandomChoice, RandomChoiceParams
from tfmixup.mixers.remix import Remix
from tfmixup.mixers.resizemix import ResizeMix, ResizeMixParams
from tfmixup.options import Options

__all__ = [
    "BetweenClass",
    "CMixup",
    "CMixupParams",
    "CutMix",
    "CutMixParams",
    "LambdaMixer",
    "MixUp",
    "MixUpParams",
    "Mixer",
    "Mosaic",
    "MosaicParams",
    "Options",
    "RandomChoice",
    "RandomChoiceParams",
    "Recipe",
    "Remix",
    "ResizeMix",
    "ResizeMixParams",
    "Source",
    "blend_recipe",
]
