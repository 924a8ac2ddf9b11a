"""Options of the training methods, one file per method; the implementations are in `core.methods`."""

from core.config.methods.base import MethodOptions, Passes
from core.config.methods.registry import METHODS, MethodEntry, methods_with

__all__ = ["METHODS", "MethodEntry", "MethodOptions", "Passes", "methods_with"]
