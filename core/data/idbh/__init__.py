"""IDBH, the augmentation of "Data Augmentation Alone Can Improve Adversarial Training" (Li and Spratling 2023).

A horizontal flip, a crop that is shifted in a black frame, one operation on colour or shape, and an erased rectangle,
in this order. Each image has its own random numbers. All of them are drawn for the whole batch, whichever operations
the images get, and images with the same operation are changed together.
"""

from core.data.idbh.variants import IDBH, Idbh

__all__ = ["IDBH", "Idbh"]
