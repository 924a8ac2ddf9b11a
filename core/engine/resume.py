"""The files from which an unfinished trial goes on: a checkpoint, and the artifacts of its method that it names."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from core.engine.filenames import ARTIFACT, RESUME
from core.engine.ranks import Ranks
from core.engine.state_files import delete_checkpoint
from core.engine.trial_state import TrialState, contents, pack
from core.storage import CorruptFileError, Store


class Resumable(NamedTuple):
    """What the files contain: a checkpoint for `core.engine.trial_state.unpack`, and the method's artifacts."""

    checkpoint: bytes
    artifacts: dict[str, Tensor]


class Packed(NamedTuple):
    """A checkpoint in bytes, as it is written.

    Attributes:
        checkpoint: see `core.engine.trial_state.pack`.
        new: the artifacts by name that are not stored yet.
        artifacts: SHA-256 of all artifacts that the checkpoint names.
    """

    checkpoint: bytes
    new: dict[str, bytes]
    artifacts: dict[str, str]


class ResumeFiles:
    """The checkpoint and the artifacts of one trial.

    Args:
        store: the store of the trial's files.
        owner: what the checkpoint belongs to: the trial's key, its protocol and the fingerprint of its data. A
            checkpoint of another owner is refused.

    An artifact is written once, before the first checkpoint that names it, and deleted after the first checkpoint that
    does not. A kill between two of these steps leaves at most files that no checkpoint names; they are written again
    or deleted at the trial's end.
    """

    def __init__(self, store: Store, owner: Mapping[str, str]) -> None:
        self.store, self._owner = store, dict(owner)
        self._written: dict[str, str] = {}
        """SHA-256 of the stored artifacts by name."""

    def pack(self, state: TrialState, parts: dict[str, Any], artifacts: Mapping[str, Tensor]) -> Packed:
        """The content of the next checkpoint, which training can no longer change, with the artifacts that are new."""
        new = {}
        for name in sorted(artifacts.keys() - self._written.keys()):
            buffer = io.BytesIO()
            torch.save(artifacts[name], buffer)
            new[name] = buffer.getvalue()
        sums = {name: _sha256(new[name]) if name in new else self._written[name] for name in artifacts}
        return Packed(pack(state, parts, self._owner, sums), new, sums)

    def write(self, packed: Packed) -> None:
        """Write the artifacts that are new, and replace the checkpoint."""
        for name, content in packed.new.items():
            self.store.write_sealed(_file(name), content)
        self.store.write_sealed(RESUME, packed.checkpoint)
        for name in sorted(self._written.keys() - packed.artifacts.keys()):
            self.store.delete(_file(name))
        self._written = dict(packed.artifacts)

    def read(self, ranks: Ranks) -> Resumable | None:
        """The content of the files on every rank; None if there is no checkpoint. Only the leading rank reads files.

        Raises:
            CorruptFileError: a file is damaged, missing, or belongs to another owner; on all ranks.
            Exception: the file is not a checkpoint; on all ranks.
        """
        checkpoint = self._from_leader(ranks, RESUME)
        if checkpoint is None:
            return None
        head = contents(checkpoint)
        # Checkpoints of earlier versions name no owner, or no data.
        foreign = [f"{name} {found}" for name, found in head.owner.items() if found != self._owner.get(name)]
        if foreign:
            raise CorruptFileError(f"{self.store.place(RESUME)} belongs to {' and '.join(foreign)}")
        artifacts = {}
        for name, sha256 in head.artifacts.items():
            content = self._from_leader(ranks, _file(name))
            if content is None:
                raise CorruptFileError(f"{self.store.place(_file(name))} is missing")
            found = _sha256(content)
            if sha256 is not None and found != sha256:
                raise CorruptFileError(f"{self.store.place(_file(name))} does not belong to the checkpoint beside it")
            artifacts[name] = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
            self._written[name] = found
        return Resumable(checkpoint, artifacts)

    def delete(self) -> None:
        """Delete the checkpoint and all artifacts."""
        delete_checkpoint(self.store)

    def _from_leader(self, ranks: Ranks, name: str) -> bytes | None:
        content: bytes | CorruptFileError | None = None
        if ranks.leads:
            try:
                content = self.store.read_sealed(name)
            except CorruptFileError as error:
                content = error
        content = ranks.from_leader(content)
        if isinstance(content, CorruptFileError):
            raise content
        return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _file(artifact: str) -> str:
    return f"{ARTIFACT}{artifact}.pt"
