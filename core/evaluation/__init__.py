"""Evaluation of stored checkpoints with AutoAttack and other attacks, in blocks of images that are stored singly."""
