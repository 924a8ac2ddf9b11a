"""Faster ways to the same numbers, for attacks and measurements: an eval-mode network without BatchNorm.

Plain torch stays beside it (`--no-fast`), as the reference in tests and for double backward.
"""

from core.fast.folding import FoldedNetwork, by_autograd

__all__ = ["FoldedNetwork", "by_autograd"]
