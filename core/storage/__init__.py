"""Where trials keep their checkpoints and records: a folder or any store that pyarrow can open."""

from core.storage.store import CorruptFileError, Store

__all__ = ["CorruptFileError", "Store"]
