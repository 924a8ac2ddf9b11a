"""Measures of checkpoints: values per image, summaries, blocks."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import ProtocolOptions
from core.data.image_set import ImageSet, to_float
from core.evaluation.blocks import block_seed
from core.evaluation.measures.collect import joined, measured, merge_measured
from core.evaluation.measures.names import MEASURES, MeasureName
from core.evaluation.measures.per_image import measure_images
from core.evaluation.measures.spec import MeasureSpec
from core.evaluation.measures.summary import summarise
from core.evaluation.measures.task import MeasureTask, pack, unpack
from core.evaluation.options import EvaluationOptions
from core.evaluation.target import MeasureTarget, Planner
from core.records import Measured
from core.storage import Store

from .conftest import TinySweep

NAMES: tuple[MeasureName, ...] = get_args(MeasureName)


def spec(name: MeasureName, epsilon: float = 0.1, steps: int = 4) -> MeasureSpec:
    return MeasureSpec(name=name, epsilon=epsilon, steps=steps, step_fraction=0.5, seed=0)


def targets(sweep: TinySweep, **options: object) -> list[MeasureTarget]:
    chosen = {"mode": "off", "images": 14, "block": 8, "measure": NAMES, "measure_steps": 3, **options}
    planner = Planner(EvaluationOptions.model_validate(chosen), ".")
    record = sweep.records[0]
    found = planner.trial_targets(record, "seed=0", sweep.ledger.trial_store(record.key), ProtocolOptions())
    return [target for target in found if isinstance(target, MeasureTarget)]


def in_few_steps(target: MeasureTarget) -> MeasureTarget:
    """The same target. The attacks of minimal norm, whose steps no option sets, get 20 of them."""
    if target.spec.steps is None or target.spec.steps <= 20:
        return target
    few = target.spec.model_copy(update={"steps": 20})
    tasks = tuple(dataclasses.replace(task, spec=few) for task in target.tasks)
    return dataclasses.replace(target, spec=few, tasks=tasks)


def elsewhere(task: MeasureTask, root: str) -> MeasureTask:
    content = Store(task.store).read(task.file)
    assert content is not None
    Store(root).write(task.file, content)
    return dataclasses.replace(task, store=root)


def test_every_measure_has_images_and_a_plan(trained: TinySweep) -> None:
    assert set(MEASURES) == set(NAMES)
    found = targets(trained)
    assert [target.spec.name for target in found] == list(NAMES)
    assert all([t.block.stop for t in target.tasks] == [8, 14] for target in found)
    assert len({target.spec.key for target in found}) == len(NAMES)


@pytest.mark.slow
def test_blocks_of_any_order_and_one_run_give_the_same_bits(trained: TinySweep, tmp_path: Any, digits: Any) -> None:
    for target in map(in_few_steps, targets(trained)):
        whole = joined([elsewhere(task, str(tmp_path)).run("cpu") for task in reversed(target.tasks)][::-1])
        sets: ImageSet = getattr(digits, MEASURES[target.spec.name].split)
        parts = []
        for task in target.tasks:
            chosen = sets.take(torch.arange(task.block.start, task.block.stop))
            model = _model(trained)
            parts.append(
                measure_images(
                    model, to_float(chosen.images), chosen.labels, target.spec, block_seed(0, task.block.number)
                )
            )
        for name, values in whole.items():
            assert np.array_equal(values, torch.cat([part[name].float() for part in parts]).numpy()), name


def _model(trained: TinySweep) -> nn.Module:
    from core.checkpoints.checkpoint import load_checkpoint

    return load_checkpoint(trained.ledger.trial_store(trained.records[0].key), "selected.pt").model


def test_a_stored_block_is_read_and_a_damaged_one_is_measured_again(trained: TinySweep, tmp_path: Any) -> None:
    task = elsewhere(targets(trained, measure=("calibration",))[0].tasks[0], str(tmp_path))
    assert task.finished() is None
    values = task.run("cpu")
    stored = task.finished()
    assert stored is not None
    assert all(np.array_equal(values[name], stored[name]) for name in values)
    content = Store(task.store).read(task.name)
    assert content is not None
    Store(task.store).write(task.name, content[:-40])
    assert task.finished() is None
    other = targets(trained, measure=("calibration",), measure_steps=4)[0].tasks[0]
    assert elsewhere(other, str(tmp_path)).name != task.name


def test_one_column_survives_storing() -> None:
    values = {"a": np.array([0.1, -2], np.float32), "b": np.zeros((2, 3), np.float32)}
    found = unpack(pack(values))
    assert found is not None
    assert all(np.array_equal(values[name], found[name]) for name in values)


def linear() -> tuple[nn.Module, Tensor, Tensor, Tensor, Tensor]:
    """Two classes, images away from the box, in float64: model, images, labels, weights and bias of the logit."""
    g = torch.Generator().manual_seed(1)
    layer = nn.Linear(12, 2).double()
    layer.weight.data = torch.randn(2, 12, generator=g, dtype=torch.float64)
    x = 0.4 + 0.2 * torch.rand(50, 3, 2, 2, generator=g, dtype=torch.float64)
    y = torch.randint(0, 2, (50,), generator=g)
    weight = (layer.weight[1] - layer.weight[0]).detach()
    layer.bias.data = torch.tensor([0.0, -0.5 * weight.sum().item()]).double()
    return nn.Sequential(nn.Flatten(), layer).eval(), x, y, weight, (layer.bias[1] - layer.bias[0]).detach()


def test_vulnerability_of_a_linear_network_has_a_closed_form() -> None:
    model, x, y, w, b = linear()
    sign = torch.where(y == 1, 1.0, -1.0).double()
    before = sign * (x.flatten(1) @ w + b)
    exact = F.softplus(-(before - 0.1 * w.abs().sum())) - F.softplus(-before)
    found = measure_images(model, x, y, spec("adversarial-vulnerability"), seed=3)["vulnerability"]
    torch.testing.assert_close(found, exact)


def test_margin_along_the_attack_of_a_linear_network_has_a_closed_form() -> None:
    """The attack goes to a corner, where ``mu / ||delta||_2`` is the distance in units of epsilon."""
    model, x, y, w, b = linear()
    value = x.flatten(1) @ w + b
    right = (value > 0) == (y == 1)
    found = measure_images(model, x, y, spec("margin"), seed=3)
    torch.testing.assert_close(found["attack_length"], torch.full((50,), 0.1 * 12**0.5).double())
    exact = value.abs() / (0.1 * w.abs().sum()) * found["attack_length"]
    near = right & (exact / 12**0.5 < 0.4)
    assert near.sum() > 5
    torch.testing.assert_close(found["margin"][near], exact[near], rtol=1e-4, atol=2e-6)
    # the attack of a wrong image goes away from the boundary
    assert (found["margin"][~right] == 50).all()


def test_calibration_of_a_linear_network_in_numpy() -> None:
    model, x, y, w, b = linear()
    sign = torch.where(y == 1, 1.0, -1.0).double()
    value = (x.flatten(1) @ w + b - sign * 0.1 * w.abs().sum()).numpy()
    found = measure_images(model, x, y, spec("calibration"), seed=3)
    confidence = 1 / (1 + np.exp(-np.abs(value)))
    np.testing.assert_allclose(found["attacked_confidence"].numpy(), confidence)
    assert np.array_equal(found["attacked_right"].numpy(), (value > 0) == (y.numpy() == 1))


def test_boundary_of_a_linear_network_is_not_distorted() -> None:
    model, x, y, *_ = linear()
    found = measure_images(model, x, y, spec("boundary-distortion", epsilon=0.01), seed=3)
    assert not found["distorted"].any()
    assert 0 < found["resists_fgsm"].sum() < 50


def test_summary_of_vulnerability_by_hand() -> None:
    values = np.array([-0.5, 0.0, 0.25, 1.0, 2.0, 0.5, 0.5, 0.5, 0.5, 0.25])
    found, arrays = summarise("adversarial-vulnerability", {"vulnerability": values}, 0.1, 12)
    assert found["mean"] == pytest.approx(0.5)
    assert found["sd"] == pytest.approx(np.sqrt(((values - 0.5) ** 2).sum() / 10))
    assert (found["top10"], found["bottom10"]) == (2.0, -0.5)
    assert (found["at_least_1"], found["at_most_0"]) == (0.2, 0.2)
    assert len(arrays["percentiles"]) == 101
    assert (arrays["percentiles"][0], arrays["percentiles"][-1]) == (-0.5, 2.0)


def test_summary_of_margins_by_hand() -> None:
    columns = {"margin": np.array([0.5, 2.0, 6.0, 50.0]), "attack_length": np.full(4, 2.0)}
    found, _ = summarise("margin", columns, 0.1, 12)
    expected = {"within_third": 0.25, "within_attack": 0.5, "beyond_twice": 0.5, "unchanged": 0.25}
    assert {name: found[name] for name in expected} == expected


def test_calibration_error_by_hand() -> None:
    """Two bins of 15: confidences around 0.9 with 1 of 2 right, and 0.5 with 2 of 2 right."""
    columns = {
        f"{kind}_{name}": np.array(values)
        for kind in ("clean", "attacked")
        for name, values in {"confidence": [0.9, 0.92, 0.5, 0.51], "right": [1.0, 0.0, 1.0, 1.0]}.items()
    }
    found, arrays = summarise("calibration", columns, 0.1, 12)
    assert found["clean_ece"] == pytest.approx(0.5 * (0.91 - 0.5) + 0.5 * (1 - 0.505))
    assert found["clean_overconfidence"] == pytest.approx(2.83 / 4 - 0.75)
    assert sum(arrays["clean_bin_share"]) == pytest.approx(1)
    assert arrays["attacked_bin_accuracy"][7] == 1.0


def test_a_record_keeps_one_measure_per_setting(trained: TinySweep) -> None:
    options = EvaluationOptions.model_validate({"mode": "off", "measure": ("margin",)})
    one = _measured(options, [0.5, 1.0])
    known = merge_measured((), one)
    better = _measured(options, [0.5, 2.0])
    assert merge_measured(known, better) == (better,)
    last = better.model_copy(update={"checkpoint": "last"})
    assert merge_measured(known, last) == (one, last)
    record = trained.records[0].model_copy(update={"measures": (one, last, _measured(options, [3.0]))})
    assert record.measured("selected", "margin") == one
    assert record.measured("last", "margin") == last
    assert record.measured("last", "lipschitz") is None
    read = Measured.model_validate_json(one.model_dump_json())
    assert read == one


def _measured(options: EvaluationOptions, margins: list[float]) -> Measured:
    values = {"margin": np.array(margins, np.float32), "attack_length": np.ones(len(margins), np.float32)}
    return measured(spec("margin"), values, options, 64, "selected", 3)


def test_a_value_that_is_not_finite_is_none() -> None:
    options = EvaluationOptions.model_validate({"mode": "off", "measure": ("linearity-error",)})
    found = measured(spec("linearity-error"), {"linearity_error": np.array([1, np.inf], np.float32)}, options, 64)
    assert found.values["mean"] is None
    assert found.values["median"] is None or found.values["median"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "off"}, "--mode off needs --measure"),
        ({"mode": "off", "measure": ("margin",), "attacks": ("cw",)}, "impossible with --attacks"),
        ({"measure_steps": 3}, "--measure-steps 3 needs --measure"),
        ({"measure": ("size",)}, "measure"),
    ],
)
def test_impossible_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluationOptions.model_validate(options)


def test_training_images_are_counted_apart(trained: TinySweep, digits: Any) -> None:
    assert len(digits.train) > len(digits.test)
    with pytest.raises(ValueError, match=f"the test set of digits has {len(digits.test)} images"):
        targets(trained, images=len(digits.test) + 1)
    assert targets(trained, images=len(digits.test) + 1, measure=("margin",))
    with pytest.raises(ValueError, match=f"the training set of digits has {len(digits.train)} images"):
        targets(trained, images=len(digits.train) + 1, measure=("margin",))
