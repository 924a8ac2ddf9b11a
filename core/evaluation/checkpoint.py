"""Checkpoints that trials wrote, read from their store."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from core.config import Cell
from core.config.plugins import PluginError
from core.models import build_model
from core.storage import CorruptFileError, Store


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and its origin."""

    cell: Cell
    seed: int
    epoch: int
    sha256: str
    model: nn.Module
    """On the CPU, in eval mode."""


def load_checkpoint(store: Store, file: str, sha256: str | None = None) -> Checkpoint:
    """The checkpoint ``file`` of ``store``.

    Raises:
        PluginError: the checkpoint's cell uses a plug-in that is not loaded.
        ValueError: the file does not exist or is not a checkpoint of this project.
        CorruptFileError: the file's content does not have the given SHA-256.
    """
    where = f"{store.root}/{file}"
    content = store.read(file)
    if content is None:
        raise ValueError(f"{where}: there is no such file")
    actual = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, actual):
        raise CorruptFileError(f"{where} is damaged: its content does not match its record's checksum")
    try:
        _check_crc(content)
        stored: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        cell = Cell.stored(stored["cell"], where)
        model = build_model(cell.model, cell.data.shape, seed=0).eval()
        model.load_state_dict(stored["model"])
        return Checkpoint(cell, stored["seed"], stored["epoch"], actual, model)
    except PluginError:
        raise
    except Exception as error:  # an unpickler may raise any error on bytes that are not a checkpoint
        raise ValueError(f"{where} is not a checkpoint that this version wrote ({type(error).__name__})") from error


def _check_crc(content: bytes) -> None:
    """Raise an exception if a part of a `torch.save` file does not match its checksum, which torch does not verify."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is damaged")


def locate(path: str) -> tuple[Store, str]:
    """The store and the file name of a path or URI to a checkpoint."""
    place, mark, query = path.partition("?") if "://" in path else (os.path.abspath(path), "", "")  # noqa: PTH100 - resolve() fails on circular links
    folder, _, file = place.rpartition("/")
    return Store(folder + mark + query), file
