"""Stochastic gradient descent by torch's fused kernel, without the import of torch's compiler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd


class Sgd:
    """SGD with momentum and weight decay. It computes what ``torch.optim.SGD(..., fused=True)`` does, bit for bit.

    ``torch.optim.SGD`` imports ``torch._dynamo``, sympy and 900 other modules when it is created. This takes as long as
    the import of torch, and every process that trains would pay for it before its first epoch.

    With loss scaling on a GPU, torch's scaler waits for the device once per step, because only torch's own optimiser
    tells it that the kernel can divide by the scale.

    Attributes:
        param_groups: one group, in the form of torch's optimisers; ``lr`` and ``momentum`` may change between steps.
        state: ``momentum_buffer`` of each parameter; empty for a momentum that is always 0.

    Args:
        parameters: the weights to train.
        lr: learning rate.
        momentum: momentum of the first step.
        nesterov: whether the momentum is Nesterov's.
        weight_decay: factor of the l2 penalty's gradient.
        buffers: whether any step has a momentum above 0.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        buffers: bool,
    ) -> None:
        params = list(parameters)
        self.param_groups: list[dict[str, Any]] = [
            {"params": params, "lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        ]
        # The kernel would leave new momentum uninitialised if fp16 overflowed in the first step.
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {}
        if buffers:
            self.state |= {weight: {"momentum_buffer": torch.zeros_like(weight)} for weight in params}

    def zero_grad(self) -> None:
        """Forget the gradients of all weights."""
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update the weights that have a gradient."""
        (group,) = self.param_groups
        weights = [weight for weight in group["params"] if weight.grad is not None]
        moves = group["momentum"] != 0
        sgd(
            weights,
            [weight.grad for weight in weights],
            [self.state[weight]["momentum_buffer"] for weight in weights] if moves else [],
            fused=True,
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            lr=group["lr"],
            dampening=0,
            nesterov=group["nesterov"],
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """The state in the form of torch's optimisers."""
        (group,) = self.param_groups
        states = [self.state[parameter] for parameter in group["params"] if parameter in self.state]
        return {
            "state": dict(enumerate(states)),
            "param_groups": [{**group, "params": list(range(len(group["params"])))}],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`, or that of a ``torch.optim.SGD`` with the same weights."""
        (group,), (stored,) = self.param_groups, state["param_groups"]
        group |= {name: stored[name] for name in group.keys() - {"params"}}
        for number, kept in state["state"].items():
            self.state[group["params"][number]]["momentum_buffer"].copy_(kept["momentum_buffer"])
