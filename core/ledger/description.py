"""``sweep.json``, the stored description of a sweep: its protocol, its cells and where its seeds come from."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.allocation import SweepPlan
from core.config import ProtocolOptions
from core.config.problems import first_problem
from core.seal import ChecksumError, check_seal
from core.storage import Store

DESCRIPTION = "sweep.json"
REMEDY = "move this file away and run the sweep's command again, which writes a new one; all records are kept"


class SweepDescription(BaseModel):
    """The stored description of a sweep. Fields that older versions did not write have defaults."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    preset: str
    protocol: dict[str, Any]
    rerun: dict[str, Any] = Field(default_factory=dict)
    pin_groups: list[dict[str, int]] = [{}]
    counterparts: dict[str, str] = Field(default_factory=dict)
    plugins: dict[str, str] = Field(default_factory=dict)
    """Version of each plug-in by its name. The files are stored beside the description, see `core.ledger.plugins`."""
    cells: dict[str, dict[str, Any]]
    """Flat options of each cell by the cell's id."""
    plans: tuple[SweepPlan, ...] = ()
    """How the number of seeds was planned, see `core.allocation.plan.revised_plans`."""

    def protocol_options(self) -> ProtocolOptions:
        """The protocol as typed options.

        Raises:
            ValueError: the protocol was written by a version whose options this version does not know.
        """
        try:
            return ProtocolOptions.model_validate(self.protocol)
        except ValidationError as error:
            raise ValueError(
                f"the protocol of sweep {self.name} was written by another version: {first_problem(error)}"
            ) from error


def read_description(store: Store) -> SweepDescription | None:
    """The description of the sweep in ``store``; None if ``store`` has no description.

    Raises:
        ValueError: the description is damaged.
    """
    content = store.read(DESCRIPTION)
    if content is None:
        return None
    try:
        check_seal(content)
        return SweepDescription.model_validate_json(content)
    except (ChecksumError, ValidationError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise ValueError(f"{store.place(DESCRIPTION)} is damaged ({problem}); {REMEDY}") from error
