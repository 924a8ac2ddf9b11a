"""A faster eval-mode network without BatchNorm layers, for attacks and measurements; equal to the model up to rounding.

Plain torch stays available (``--fast false``): as the reference in tests, and for double backward.
"""

from core.fast.folding import FoldedNetwork, by_autograd

__all__ = ["FoldedNetwork", "by_autograd"]
