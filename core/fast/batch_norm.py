"""The kinds of BatchNorm layers."""

from torch import nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
"""PyTorch's classes of BatchNorm layers, which have running statistics in common."""
