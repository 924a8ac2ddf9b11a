"""Subspace adversarial training (Li et al. 2022), following its official code."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.config import Cell
from core.methods.base import Batch, Objective, Run
from core.methods.pgd_at import PgdAt


class SubAt(PgdAt):
    """``CE(f(x_adv), y)``, first in all weights, then from the initial network again in a subspace of the weights.

    The first stage keeps its weights several times per epoch, the initial ones included. The subspace is spanned by
    the leading principal components ``P`` (orthonormal rows) of these snapshots. The second stage starts from the
    initial weights and BatchNorm statistics with a new optimiser without weight decay and a new weight average. It
    replaces every gradient ``g`` by ``P^T P g``. All parameters are projected; BatchNorm statistics are not.

    The artifacts of the first stage are its snapshots. The artifacts of the second stage are the components.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.sampled_epochs = max(1, round(self.options.sampling_share * cell.training.epochs))
        self.snapshots: list[Tensor] = []
        self.directions: Tensor | None = None

    def build(self, run: Run, generator: torch.Generator) -> None:
        self.device = next(run.model.parameters()).device
        self.snapshots = [_flat(run.model)]
        self.buffers = [buffer.clone() for buffer in run.model.buffers()]

    @property
    def scheduled_epochs(self) -> int:
        """The number of epochs of the first stage."""
        return self.sampled_epochs

    def learning_rate(self, scheduled: float) -> float:
        """The scheduled rate in the first stage, and the constant ``subspace_lr`` in the second."""
        return scheduled if self.directions is None else float(self.options.subspace_lr)

    def begin_epoch(self, run: Run) -> None:
        if run.epoch <= self.sampled_epochs:
            return
        if self.directions is None:
            self._enter_subspace(run)
        for group in run.optimizer.param_groups:
            group["weight_decay"] = 0.0

    def step(self, run: Run, batch: Batch) -> Objective:
        objective = super().step(run, batch)
        kept = self.options.snapshots_per_epoch
        ends_a_part = (batch.number + 1) * kept // run.steps_per_epoch > batch.number * kept // run.steps_per_epoch
        if self.directions is None and ends_a_part:
            self.snapshots.append(_flat(run.model))
        return objective

    def update(self, run: Run, scaler: torch.amp.GradScaler) -> None:
        if self.directions is not None:
            scaler.unscale_(run.optimizer)  # type: ignore[arg-type]  # it uses the groups
            gradients = [weight.grad for weight in run.model.parameters() if weight.grad is not None]
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            projected = self.directions.t() @ (self.directions @ flat)
            parts = projected.split([gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))
        super().update(run, scaler)

    def artifacts(self) -> dict[str, Tensor]:
        if self.directions is not None:
            return {"directions": self.directions}
        return {f"snapshot-{number}": weights for number, weights in enumerate(self.snapshots)}

    def load_artifacts(self, artifacts: dict[str, Tensor]) -> None:
        if "directions" in artifacts:
            self.directions, self.snapshots = artifacts["directions"].to(self.device), []
        else:
            numbers = range(max(1, len(artifacts)))
            self.snapshots = [artifacts[f"snapshot-{number}"] for number in numbers]

    @torch.no_grad()
    def _enter_subspace(self, run: Run) -> None:
        self.directions = principal_directions(self.snapshots, self.options.subspace_dimensions).to(self.device)
        weights = list(run.model.parameters())
        for weight, initial in zip(weights, self.snapshots[0].split([w.numel() for w in weights]), strict=True):
            weight.copy_(initial.view_as(weight))
        for buffer, initial in zip(run.model.buffers(), self.buffers, strict=True):
            buffer.copy_(initial)
        for state in run.optimizer.state.values():
            for tensor in state.values():
                tensor.zero_()
        self.snapshots = []
        run.restart_average()


def _flat(model: nn.Module) -> Tensor:
    """The parameters as one vector on the CPU, which may be read after the CPU has waited for the device.

    The engine waits at the end of every epoch.
    """
    return torch.cat([weight.detach().flatten() for weight in model.parameters()]).to("cpu", non_blocking=True)


def principal_directions(points: list[Tensor], dimensions: int) -> Tensor:
    """Orthonormal rows, ``(dimensions or fewer, n)``: the leading principal components of points ``(n,)``.

    They are computed from the points' scalar products, because ``n`` is much larger than the number of points.
    """
    centred = torch.stack(points)
    centred -= centred.mean(0)
    products = sum(part.double() @ part.double().t() for part in centred.split(2**20, dim=1))
    variances, vectors = torch.linalg.eigh(torch.as_tensor(products))
    # k points span k - 1 dimensions; below this share of the largest variance there is only rounding
    spanned = (variances > 1e-12 * variances[-1])[1:].sum().item()
    leading = slice(len(points) - min(dimensions, int(spanned)), None)
    combinations = (vectors[:, leading] / variances[leading].sqrt()).flip(1)
    return combinations.t().to(centred.dtype) @ centred
