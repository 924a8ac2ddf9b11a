"""The folder of an exported checkpoint: weights, source of the network, model card and loader."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

from safetensors.torch import save_file

from core.checkpoints.checkpoint import load_checkpoint
from core.export import load_model
from core.export.card import card_text, model_card
from core.export.network_source import network_files
from core.records import CheckpointName, TrialRecord
from core.storage import Store


def export_checkpoint(record: TrialRecord, name: CheckpointName, store: Store, folder: Path) -> None:
    """Write a checkpoint of a trial as a folder that needs torch and safetensors, and nothing of this project.

    Args:
        record: the record of a finished trial.
        name: its checkpoint.
        store: the trial's store.
        folder: a folder that does not exist yet.

    Raises:
        ValueError: the trial has no such checkpoint, or its network comes from a plug-in.
        FileExistsError: the folder exists.
    """
    file = f"{name}.pt"
    if file not in record.checkpoints:
        stored = ", ".join(other.removesuffix(".pt") for other in record.checkpoints) or "none"
        raise ValueError(f"--which {name}: trial {record.key} has no such checkpoint; it has {stored}")
    checkpoint = load_checkpoint(store, file, record.checkpoints[file])
    files = {f"network/{inner}": source for inner, source in network_files(checkpoint.cell.model).items()}
    card = model_card(record, name, checkpoint)
    files |= {
        "card.json": json.dumps(card, indent=1),
        "README.md": card_text(card, checkpoint.cell),
        "load_model.py": inspect.getsource(load_model),
    }
    folder.mkdir(parents=True)
    (folder / "network").mkdir()
    for path, text in files.items():
        (folder / path).write_text(text)
    weights = {key: value.contiguous() for key, value in checkpoint.model.state_dict().items()}
    save_file(weights, folder / "weights.safetensors", {"format": "pt", "trial": record.key, "checkpoint": name})
