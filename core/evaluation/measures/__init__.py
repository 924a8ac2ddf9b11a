"""Measures of stored checkpoints that are not accuracies: how vulnerable, how smooth, how far from the boundary."""
