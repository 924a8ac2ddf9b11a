"""Checkpoints that trials wrote, read from their store."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

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
    where = store.place(file)
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
        _check_weights(stored["model"], model)
        model.load_state_dict(stored["model"])
        seed, epoch = stored["seed"], stored["epoch"]
        if not (type(seed) is int and seed >= 0 and type(epoch) is int and epoch >= 0):
            raise UnusableWeightsError(f"seed {seed!r:.50} and epoch {epoch!r:.50} are not numbers from 0")
        return Checkpoint(cell, seed, epoch, actual, model)
    except PluginError:
        raise
    except UnusableWeightsError as error:
        raise ValueError(f"{where} cannot be evaluated: {error}") from error
    except Exception as error:  # an unpickler may raise any error on bytes that are not a checkpoint
        raise ValueError(f"{where} is not a checkpoint that this version wrote ({type(error).__name__})") from error


class UnusableWeightsError(ValueError):
    """The content of a checkpoint cannot be that of a trained network."""


def _check_weights(weights: Mapping[str, Tensor], model: nn.Module) -> None:
    """Refuse weights that torch would load but that no training writes.

    ``load_state_dict`` casts complex numbers and integers to the network's type, and accepts NaN.
    """
    for name, own in model.state_dict().items():
        stored = weights[name]
        if stored.dtype != own.dtype:
            raise UnusableWeightsError(f"{name} is {stored.dtype} and must be {own.dtype}")
        if stored.is_floating_point() and not bool(stored.isfinite().all()):
            raise UnusableWeightsError(f"{name} has values that are not finite")


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
