"""Networks and images that the process of a worker keeps between blocks."""

from __future__ import annotations

import json
from functools import lru_cache

from torch import nn

from core.checkpoints.checkpoint import load_checkpoint
from core.config import DataOptions
from core.data.image_set import Dataset
from core.data.load import load_dataset
from core.storage import Store


@lru_cache(maxsize=1)
def image_sets(options: str, data_dir: str) -> Dataset:
    """The images of a data set, whose options are JSON."""
    return load_dataset(DataOptions.model_validate(json.loads(options)), data_dir)


@lru_cache(maxsize=2)
def network(store: str, file: str, sha256: str, device_name: str) -> nn.Module:
    """The network of a checkpoint on ``cpu`` or ``cuda``."""
    return load_checkpoint(Store(store), file, sha256).model.to(device_name)
