"""Evaluation of stored checkpoints by AutoAttack and others, in blocks of images that can be redone one by one."""
