"""Training methods, one per file. Their names and options are in `core.config.methods`."""

from importlib import import_module

from core.config import METHODS, Cell
from core.methods.base import Batch, Drawn, Found, Method, Objective, Run


def build_method(cell: Cell) -> Method:
    """The training method of a cell."""
    module, _, name = METHODS[cell.method.method].implementation.partition(":")
    method: Method = getattr(import_module(module), name)(cell)
    return method


__all__ = ["Batch", "Drawn", "Found", "Method", "Objective", "Run", "build_method"]
