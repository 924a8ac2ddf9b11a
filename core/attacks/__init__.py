"""Attacks on a model's images, one family per file."""

from core.attacks.accuracy import fastest_search, resists, robust_accuracy
from core.attacks.base import Attack, SharedAttack
from core.attacks.deepfool import DeepFool
from core.attacks.float32 import full_float32
from core.attacks.momentum import MiFgsm
from core.attacks.pgd import Ascent, Observer, Pgd
from core.attacks.registry import ATTACKS, build_attack
from core.attacks.square import Square
from core.attacks.transfer import Transfer

__all__ = [
    "ATTACKS",
    "Ascent",
    "Attack",
    "DeepFool",
    "MiFgsm",
    "Observer",
    "Pgd",
    "SharedAttack",
    "Square",
    "Transfer",
    "build_attack",
    "fastest_search",
    "full_float32",
    "resists",
    "robust_accuracy",
]
