"""Options of the network."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from core.config.base import Options

NAMED_MODELS = ("small-cnn", "resnet18", "preact-resnet18")
WIDE_RESNET = re.compile(r"wrn-([0-9]{1,3})-([0-9]{1,2})")
"""At most 999 layers of 99 times the width: more is a slip of the pen, and takes hours to build."""


class ModelOptions(Options):
    """Which architecture is trained, and how it normalises."""

    model: str = Field("small-cnn", description="small-cnn | resnet18 | preact-resnet18 | wrn-N-K (e.g. wrn-34-10)")
    norm: Literal["batch", "none"] = Field("batch", description="batch normalisation, or none")

    @field_validator("model")
    @classmethod
    def _known(cls, name: str) -> str:
        wide = WIDE_RESNET.fullmatch(name)
        if name in NAMED_MODELS or (wide and int(wide[1]) > 4 and (int(wide[1]) - 4) % 6 == 0 and int(wide[2]) >= 1):
            return name
        raise ValueError(f"must be one of {', '.join(NAMED_MODELS)}, or wrn-N-K with N = 6n + 4 (such as wrn-28-10)")
