"""The model card of an exported checkpoint: setting, verdict, robust accuracies and provenance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.checkpoints.checkpoint import Checkpoint
from core.config import Cell
from core.export.network_source import builder_of
from core.records import CheckpointName, Measurement, TrialRecord

SETTINGS = ("steps", "restarts", "queries", "targets", "images", "split", "epsilon", "seed", "block", "precision")


def model_card(record: TrialRecord, name: CheckpointName, checkpoint: Checkpoint) -> dict[str, Any]:
    """Everything that the card says, in JSON types."""
    assert record.verdict is not None
    _, function, numbers = builder_of(checkpoint.cell.model)
    return {
        "sweep": record.sweep,
        "trial": record.key,
        "checkpoint": name,
        "epoch": checkpoint.epoch,
        "seed": record.seed,
        "pins": record.pins,
        "cell_id": record.cell_id,
        "cell": record.cell,
        "architecture": {
            "model": checkpoint.cell.model.model,
            "builder": function,
            "numbers": list(numbers),
            "norm": checkpoint.cell.model.norm,
            "shape": checkpoint.cell.data.shape._asdict(),
            "input": "images in [0, 1]; the network does not normalise them",
        },
        "checkpoint_sha256": checkpoint.sha256,
        "verdict": record.verdict.model_dump(mode="json", exclude={"evidence"}),
        "stopped_early": record.stopped_early,
        "accuracies": [_accuracy(m, source) for source, m in _measurements(record, name)],
        "measures": [
            m.model_dump(mode="json", exclude={"arrays", "checkpoint", "epoch"})
            for m in record.measures
            if m.checkpoint == name
        ],
        "provenance": record.provenance,
    }


def card_text(card: dict[str, Any], cell: Cell) -> str:
    """The card as a page of Markdown."""
    verdict = card["verdict"]
    labels = [label for label in ("overestimation", "onset", "catastrophic") if verdict[label]]
    options = "\n".join(f"| {name} | {value} |" for name, value in cell.options().items())
    provenance = "\n".join(f"- {name}: {value}" for name, value in card["provenance"].items())
    return f"""# {card["architecture"]["model"]} for {card["cell"]["dataset"]}, {card["cell"]["method"]}

Checkpoint *{card["checkpoint"]}* (epoch {card["epoch"]}) of trial `{card["trial"]}`, seed {card["seed"]}, of sweep
`{card["sweep"]}`.

**Verdict: {verdict["outcome"]}**{f" ({', '.join(labels)})" if labels else ""}. The verdict describes the whole
trial; the documents of unmask (analysis/README.md) define its labels.

```python
from load_model import load_model  # needs torch and safetensors

model = load_model()  # images in [0, 1] -> logits, in eval mode
```

RobustBench takes the model as it is:
`benchmark(model, dataset=..., threat_model="Linf", eps={card["cell"]["epsilon"]})`.

## Robust accuracies

{_table(card["accuracies"])}

The radius of every attack is epsilon in l-infinity, for images in [0, 1].
{_measures(card["measures"])}
## Setting

| option | value |
| --- | --- |
{options}

## Provenance

{provenance}
"""


def _measurements(record: TrialRecord, name: CheckpointName) -> list[tuple[str, Measurement]]:
    assert record.verdict is not None
    found = [("verdict", evidence) for evidence in record.verdict.evidence if evidence.checkpoint == name]
    found += [("evaluation", evidence) for evidence in record.evaluations if evidence.checkpoint == name]
    return [(source, m) for source, evidence in found for m in evidence.measurements]


def _accuracy(measurement: Measurement, source: str) -> dict[str, Any]:
    settings = {name: getattr(measurement, name) for name in SETTINGS}
    known = {name: value for name, value in settings.items() if value is not None}
    measured = {"attack": measurement.label, "accuracy": measurement.accuracy, "source": source}
    return {**measured, **known, "library": measurement.library}


def _table(accuracies: Sequence[dict[str, Any]]) -> str:
    columns = ["attack", "accuracy", "source", *SETTINGS, "library"]
    used = [column for column in columns if any(column in row for row in accuracies)]
    lines = [used, ["---"] * len(used), *([_text(row.get(column, "")) for column in used] for row in accuracies)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _measures(measures: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"| {m['measure']} | {name} | {_text(value)} | {m['images']} {m['split']} | {_text(m['steps'])} |"
        for m in measures
        for name, value in m["values"].items()
    ]
    head = "| measure | value | number | images | steps |\n| --- | --- | --- | --- | --- |\n"
    return f"\n## Measures\n\n{head}" + "\n".join(lines) + "\n" if lines else ""


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
