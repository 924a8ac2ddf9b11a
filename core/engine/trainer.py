"""One rank's training: the network, its optimiser, and what one step and one epoch do to them."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from core.config import Cell
from core.data.image_set import ImageSet
from core.engine.awp import WeightPerturbation
from core.engine.batches import Batch, count_batches, iterate_epoch
from core.engine.gradient_probe import GradientProbe
from core.engine.precision import Precision
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.fast import FoldedNetwork
from core.methods import Method, Objective, build_method
from core.records import Row


class ObjectiveModule(nn.Module):
    """The objective as one forward, so that DDP sees one forward per backward whatever the method computes in it."""

    def __init__(self, network: nn.Module, method: Method) -> None:
        super().__init__()
        self.network = network
        self.method = method

    def forward(self, x: Tensor, x_adv: Tensor, y: Tensor) -> Objective:
        return self.method.objective(self.network, x, x_adv, y)


class Trainer:
    """Trains one trial's network on one rank.

    Attributes:
        model: the bare network; attacks and measurements go through it, never through DDP.
        parts: what a checkpoint must hold to go on bit for bit, besides progress.
    """

    def __init__(self, cell: Cell, model: nn.Module, streams: Streams, ranks: Ranks) -> None:
        self.cell = cell
        self.streams = streams
        self.ranks = ranks
        options = cell.training
        self.memory_format = torch.channels_last if options.channels_last else torch.contiguous_format
        self.model = model.to(ranks.device, memory_format=self.memory_format)  # type: ignore[call-overload]
        self.network = self._maybe_compiled(self.model)
        self.method = build_method(cell)
        self.precision = Precision(options.precision, ranks.device)
        folds = options.fast and cell.attack.attack_bn == "eval"
        # a step from 0.001 away ascends a difference that bfloat16 hardly holds: if it is the only one, it is float32
        attack_dtype = self.precision.dtype if cell.attack.attack_steps > 1 else None
        self.folded = FoldedNetwork(self.model, attack_dtype) if folds else None
        self.attacked = self._maybe_compiled(self.folded) if self.folded else self.network
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=options.lr,
            momentum=options.momentum,
            nesterov=options.nesterov,
            weight_decay=options.weight_decay,
            fused=True,
        )
        if options.momentum:
            # the fused SGD allocates momentum in its first step, and leaves it uninitialised if fp16 overflows there
            for parameter in self.model.parameters():
                self.optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self.awp = WeightPerturbation(cell.awp.awp_radius)
        module: nn.Module = ObjectiveModule(self.network, self.method)
        self.objective = _distributed(module) if ranks.workers > 1 else module
        self.parts = {"model": self.model, "optimizer": self.optimizer, "scaler": self.precision.scaler}

    def run_epoch(
        self, train: ImageSet, epoch: int, *, noisy_batches: int = 0, gradient_stride: int = 0, first_step: int = 0
    ) -> tuple[Row, list[Row]]:
        """Train one 1-based epoch.

        Args:
            train: the training images, on this rank's device.
            epoch: 1-based.
            noisy_batches: first batches that get the healing noise.
            gradient_stride: measure Appendix G's norms every so many steps; 0: never.
            first_step: global number of the epoch's first step.

        Returns:
            The epoch's ``train/...`` row, averaged over all ranks, and its batch-level gradient rows.
        """
        started = time.perf_counter()
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.cell.training.learning_rate(epoch)
        perturb_weights = self.cell.awp.awp_radius > 0 and epoch > self.cell.awp.awp_warmup
        sums = torch.zeros(4, dtype=torch.float64, device=self.ranks.device)
        gradients: list[Row] = []
        batches = iterate_epoch(train, self.cell, self.method.attack, self.streams, self.ranks, epoch, noisy_batches)
        for step, batch in enumerate(batches, start=first_step):
            probe = self._probe(batch) if gradient_stride and step % gradient_stride == 0 else None
            objective = self._step(batch, perturb_weights, probe)
            sums += _totals(objective, batch)
            if probe:
                gradients.append({"step": step, "epoch": epoch, **probe.finish()})
        loss, clean, adv, count = self.ranks.sum(sums).tolist()
        row: Row = {"train/loss": loss / count, "train/adv_acc": adv / count}
        if objective.clean_logits is not None:
            row |= {"train/clean_acc": clean / count, "train/gap": (clean - adv) / count}
        row |= {"train/lr": self.optimizer.param_groups[0]["lr"], "time/train_s": time.perf_counter() - started}
        return row, gradients

    def steps_per_epoch(self, images: int) -> int:
        """Training steps of an epoch over ``images`` images."""
        return count_batches(images, self.cell.training.batch_size, drop_last=self.cell.training.drop_last)

    def attack(self, batch: Batch) -> Tensor:
        """Adversarial images of a batch, by the method's inner attack."""
        x = batch.x.contiguous(memory_format=self.memory_format)
        if self.folded:
            self.folded.refresh()
            return self.method.attack.perturb_from(self.attacked, x, batch.y, batch.start)
        with self.precision.autocast():
            return self.method.attack.perturb_from(self.attacked, x, batch.y, batch.start)

    def _probe(self, batch: Batch) -> GradientProbe:
        def loss() -> Tensor:
            x_adv = self.attack(batch)
            with self.precision.autocast():
                return self.method.objective(self.network, batch.x, x_adv, batch.y).total

        return GradientProbe(self.model, self.ranks, self.precision, batch.weight, loss)

    def _maybe_compiled(self, network: nn.Module) -> nn.Module:
        return torch.compile(network) if self.cell.training.compile else network  # type: ignore[return-value]

    def _step(self, batch: Batch, perturb_weights: bool, probe: GradientProbe | None) -> Objective:
        x_adv = self.attack(batch)
        if not perturb_weights:
            return self._descend(batch, x_adv, probe)

        def scaled_share() -> Tensor:
            with self.precision.autocast():
                total = self.method.objective(self.network, batch.x, x_adv, batch.y).total
            return self.precision.scaler.scale(total * batch.weight)

        offsets = self.awp.offsets(self.model, scaled_share, self.ranks)
        with self.awp.applied(self.model, offsets):
            return self._descend(batch, x_adv, probe)

    def _descend(self, batch: Batch, x_adv: Tensor, probe: GradientProbe | None) -> Objective:
        with self.precision.autocast():
            objective: Objective = self.objective(batch.x, x_adv, batch.y)
        if probe:
            probe.before(objective)
        self.optimizer.zero_grad(set_to_none=True)
        self.precision.scaler.scale(objective.total * batch.weight).backward()
        self.precision.scaler.step(self.optimizer)
        self.precision.scaler.update()
        return objective


def _distributed(module: nn.Module) -> nn.Module:
    """DDP; ranks keep their own BatchNorm statistics in training, and `Ranks.copy_buffers` aligns them to measure."""
    buffers = [name for name, _ in module.named_buffers()]
    # broadcast_buffers=False says the same, but torch 2.13 deprecates it, and 2.9 doesn't know its successor
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, buffers)
    return DistributedDataParallel(module, gradient_as_bucket_view=True)


def _totals(objective: Objective, batch: Batch) -> Tensor:
    """Sums over the slice: loss, correct clean, correct adversarial, images."""
    with torch.no_grad():
        size = len(batch.y)
        adv = (objective.adv_logits.argmax(1) == batch.y).sum()
        clean = adv * 0 if objective.clean_logits is None else (objective.clean_logits.argmax(1) == batch.y).sum()
        totals = torch.stack([objective.total.detach() * size, clean, adv, torch.full_like(adv, size)]).double()
        return totals if batch.weight else totals.zero_()
