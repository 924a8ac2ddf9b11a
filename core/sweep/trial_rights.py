"""The rights that the workers of one trial need on the storage, and the role that gives them."""

from __future__ import annotations

from core.config import RunOptions, Sweep, Trial
from core.config.default_paths import data_root, worker_role
from core.ledger.description import DESCRIPTION
from core.ledger.driver_lock import LEASE
from core.ledger.plugins import FOLDER as PLUGINS
from core.storage.address import is_s3
from core.storage.rights import Rights, objects
from core.storage.role import Role
from core.sweep.trial_plan import make_trial


def trial_rights(trial: Trial, sweep: str, storage: str, data_dir: str) -> Rights:
    """The rights to train ``trial`` to its record: all on its own files, and to read what it starts from.

    Args:
        trial: the trial. Its cell names its starting point exactly.
        sweep: name of the trial's sweep.
        storage: ``s3://`` address of all sweeps.
        data_dir: absolute folder, or ``s3://`` address, of the data sets.

    Raises:
        ValueError: an address contains a character that has a meaning in a policy.
    """
    own = objects(storage, sweep, "trials", trial.key, "*")
    read = [objects(storage, sweep, DESCRIPTION), objects(storage, sweep, LEASE, "*"), own]
    if is_s3(data_dir):
        read.append(objects(data_dir, "*"))
    start = trial.cell.start
    if start.is_file and is_s3(str(start.start_from)):
        read.append(objects(str(start.start_from)))
    elif start.start_from is not None and not start.is_file:
        earlier, key = objects(storage, start.sweep), start.key(trial.seed, trial.pins)
        read += [f"{earlier}/{DESCRIPTION}", f"{earlier}/{PLUGINS}/*"]
        read += [f"{earlier}/trials/{key}/{name}" for name in ("*.json", f"{start.start_checkpoint}.pt")]
    return Rights(trial.key, tuple(read), write=(own,), delete=(own,))


def open_role(sweep: Sweep, run: RunOptions, storage: str) -> Role | None:
    """The role whose keys the workers of the sweep get, after it was assumed once; None: workers have their own keys.

    Raises:
        UnreachableError: the server does not answer.
        ValueError: the role cannot be used, or not with these inputs.
    """
    arn = worker_role(run.worker_role, storage)
    if arn is None:
        return None
    role, data_dir = Role(arn, storage), data_root(run.data_dir)
    starts = (entry.cell.start for entry in sweep.entries)
    files = dict.fromkeys(str(start.start_from) for start in starts if start.is_file)
    role.check_inputs(data_dir, (("--start-from", file) for file in files))
    longest = (make_trial(sweep, entry.cell, entry.numbered(sweep.first_seed)[-1]) for entry in sweep.entries)
    role.check([trial_rights(trial, sweep.name, storage, data_dir) for trial in longest])
    return role
