"""Attacks: a start, a loss, a step and a projection; one family per file."""

from core.attacks.base import Attack
from core.attacks.pgd import Observer, Pgd
from core.attacks.square import Square

__all__ = ["Attack", "Observer", "Pgd", "Square"]
