"""Reading a checkpoint that a trial wrote."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.config import Cell
from core.models import build_model
from core.storage import CorruptFileError, Store


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and where it comes from."""

    cell: Cell
    seed: int
    epoch: int
    sha256: str
    model: nn.Module
    """On the CPU, in eval mode."""


def load_checkpoint(store: Store, file: str, sha256: str | None = None) -> Checkpoint:
    """The checkpoint ``file`` of ``store``.

    Raises:
        ValueError: it does not exist or is no checkpoint of this project.
        CorruptFileError: its content does not have the given SHA-256.
    """
    where = f"{store.root}/{file}"
    content = store.read(file)
    if content is None:
        raise ValueError(f"{where}: there is no such file")
    actual = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, actual):
        raise CorruptFileError(f"{where} is damaged: its content does not match its record's checksum")
    try:
        stored: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        cell = Cell.from_flat(stored["cell"])
        model = build_model(cell.model, cell.data.shape, seed=0).eval()
        model.load_state_dict(stored["model"])
        return Checkpoint(cell, stored["seed"], stored["epoch"], actual, model)
    except Exception as error:  # an unpickler fails in any way on bytes that are no checkpoint
        raise ValueError(f"{where} is no checkpoint that this version wrote ({type(error).__name__})") from error


def locate(path: str) -> tuple[Store, str]:
    """The store and the file name of a path or URI to a checkpoint."""
    place, mark, query = path.partition("?") if "://" in path else (str(Path(path).resolve()), "", "")
    folder, _, file = place.rpartition("/")
    return Store(folder + mark + query), file
