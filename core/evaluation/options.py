"""What an evaluation measures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.config.base import Options, Unset

Mode = Literal["individual", "standard", "plus", "none"]
Which = Literal["selected", "gated", "last"]


class EvaluationOptions(Options):
    """Attacks, their budgets, images and seed. Every evaluation measures clean and PGD accuracy on the same images.

    The budgets may be changed in individual mode only: AutoAttack's other versions are defined by theirs.
    """

    mode: Mode = Field(
        "individual",
        description="individual: APGD-CE, APGD-DLR, FAB and Square each on all images, and their per-image minimum; "
        "standard, plus: AutoAttack's cascades; none: only --attacks",
    )
    which: tuple[Which, ...] = Field(("selected",), description="checkpoints of every trial")
    attacks: tuple[str, ...] = Field(
        (), description="further attacks, such as pgd-50x10, cw, deepfool, transfer-pgd-10"
    )
    source: str | None = Field(None, description="checkpoint (.pt) on which transfer-... attacks are made")
    images: Annotated[int | None, Unset("all")] = Field(None, ge=1, description="first test images to attack")
    block: int = Field(128, ge=1, le=100_000, description="images attacked at once; part of what makes a result")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of all attacks")
    steps: Annotated[int | None, Unset("100")] = Field(None, ge=1, le=10_000, description="steps of APGD and FAB")
    restarts: Annotated[int | None, Unset("5")] = Field(None, ge=1, le=1000, description="restarts of APGD and FAB")
    queries: Annotated[int | None, Unset("5000")] = Field(None, ge=1, le=1_000_000, description="queries of Square")

    @model_validator(mode="after")
    def _consistent(self) -> EvaluationOptions:
        if not self.which:
            raise ValueError("--which needs at least one of selected, gated, last")
        for name in ("steps", "restarts", "queries"):
            if getattr(self, name) is not None and self.mode != "individual":
                raise ValueError(
                    f"--{name} {getattr(self, name)} is impossible with --mode {self.mode}; allowed with individual"
                )
        transfers = [name for name in self.attacks if name.startswith("transfer-")]
        if transfers and self.source is None:
            raise ValueError(f"--attacks {' '.join(transfers)} needs --source, the checkpoint to transfer from")
        if self.source is not None and not transfers:
            raise ValueError(f"--source {self.source} needs an attack to transfer, such as --attacks transfer-pgd-10")
        return self
