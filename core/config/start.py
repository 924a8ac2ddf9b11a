"""Options of the weights that training starts from: those of another trial, or those of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from core.config.base import Options, Unset, check_unused
from core.config.later import AddedLater, Located
from core.config.names import SAFE_NAME, SHA256
from core.records.key import trial_key

CELL_ID = re.compile(r"[0-9a-f]{12}")
KEY = re.compile(r"[0-9a-f]{12}-[0-9].*")
FORMS = "SWEEP, SWEEP/OPTION=VALUE,..., SWEEP/CELL_ID, SWEEP/TRIAL_KEY, or the path of a .pt file"


class StartOptions(Options):
    """Initial weights of the network. The optimiser always starts without momentum."""

    start_from: Annotated[str | None, Unset("random weights"), AddedLater(None), Located("start_sha256")] = Field(
        None,
        max_length=1000,
        description="trial whose weights training starts from, as SWEEP, SWEEP/OPTION=VALUE,..., SWEEP/CELL_ID (each "
        "seed from the trial with the same seed), SWEEP/TRIAL_KEY, or the path of a .pt file",
    )
    start_checkpoint: Annotated[Literal["selected", "last", "gated"], AddedLater("selected")] = Field(
        "selected", description="weights of that trial: of its selected, last or best gated epoch"
    )
    start_sha256: Annotated[str | None, Unset("computed"), AddedLater(None)] = Field(
        None, pattern=SHA256, description="SHA-256 that the .pt file of --start-from must have"
    )

    @model_validator(mode="after")
    def _consistent(self) -> StartOptions:
        check_unused(self, ("start_sha256",), "start_from with a .pt file", needed=self.is_file)
        of_trial = self.start_from is not None and not self.is_file
        check_unused(self, ("start_checkpoint",), "start_from with the trial of a sweep", needed=of_trial)
        if self.start_from is not None and not self.is_file:
            sweep, _, part = self.start_from.partition("/")
            named = "=" in part or CELL_ID.fullmatch(part) or KEY.fullmatch(part) or self.start_from == sweep
            if not SAFE_NAME.fullmatch(sweep) or not named:
                raise ValueError(f"start_from {self.start_from} is no trial; allowed are {FORMS}")
        return self

    @property
    def is_file(self) -> bool:
        """True if the weights are those of a file."""
        return self.start_from is not None and self.start_from.partition("?")[0].endswith(".pt")

    @property
    def sweep(self) -> str:
        """Name of the sweep that has the trial."""
        return (self.start_from or "").partition("/")[0]

    @property
    def part(self) -> str:
        """The trial's key, or the cell's id or options; empty for a sweep with a single cell."""
        return (self.start_from or "").partition("/")[2]

    @property
    def follows_seed(self) -> bool:
        """True if each seed starts from the trial with the same seed."""
        return self.start_from is not None and not self.is_file and not KEY.fullmatch(self.part)

    @property
    def resolved(self) -> bool:
        """True if the option names the weights exactly: a file with its checksum, a trial, or the id of a cell."""
        if self.is_file:
            return self.start_sha256 is not None
        return self.start_from is None or (self.part != "" and "=" not in self.part)

    def key(self, seed: int, pins: Mapping[Any, int]) -> str:
        """Key of the trial whose weights a trial with this seed and these pins starts from."""
        assert self.resolved
        return trial_key(self.part, seed, {str(s): p for s, p in pins.items()}) if self.follows_seed else self.part
