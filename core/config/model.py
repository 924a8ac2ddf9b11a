"""Options of the network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.config.base import Options
from core.config.models import MODELS, find_model
from core.config.registered import Registered


class ModelOptions(Options):
    """The network architecture and its normalisation."""

    model: Annotated[str, Registered(find_model, lambda: MODELS)] = Field(
        "small-cnn", description="network architecture, such as resnet18 or wrn-34-10"
    )
    norm: Literal["batch", "none"] = Field("batch", description="normalisation layers: batch normalisation, or none")
