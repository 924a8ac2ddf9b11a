"""Training on one rank: the network, its optimiser, and the training steps of an epoch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from core.attacks import Pgd
from core.attacks.base import attack_mode
from core.attacks.pgd import USUAL, Ascent
from core.config import Cell
from core.config.learning_rate import rates
from core.config.over_epochs import plain
from core.data.image_set import ImageSet
from core.engine.batches import iterate_epoch
from core.engine.gradient_probe import GradientProbe, unchanged_statistics
from core.engine.precision import Precision
from core.engine.ranks import CPU, Ranks
from core.engine.seeding import Streams
from core.engine.sgd import Sgd
from core.engine.weights import WeightAverage, WeightPerturbation, perturbed_weights, weight_perturbation
from core.fast import FoldedNetwork
from core.methods import Batch, Found, Objective, build_method
from core.records import Row


class Trainer:
    """Trains one trial's network on one rank. It implements `core.methods.Run` for the training method.

    Attributes:
        model: the bare network.
        network: the same network, compiled if the cell says so.
        parts: objects whose ``state_dict`` a checkpoint must contain for a bit-identical continuation.
    """

    def __init__(self, cell: Cell, model: nn.Module, streams: Streams, ranks: Ranks) -> None:
        self.cell = cell
        self.streams = streams
        self.ranks = ranks
        options = cell.training
        self.memory_format = torch.channels_last if options.channels_last else torch.contiguous_format
        self.model = model.to(ranks.device, memory_format=self.memory_format)  # type: ignore[call-overload]
        self.network = self._maybe_compiled(self.model)
        self.precision = Precision(options.precision, ranks.device)
        folds = options.fast and cell.attack.attack_bn == "eval"
        # A single step from a start at distance 0.001 ascends a difference that is close to the resolution of bfloat16.
        # It therefore uses float32, and the whole trial does if any epoch has a single step.
        attack_dtype = self.precision.dtype if cell.attack.attack_steps >= 2 else None
        folded = FoldedNetwork.of(self.model, attack_dtype) if folds else None
        self.folded = folded if isinstance(folded, FoldedNetwork) else None
        self.attacked = self._maybe_compiled(self.folded) if self.folded else self.network
        self.optimizer = Sgd(
            self.model.parameters(),
            lr=options.lr,
            momentum=options.momentum,
            nesterov=options.nesterov,
            weight_decay=options.weight_decay,
            buffers=bool(options.momentum or options.peak_momentum),
        )
        self.perturbation: WeightPerturbation | None = None
        self.offsets: list[Tensor] = []
        self.probe: GradientProbe | None = None
        self.epoch = self.step = self.steps_per_epoch = self.updates = 0
        self.flood_level = 0.0
        self.average = WeightAverage(cell.averaging, self.model) if cell.averaging.averages else None
        self.method = build_method(cell)
        self.method.build(self, streams.generator("init", 1, device=CPU))
        self.parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "scaler": self.precision.scaler,
            "method": self.method,
        }
        if self.average:
            self.parts["average"] = self.average

    @property
    def measured(self) -> nn.Module:
        """The bare network that is validated, selected and judged: the weight average if the cell has one."""
        return self.average.model if self.average else self.model

    def run_epoch(
        self, train: ImageSet, epoch: int, *, noisy_batches: int = 0, gradient_stride: int = 0
    ) -> tuple[Row, list[Row]]:
        """Train one 1-based epoch.

        Args:
            train: the training images, on this rank's device.
            epoch: 1-based.
            noisy_batches: number of batches at the start of the epoch that get healing noise.
            gradient_stride: training steps between two measurements of Appendix G's norms; 0: no measurement.

        Returns:
            The epoch's ``train/...`` row, averaged over all ranks, and its batch-level gradient rows.
        """
        started = time.perf_counter()
        with self.precision.float32_products():
            row, gradients = self._run_epoch(train, epoch, noisy_batches, gradient_stride)
        return {**row, "time/train_s": time.perf_counter() - started}, gradients

    def begin_epoch(self, epoch: int, images: int) -> None:
        """Prepare a 1-based epoch over ``images`` images: the numbers of the epoch, and the method."""
        self.epoch, self.steps_per_epoch = epoch, self.count_steps(images)
        self.model.train()
        cell = self.cell.in_epoch(epoch)
        self.perturbation = weight_perturbation(cell.awp, epoch)
        self.flood_level = plain(cell.training.flood_loss)
        self.method.enter(cell)
        self.method.begin_epoch(self)

    def count_steps(self, images: int) -> int:
        """Number of training steps in an epoch over ``images`` images."""
        return self.cell.count_batches(images)

    def perturb(self, attack: Pgd, x: Tensor, y: Tensor, start: Tensor, how: Ascent = USUAL) -> Tensor:
        """See `core.methods.Run`."""
        x, start = (images.contiguous(memory_format=self.memory_format) for images in (x, start))
        if self.folded and attack.bn_mode == "eval":
            self.folded.refresh()
            return attack.perturb_from(self.attacked, x, y, start, how)
        with self.precision.autocast():
            return attack.perturb_from(self.network, x, y, start, how)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """See `core.methods.Run`."""
        x = x.contiguous(memory_format=self.memory_format)
        if self.folded:
            self.folded.refresh()
            return self.attacked(x)
        with self.precision.autocast(), attack_mode(self.network):
            return self.network(x)

    def forward(self, x: Tensor) -> Tensor:
        """See `core.methods.Run`."""
        with self.precision.autocast():
            return self.network(x.contiguous(memory_format=self.memory_format))

    def unperturbed(self, x: Tensor) -> Tensor:
        """See `core.methods.Run`."""
        tensors = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        tensors |= dict(self.model.named_parameters())
        if self.offsets:
            perturbed = perturbed_weights(self.model)
            moves = zip(perturbed.items(), self.offsets, strict=True)
            tensors |= {name: weight - offset for (name, weight), offset in moves}
        return functional_call(self.model, tensors, (x,))

    def descend(self, batch: Batch, found: Found) -> Objective:
        """See `core.methods.Run`."""
        self._set_rates()
        objective = self._descend_perturbed(batch, found) if self.perturbation else self._descend(batch, found)
        self.updates += 1
        if self.average:
            self.average.after_update(self.model, self.epoch)
        return objective

    def restart_average(self) -> None:
        """See `core.methods.Run`."""
        if self.average:
            self.average.restart()

    def gather(self, batch: Batch, values: Tensor) -> Tensor:
        """See `core.methods.Run`."""
        whole = values.new_zeros((batch.size, *values.shape[1:]))
        if batch.weight:
            whole[batch.rows] = values.detach()
        return self.ranks.sum(whole)

    def _run_epoch(
        self, train: ImageSet, epoch: int, noisy_batches: int, gradient_stride: int
    ) -> tuple[Row, list[Row]]:
        self.begin_epoch(epoch, len(train))
        sums = torch.zeros(4, dtype=torch.float64, device=self.ranks.device)
        gradients: list[Row] = []
        batches = iterate_epoch(train, self.cell, self.method.draw, self.streams, self.ranks, epoch, noisy_batches)
        first_step = (epoch - 1) * self.steps_per_epoch
        for self.step, batch in enumerate(batches, start=first_step):
            probed = gradient_stride and self.step % gradient_stride == 0
            self.probe = self._probe(batch) if probed else None
            self.updates = self.step * self.cell.method.updates_per_batch
            self._set_rates()  # a method may read them before its first update
            objective = self.method.step(self, batch)
            sums += _totals(objective, batch)
            if self.probe:
                gradients.append({"step": self.step, "epoch": epoch, **self.probe.finish()})
        self.method.end_epoch(self)
        self._complete_measured(train)
        loss, clean, adv, count = self.ranks.sum(sums).tolist()
        row: Row = {"train/loss": loss / count, "train/adv_acc": adv / count}
        if objective.clean_logits is not None:
            row |= {"train/clean_acc": clean / count, "train/gap": (clean - adv) / count}
        return {**row, "train/lr": self.optimizer.param_groups[0]["lr"]}, gradients

    def _set_rates(self) -> None:
        """Give the optimiser the learning rate and the momentum of the next update."""
        per_epoch = self.steps_per_epoch * self.cell.method.updates_per_batch
        scheduled = rates(self.cell.training, self.updates, per_epoch, self.method.scheduled_epochs)
        for group in self.optimizer.param_groups:
            group["lr"], group["momentum"] = self.method.learning_rate(scheduled.lr), scheduled.momentum

    def _descend_perturbed(self, batch: Batch, found: Found) -> Objective:
        perturbation = self.perturbation
        assert perturbation is not None

        def scaled_share() -> Tensor:
            with self.precision.autocast():
                loss = perturbation.loss(self.method, self, batch, found)
            return self.precision.scaler.scale(loss * batch.weight)

        self.offsets = perturbation.offsets(self.model, scaled_share, self.ranks)
        with perturbation.applied(self.model, self.offsets):
            objective = self._descend(batch, found)
        self.offsets = []
        return objective

    def _descend(self, batch: Batch, found: Found) -> Objective:
        with self.precision.autocast():
            objective = self.method.objective(self, batch, found)
        if self.probe and not self.probe.gradients:
            with self._differentiable_often(objective, batch, found) as parts:
                self.probe.before(parts)
        self.optimizer.zero_grad()
        # The loss is this rank's share of the global mean. The sum over ranks is the gradient of a single rank.
        share = objective.total * (batch.weight / self.ranks.workers)
        self.precision.scaler.scale(share).backward()
        gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        self.ranks.sum_all(gradients)
        if self.flood_level and self.ranks.sum(share.detach().clone()) < self.flood_level:
            # the gradient of |L - b| + b by the weights (Ishida et al. 2020); that by the images stays the loss's
            torch._foreach_neg_(gradients)
        self.method.update(self, self.precision.scaler)
        self.precision.scaler.update()
        return objective

    def _complete_measured(self, train: ImageSet) -> None:
        """Give all ranks the leader's BatchNorm statistics, and complete the average by those of the whole batches."""
        self.ranks.copy_buffers(self.model)
        if self.average:
            alone = Ranks(device=self.ranks.device)
            batches = iterate_epoch(train, self.cell, lambda x, y, rng: {}, self.streams, alone, self.epoch, 0)
            images = (batch.x.contiguous(memory_format=self.memory_format) for batch in batches)
            self.average.after_epoch(self.model, self.epoch, images)
            self.ranks.copy_buffers(self.average.model)

    def _probe(self, batch: Batch) -> GradientProbe:
        def loss() -> Tensor:
            found = self.method.attack(self, batch)
            with self._uncompiled(), self.precision.autocast():
                return self.method.objective(self, batch, found).total

        return GradientProbe(self.model, self.ranks, self.precision, batch.weight, loss)

    @contextmanager
    def _differentiable_often(self, objective: Objective, batch: Batch, found: Found) -> Iterator[Objective]:
        """The objective, computed again if the network is compiled, because torch then allows a single backward."""
        if not self.cell.training.compile:
            yield objective
            return
        with self._uncompiled(), unchanged_statistics(self.model):
            with self.precision.autocast():
                again = self.method.objective(self, batch, found)
            yield again

    @contextmanager
    def _uncompiled(self) -> Iterator[None]:
        compiled, self.network = self.network, self.model
        try:
            yield
        finally:
            self.network = compiled

    def _maybe_compiled(self, network: nn.Module) -> nn.Module:
        return torch.compile(network) if self.cell.training.compile else network  # type: ignore[return-value]


def _totals(objective: Objective, batch: Batch) -> Tensor:
    """Sums over the slice: loss, correct clean images, correct adversarial images, and number of images."""
    with torch.no_grad():
        size = len(batch.y)
        adv = (objective.adv_logits.argmax(1) == batch.y).sum()
        clean = adv * 0 if objective.clean_logits is None else (objective.clean_logits.argmax(1) == batch.y).sum()
        totals = torch.stack([objective.total.detach() * size, clean, adv, torch.full_like(adv, size)]).double()
        return totals if batch.weight else totals.zero_()
