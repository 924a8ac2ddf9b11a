"""SubAT in float64: its subspace against an SVD, and its second stage against the algorithm written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import Cell
from core.methods import Batch, build_method
from core.methods.sub_at import principal_directions
from tests.methods.lookup import PlainRun, whole_batch

pytestmark = pytest.mark.numeric

Y = torch.tensor([0, 2, 1, 1, 0, 3])


@pytest.mark.parametrize(("points", "asked", "given"), [(6, 3, 3), (6, 80, 5), (2, 80, 1)])
def test_the_subspace_is_that_of_the_principal_components(points: int, asked: int, given: int) -> None:
    samples = torch.randn(points, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions = principal_directions(list(samples), asked).numpy()
    centred = samples.numpy() - samples.numpy().mean(0)
    components = np.linalg.svd(centred, full_matrices=False)[2][:given]
    assert directions.shape == (given, 40)
    np.testing.assert_allclose(directions @ directions.T, np.eye(given), atol=1e-12)
    np.testing.assert_allclose(np.abs((directions * components).sum(1)), 1, atol=1e-12)


def test_points_on_a_line_span_one_dimension() -> None:
    line = [step * torch.arange(5, dtype=torch.float64) for step in range(4)]
    assert len(principal_directions(line, 3)) == 1


class Training(PlainRun):
    """One rank that trains with SGD and momentum, as the engine does."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        self.scaler = torch.amp.GradScaler("cpu", enabled=False)
        self.steps_per_epoch = 4
        self.method: Any = None

    def restart_average(self) -> None:
        """No average is kept here."""

    def descend(self, batch: Batch, found: dict[str, Tensor]) -> Any:
        self.optimizer.param_groups[0]["lr"] = self.method.learning_rate(0.1)
        objective = self.method.objective(self, batch, found)
        self.optimizer.zero_grad()
        objective.total.backward()
        self.method.update(self, self.scaler)
        return objective


def flat(tensors: Any) -> Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def test_two_stages_against_the_algorithm_written_down() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 4)).double()
    twin = nn.Sequential(nn.Flatten(), nn.Linear(9, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 4)).double()
    twin.load_state_dict(model.state_dict())
    initial = {name: tensor.clone() for name, tensor in twin.state_dict().items()}
    options = {"epochs": 3, "sampling_share": 0.6, "subspace_dimensions": 3, "subspace_lr": 0.7, "classes": 4}
    run = Training(model)
    run.method = build_method(Cell.from_flat({"method": "sub-at", **options}))
    stand_in: Any = run
    run.method.build(stand_in, torch.Generator())
    addresses = [tensor.data_ptr() for tensor in model.state_dict().values()]
    images = torch.rand(12, 6, 1, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    run.method.attack = lambda run, batch: {"x": batch.x}
    for run.epoch in (1, 2, 3):
        run.method.begin_epoch(stand_in)
        for number in range(4):
            batch = whole_batch(images[4 * (run.epoch - 1) + number], Y)._replace(number=number)
            run.method.step(stand_in, batch)

    weights = list(twin.parameters())
    optimizer = torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=5e-4)
    snapshots = [flat(weights)]
    for number in range(8):
        optimizer.zero_grad()
        F.cross_entropy(twin(images[number]), Y).backward()
        optimizer.step()
        if number % 2:
            snapshots.append(flat(weights))
    assert len(snapshots) == 5
    centred = torch.stack(snapshots) - torch.stack(snapshots).mean(0)
    components = torch.linalg.svd(centred, full_matrices=False)[2][:3]
    twin.load_state_dict(initial)
    point, velocity = flat(weights), torch.zeros(len(snapshots[0]), dtype=torch.float64)
    for number in range(8, 12):
        gradient = flat(torch.autograd.grad(F.cross_entropy(twin(images[number]), Y), weights))
        velocity = 0.9 * velocity + components.T @ (components @ gradient)
        point = point - 0.7 * velocity
        nn.utils.vector_to_parameters(point, weights)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, twin.state_dict()[name], rtol=0, atol=1e-11, msg=name)
    moved = flat(model.parameters()) - snapshots[0]
    torch.testing.assert_close(components.T @ (components @ moved), moved, rtol=0, atol=1e-11)
    assert [tensor.data_ptr() for tensor in model.state_dict().values()] == addresses
