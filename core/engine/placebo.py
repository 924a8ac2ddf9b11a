"""The change of a placebo trial: its initial weights differ by rounding from those of the trial with the same seed."""

from __future__ import annotations

from math import inf

import torch
from torch import nn


@torch.no_grad()
def change_by_rounding(model: nn.Module) -> None:
    """Replace every parameter by the next larger floating-point number."""
    for parameter in model.parameters():
        parameter.copy_(torch.nextafter(parameter, torch.full_like(parameter, inf)))
