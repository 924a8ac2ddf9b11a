"""TRADES as in a textbook: the reference for the speed and the losses of the engine's step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from core.config import Cell
from core.config.methods.trades import TradesOptions
from core.config.over_epochs import plain
from core.data.image_set import ImageSet


class TextbookTrades:
    """Plain TRADES in float32 and NCHW: eager, nothing cached, default SGD.

    The attack computes the clean logits again in every step, as in the official code (Zhang et al. 2019), and its
    gradient by ``loss.backward()``, which computes the weights' gradients too. The official code itself asks autograd
    for the images' gradient only; ``image_gradient_only`` does that. Objective and number of clean forwards are the
    cell's, so that both sides compute the same numbers.

    Args:
        cell: a TRADES cell with the Gaussian start and BatchNorm in eval mode in the attack.
        model: network on ``device``; it is trained in place.
        device: device of the network.
        image_gradient_only: the attack computes no weight gradients.
    """

    def __init__(
        self, cell: Cell, model: nn.Module, device: torch.device, *, image_gradient_only: bool = False
    ) -> None:
        assert isinstance(cell.method, TradesOptions)
        self.method = cell.method
        self.cell, self.model, self.device = cell, model.to(device), device
        self.image_gradient_only = image_gradient_only
        options = cell.training
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=options.lr,
            momentum=options.momentum,
            nesterov=options.nesterov,
            weight_decay=options.weight_decay,
        )

    def epoch(self, loader: Iterable[tuple[Tensor, Tensor]]) -> None:
        """One pass over the loader's batches."""
        for x, y in loader:
            x, y = x.to(self.device), y.to(self.device)
            self.step(x, y, x + 0.001 * torch.randn_like(x))

    def step(self, x: Tensor, y: Tensor, start: Tensor) -> Tensor:
        """Train on one batch of images in [0, 1], attacked from ``start``; returns the loss before the update."""
        x_adv = self.perturb(x, start)
        self.model.train()
        self.optimizer.zero_grad()
        clean_logits = self.model(x)
        adv_logits = self.model(x_adv)
        target = self.model(x) if self.method.clean_forwards == 2 else clean_logits
        kl = F.kl_div(F.log_softmax(adv_logits, dim=1), F.softmax(target, dim=1), reduction="sum") / len(x)
        loss = F.cross_entropy(clean_logits, y) + plain(self.method.beta) * kl
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def perturb(self, x: Tensor, start: Tensor) -> Tensor:
        """Maximise the KL divergence by sign steps, each projected to the ball and then to the box."""
        options = self.cell.attack
        self.model.eval()
        x_adv = start.detach()
        for _ in range(int(plain(options.attack_steps))):
            x_adv = x_adv.detach().requires_grad_()
            loss = F.kl_div(F.log_softmax(self.model(x_adv), dim=1), F.softmax(self.model(x), dim=1), reduction="sum")
            x_adv = x_adv.detach() + plain(options.attack_step_size) * torch.sign(self._image_gradient(loss, x_adv))
            x_adv = torch.min(torch.max(x_adv, x - options.epsilon), x + options.epsilon)
            x_adv = torch.clamp(x_adv, 0.0, 1.0)
        return x_adv

    def _image_gradient(self, loss: Tensor, x_adv: Tensor) -> Tensor:
        if self.image_gradient_only:
            return torch.autograd.grad(loss, x_adv)[0]
        loss.backward()
        assert x_adv.grad is not None
        return x_adv.grad


class PictureSet(Dataset[tuple[Tensor, Tensor]]):
    """Pictures that are decoded and transformed one by one, as torchvision's CIFAR10 does."""

    def __init__(self, images: ImageSet, augment: bool) -> None:
        from torchvision import (
            transforms,
        )  # imported late: it takes seconds, and the processes of other rows import this module

        cpu = images.to("cpu")
        self.pictures = [Image.fromarray(picture.squeeze(-1).numpy()) for picture in cpu.images.permute(0, 2, 3, 1)]
        self.labels = cpu.labels
        crop_flip: list[Any] = [
            transforms.RandomCrop(cpu.images.shape[-1], padding=4),
            transforms.RandomHorizontalFlip(),
        ]
        self.transform = transforms.Compose([*(crop_flip if augment else []), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.transform(self.pictures[index]), self.labels[index]


def textbook_loader(images: ImageSet, cell: Cell, device: torch.device) -> DataLoader[tuple[Tensor, Tensor]]:
    """Shuffled batches; one loading process and pinned memory on a GPU, none on a CPU, as in the official code."""
    on_gpu = device.type == "cuda"
    return DataLoader(
        PictureSet(images, cell.data.augment == "crop-flip"),
        batch_size=cell.training.batch_size,
        shuffle=True,
        drop_last=cell.training.drop_last,
        num_workers=int(on_gpu),
        persistent_workers=on_gpu,
        pin_memory=on_gpu,
    )
