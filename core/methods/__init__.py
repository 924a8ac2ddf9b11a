"""Training methods by name. One file each; adding one is one file and one line here."""

from core.config import Cell
from core.methods.base import Method, Objective
from core.methods.pgd_at import PgdAt
from core.methods.trades import Trades

METHODS: dict[str, type[Method]] = {"trades": Trades, "pgd-at": PgdAt}


def build_method(cell: Cell) -> Method:
    """The training method that a cell names."""
    return METHODS[cell.method.method](cell)


__all__ = ["METHODS", "Method", "Objective", "PgdAt", "Trades", "build_method"]
