from __future__ import annotations

from core.config import Cell, ProtocolOptions
from core.evaluation.attack_plan import attack_plan
from core.evaluation.collect import measurements, merge
from core.evaluation.options import EvaluationOptions
from core.records import Measurement


def measured(flags: dict[str, list[list[int]]], classes: int = 10, **options: object) -> dict[str, Measurement]:
    chosen = EvaluationOptions.model_validate({"block": 4, "seed": 9, **options})
    cell = Cell.from_flat({"epsilon": 0.1, "classes": classes})
    specs = attack_plan(chosen, cell, ProtocolOptions(eval_steps=7))
    blocks = [{name: [bool(f) for f in parts[i]] for name, parts in flags.items()} for i in range(2)]
    return {m.attack: m for m in measurements(specs, blocks, chosen)}


def test_autoattack_is_the_minimum_per_image() -> None:
    flags = {
        "clean": [[1, 1, 1, 1], [1, 0]],
        "pgd-10": [[1, 1, 1, 0], [1, 0]],
        "apgd-ce": [[1, 1, 0, 0], [1, 0]],
        "apgd-dlr": [[1, 1, 0, 0], [1, 0]],
        "fab": [[0, 1, 1, 0], [1, 0]],
        "square": [[1, 1, 1, 1], [0, 0]],
    }
    found = measured(flags, restarts=3)
    assert found["autoattack"].accuracy == 1 / 6  # Only the second image survives all attacks.
    assert min(found[name].accuracy for name in ("apgd-ce", "apgd-dlr", "fab", "square")) == 3 / 6
    assert found["clean"].accuracy == 5 / 6
    whole = found["autoattack"]
    assert (whole.steps, whole.restarts, whole.queries, whole.targets) == (100, 3, 5000, None)
    assert (whole.images, whole.block, whole.seed, whole.epsilon, whole.precision) == (6, 4, 9, 0.1, "fp32")
    assert whole.library.startswith("pyautoattack 0.")
    assert (found["square"].queries, found["pgd-10"].steps) == (5000, 7)
    assert found["pgd-10"].library.startswith("unmask")


def test_a_cascade_is_one_number() -> None:
    links = {f"standard/{name}": [[1, 1, 1, 1], [1, 0]] for name in ("apgd-ce", "apgd-t", "fab-t")}
    flags = {
        "clean": [[1] * 4, [1, 0]],
        "pgd-10": [[1] * 4, [1, 0]],
        **links,
        "standard/square": [[1, 0, 1, 0], [0, 0]],
    }
    found = measured(flags, classes=6, mode="standard")
    assert list(found) == ["clean", "pgd-10", "autoattack-standard"]
    assert found["autoattack-standard"].accuracy == 2 / 6
    assert found["autoattack-standard"].targets == 5


def one(attack: str, accuracy: float, images: int = 100, seed: int = 0) -> Measurement:
    return Measurement(attack=attack, accuracy=accuracy, images=images, split="test", seed=seed, block=10)


def test_merging_never_mixes_images_or_seeds() -> None:
    first = merge((), "selected", 4, [one("clean", 0.9), one("fab", 0.5)])
    second = merge(first, "selected", 4, [one("clean", 0.9), one("fab", 0.4), one("cw", 0.3)])
    assert [(m.attack, m.accuracy) for m in second[0].measurements] == [("clean", 0.9), ("fab", 0.4), ("cw", 0.3)]
    kept = merge(first, "selected", 4, [one("cw", 0.3)])
    assert [m.attack for m in kept[0].measurements] == ["clean", "fab", "cw"]
    for other in (
        merge(first, "selected", 4, [one("fab", 0.4, images=50)]),
        merge(first, "selected", 4, [one("fab", 0.4, seed=1)]),
        merge(first, "last", 4, [one("fab", 0.4)]),
    ):
        assert len(other) == 2
        assert other[0] == first[0]
