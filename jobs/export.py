"""Write a checkpoint of a trial as a self-contained folder: weights, network, model card, and how to load it.

    python jobs/export.py --sweep quick --trial "beta=6 epsilon=0.1 seed=0"
    python jobs/export.py --sweep quick --trial e5d2c27e7a51-3 --which last --out my-network

The folder needs torch and safetensors, and nothing of this project. Its ``load_model()`` returns the network that
RobustBench's ``benchmark`` takes. The card has the verdict and all robust accuracies with their attacks' settings.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple, get_args

from rich.console import Console
from rich.markup import escape

from core.command.exit_codes import DONE, run_job
from core.command.help_page import read_flags
from core.config import StorageOptions
from core.config.default_paths import storage_root
from core.config.flags import Flag, FlagGroup, model_flags
from core.config.names import checked_name
from core.evaluation.options import Which

GROUPS = (
    FlagGroup(
        "checkpoint",
        "the checkpoint to export",
        (
            Flag("sweep", "sweep that has the trial", required=True),
            Flag("trial", "key of the trial, or its name such as 'beta=6 seed=3'", required=True),
            Flag("which", "selected, gated or last (default: selected)"),
            Flag("out", "folder to write, which must not exist (default: export-KEY-WHICH)"),
        ),
    ),
    FlagGroup("storage", "location of records", model_flags(StorageOptions, {"storage"})),
)


class Request(NamedTuple):
    """What the command line asks for."""

    sweep: str
    trial: str
    which: Which
    folder: Path | None
    """Folder to write; None: a folder named after the trial's key, in the current one."""
    storage: str


def main(args: list[str]) -> int:
    """Parse, export, print. Exit code: 0 done, 1 file error, 2 bad input or storage error, 130 interrupted."""
    return run_job(lambda: export(read_request(args), Console()))


def read_request(args: list[str]) -> Request:
    """Read the request from the command line.

    Raises:
        ValueError: an option is wrong.
    """
    given = read_flags(GROUPS, args, __doc__ or "")
    checked_name("--sweep", given["sweep"])
    which = given.get("which", "selected")
    if which not in get_args(Which):
        raise ValueError(f"--which {which}: must be selected, gated or last")
    folder = Path(given["out"]) if "out" in given else None
    return Request(given["sweep"], given["trial"], which, folder, storage_root(given.get("storage")))


def export(request: Request, console: Console) -> int:
    """Export the checkpoint."""
    from core.config.naming import TrialNames
    from core.ledger.plugins import use_stored_plugins
    from core.ledger.snapshot import SweepReader, stored_sweep

    ledger = stored_sweep(request.storage, request.sweep)
    snapshot = SweepReader(ledger).read()
    use_stored_plugins(ledger.store, snapshot.description)
    names = TrialNames(snapshot.description.cells.values())
    records = {name: record for record in snapshot.finished for name in (record.key, names.of(record))}
    if request.trial not in records:
        known = [names.of(record) for record in snapshot.finished]
        shown = ", ".join(known[:5]) or "none"
        raise ValueError(
            f"--trial {request.trial}: sweep {request.sweep} has no such finished trial; it has {shown}"
            + (", ..." if len(known) > 5 else "")
        )
    record = records[request.trial]
    folder = request.folder or Path(f"export-{record.key}-{request.which}")
    if folder.exists():
        raise ValueError(f"--out {folder}: exists already")
    # imported here, because torch takes longer to import than the checks of the options
    from core.export.folder import export_checkpoint

    export_checkpoint(record, request.which, ledger.trial_store(record.key), folder)
    console.print(f"{escape(str(folder))}: weights, network, card and load_model.py", highlight=False, soft_wrap=True)
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
