"""``sweep.json``: what a name stands for."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.config import ProtocolOptions
from core.config.base import first_problem
from core.storage import Store

DESCRIPTION = "sweep.json"


class SweepDescription(BaseModel):
    """What a sweep consists of. What older versions did not write has a default."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    preset: str
    protocol: dict[str, Any]
    rerun: dict[str, Any] = Field(default_factory=dict)
    pin_groups: list[dict[str, int]] = [{}]
    counterparts: dict[str, str] = Field(default_factory=dict)
    cells: dict[str, dict[str, Any]]
    """Flat options by the cell's id."""

    def protocol_options(self) -> ProtocolOptions:
        """The protocol as this version understands it.

        Raises:
            ValueError: it does not.
        """
        try:
            return ProtocolOptions.model_validate(self.protocol)
        except ValidationError as error:
            raise ValueError(
                f"the protocol of sweep {self.name} is of another version: {first_problem(error)}"
            ) from error


def read_description(store: Store) -> SweepDescription | None:
    """The description of the sweep in ``store``; None if there is none.

    Raises:
        ValueError: it is damaged.
    """
    content = store.read(DESCRIPTION)
    if content is None:
        return None
    try:
        return SweepDescription.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(
            f"{store.root}/{DESCRIPTION} is damaged ({first_problem(error)}); "
            "move it away and run the sweep's command again, which writes it again: its trials keep their records"
        ) from error
