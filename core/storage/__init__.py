"""Storage of checkpoints and records in a folder or in a bucket of any S3 server."""

from core.storage.errors import CorruptFileError, StoreError, UnreachableError
from core.storage.fence import Fence, LostLeaseError
from core.storage.holder import Holder
from core.storage.lease import HeldError, Lease
from core.storage.store import Store

__all__ = [
    "CorruptFileError",
    "Fence",
    "HeldError",
    "Holder",
    "Lease",
    "LostLeaseError",
    "Store",
    "StoreError",
    "UnreachableError",
]
