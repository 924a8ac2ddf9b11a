"""The options of an evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.config.base import Options, Unset
from core.evaluation.measures.names import MeasureName

Mode = Literal["individual", "standard", "plus", "none", "off"]
Which = Literal["selected", "gated", "last"]


class EvaluationOptions(Options):
    """Attacks, their budgets, images and seed. Every evaluation also measures clean and PGD accuracy on these images.

    The budgets may be changed in individual mode only, because the other versions of AutoAttack have defined budgets.
    """

    mode: Mode = Field(
        "individual",
        description="individual: APGD-CE, APGD-DLR, FAB and Square each on all images, and their per-image minimum; "
        "standard, plus: AutoAttack's cascades; none: only clean, PGD and --attacks; off: no attack, only --measure",
    )
    which: tuple[Which, ...] = Field(("selected",), description="checkpoints of every trial to evaluate")
    attacks: Annotated[tuple[str, ...], Unset("none")] = Field(
        (), description="further attacks, such as pgd-50x10, cw, deepfool, transfer-pgd-10"
    )
    measure: Annotated[tuple[MeasureName, ...], Unset("none")] = Field(
        (), description="measures of the checkpoints; without --mode and --attacks, nothing else is done"
    )
    measure_steps: int = Field(
        50, ge=1, le=10_000, description="steps of PGD and of the search of --measure (papers: PGD-50)"
    )
    source: Annotated[str | None, Unset("none")] = Field(
        None, description="checkpoint file (.pt) on which transfer-... attacks are made"
    )
    images: Annotated[int | None, Unset("all")] = Field(
        None,
        ge=1,
        description="number of images to attack or measure, from the first one: test images, or the training images "
        "of a measure on these",
    )
    block: int = Field(
        128, ge=1, le=100_000, description="number of images that are attacked at once, which affects random numbers"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of all attacks")
    steps: Annotated[int | None, Unset("100")] = Field(None, ge=1, le=10_000, description="steps of APGD and FAB")
    restarts: Annotated[int | None, Unset("5")] = Field(None, ge=1, le=1000, description="restarts of APGD and FAB")
    queries: Annotated[int | None, Unset("5000")] = Field(
        None,
        ge=1,
        le=1_000_000,
        description="queries of Square; its squares shrink as for 10,000 queries, whatever this number, as in "
        "AutoAttack",
    )

    @model_validator(mode="after")
    def _consistent(self) -> EvaluationOptions:
        if not self.which:
            raise ValueError("--which needs at least one of selected, gated, last")
        for name in ("steps", "restarts", "queries"):
            if getattr(self, name) is not None and self.mode != "individual":
                raise ValueError(
                    f"--{name} {getattr(self, name)} is impossible with --mode {self.mode}; allowed with individual"
                )
        if self.mode == "off" and (not self.measure or self.attacks):
            raise ValueError("--mode off needs --measure, and is impossible with --attacks")
        if "measure_steps" in self.model_fields_set and not self.measure:
            raise ValueError(f"--measure-steps {self.measure_steps} needs --measure")
        transfers = [name for name in self.attacks if name.startswith("transfer-")]
        if transfers and self.source is None:
            raise ValueError(f"--attacks {' '.join(transfers)} needs --source, the checkpoint to transfer from")
        if self.source is not None and not transfers:
            raise ValueError(f"--source {self.source} needs an attack to transfer, such as --attacks transfer-pgd-10")
        return self
