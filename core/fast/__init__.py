"""A faster eval-mode network without BatchNorm layers, for attacks and measurements; equal to the model up to rounding.

Plain torch stays available (``--fast false``): as the reference in tests, and for double backward.
"""

from core.fast.folding import FoldedNetwork, by_autograd
from core.fast.opaque import Opaque

__all__ = ["FoldedNetwork", "Opaque", "by_autograd"]
