"""Evaluation of stored checkpoints by AutoAttack and others, in blocks of images that can be redone one by one.

`core.evaluation.driver` runs it on Ray; the rest knows no Ray.
"""

from core.evaluation.attack_plan import attack_plan
from core.evaluation.attack_spec import AttackSpec
from core.evaluation.blocks import Block, block_seed, split_blocks
from core.evaluation.options import EvaluationOptions

__all__ = ["AttackSpec", "Block", "EvaluationOptions", "attack_plan", "block_seed", "split_blocks"]
