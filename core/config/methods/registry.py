"""The table of training methods: the options and the implementation of each."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator

from core.config.base import Options
from core.config.methods.base import MethodOptions
from core.config.methods.fat import FatOptions, FatTradesOptions
from core.config.methods.free import FreeOptions
from core.config.methods.gairat import GairatOptions
from core.config.methods.gat import GatOptions
from core.config.methods.grad_align import GradAlignOptions
from core.config.methods.iseat import IseatOptions
from core.config.methods.las_at import LasAtOptions
from core.config.methods.logit_pairing import AlpOptions, ClpOptions
from core.config.methods.mart import MartOptions
from core.config.methods.mixed import MixedOptions
from core.config.methods.pgd_at import FgsmAtOptions, PgdAtOptions, RsFgsmOptions
from core.config.methods.seat import SeatOptions
from core.config.methods.ssat import SsatOptions
from core.config.methods.sub_at import SubAtOptions
from core.config.methods.trades import TradesOptions


class MethodEntry(NamedTuple):
    """One row of `METHODS`.

    Attributes:
        options: the method's own options.
        implementation: ``module:Class`` of its `core.methods.Method`. It is imported only when a trial is trained,
            because `core.config` does not import torch.
    """

    options: type[MethodOptions]
    implementation: str


METHODS: dict[str, MethodEntry] = {
    "trades": MethodEntry(TradesOptions, "core.methods.trades:Trades"),
    "pgd-at": MethodEntry(PgdAtOptions, "core.methods.pgd_at:PgdAt"),
    "fgsm-at": MethodEntry(FgsmAtOptions, "core.methods.pgd_at:PgdAt"),
    "rs-fgsm": MethodEntry(RsFgsmOptions, "core.methods.pgd_at:PgdAt"),
    "mixed-at": MethodEntry(MixedOptions, "core.methods.mixed:Mixed"),
    "mart": MethodEntry(MartOptions, "core.methods.mart:Mart"),
    "gairat": MethodEntry(GairatOptions, "core.methods.gairat:Gairat"),
    "free": MethodEntry(FreeOptions, "core.methods.free:Free"),
    "grad-align": MethodEntry(GradAlignOptions, "core.methods.grad_align:GradAlign"),
    "clp": MethodEntry(ClpOptions, "core.methods.logit_pairing:Clp"),
    "alp": MethodEntry(AlpOptions, "core.methods.logit_pairing:Alp"),
    "iseat": MethodEntry(IseatOptions, "core.methods.iseat:Iseat"),
    "fat": MethodEntry(FatOptions, "core.methods.fat:Fat"),
    "fat-trades": MethodEntry(FatTradesOptions, "core.methods.fat:FatTrades"),
    "gat": MethodEntry(GatOptions, "core.methods.gat:Gat"),
    "ssat": MethodEntry(SsatOptions, "core.methods.ssat:Ssat"),
    "seat": MethodEntry(SeatOptions, "core.methods.seat:Seat"),
    "sub-at": MethodEntry(SubAtOptions, "core.methods.sub_at:SubAt"),
    "las-at": MethodEntry(LasAtOptions, "core.methods.las_at:LasAt"),
}
"""A new method needs its two files and a row here. A plug-in adds its row by `core.config.register_method`."""


def methods_with(option: str) -> tuple[str, ...]:
    """Names of the methods that have ``option`` among their own options."""
    if option == "method":
        return ()
    return tuple(name for name, entry in METHODS.items() if option in entry.options.model_fields)


def lacks(method: str, option: str) -> bool:
    """True if only other methods have ``option``, or if ``method`` does not allow changes of it."""
    if method not in METHODS:
        return False
    options = METHODS[method].options
    if option == "label_smoothing":
        return not options.smooths_labels
    return option in options.fixed or (option not in options.model_fields and bool(methods_with(option)))


def method_options(given: Any) -> MethodOptions:
    """The options of the method whose name is ``given["method"]``.

    Raises:
        ValidationError: there is no such method, or a value is not allowed.
        ValueError: only other methods have one of the options. The message names these methods.
    """
    if isinstance(given, MethodOptions):
        return given
    name = _Named.model_validate({"method": given.get("method", "trades")}).method
    options = METHODS[name].options
    for option in given:
        if option not in options.model_fields and (owners := methods_with(option)):
            raise ValueError(f"{option} is impossible with method {name}; it belongs to {', '.join(owners)}")
    return options.model_validate({**given, "method": name})


def _known(name: str) -> str:
    if name.lower().replace("-", "").replace("_", "") == "infoat":
        raise ValueError("InfoAT has no public formula or code, and jobs/README.md has only its published accuracies")
    if name not in METHODS:
        raise ValueError(f"must be one of {', '.join(METHODS)}")
    return name


class _Named(Options):
    method: Annotated[str, AfterValidator(_known)]
