"""The records in a sweep's store, which alone decide which trials are done.

What happened to drivers, clusters and MLflow does not matter for this decision.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from pydantic import ValidationError

from core.allocation import AllocationGoal, SweepPlan, revised_plans
from core.config import Cell, ProtocolOptions, Sweep, Trial
from core.config.problems import first_problem
from core.engine.attempts import AttemptFile, Attempts
from core.engine.filenames import CRASH, RECORD
from core.engine.result_or_crash import result_or_crash
from core.engine.state_files import delete_state
from core.ledger.additions import MisplacedError, read_evaluations, read_measures, write_evaluations, write_measures
from core.ledger.cell_ids import is_cell_of
from core.ledger.content import content_of, merged
from core.ledger.description import DESCRIPTION, REMEDY, SweepDescription, read_description
from core.ledger.differences import (
    OtherProtocolError,
    check_protocol,
    differences_of_description,
    differences_of_records,
    options_of_newer_version,
)
from core.ledger.plugins import changed_plugins, plugins_in, use_stored_plugins, write_plugins
from core.records import (
    ChecksumError,
    SweepProgress,
    TrialRecord,
    UnknownSchemaError,
    read_record,
)
from core.records.progress import PERIOD_S
from core.seal import check_seal, is_sealed, sealed
from core.storage import Store, StoreError

EVALUATION = "evaluation.json"
MEASURES = "measures.json"
PROGRESS = "progress.json"
MAX_NAMED_FILES = 10
"""Largest number of damaged files that one error message lists."""


class DamagedRecordError(ValueError):
    """Stored files of finished trials cannot be read. The message names the files and the remedy.

    Args:
        files: for each file its path and, in brackets, the problem.
    """

    def __init__(self, *files: str) -> None:
        self.file = files[0]
        more = "" if len(files) <= MAX_NAMED_FILES else f"\n  ... and {len(files) - MAX_NAMED_FILES} more"
        super().__init__(
            "damaged, or written by another version:\n  "
            + "\n  ".join(files[:MAX_NAMED_FILES])
            + f"{more}\nMove these files away and run the same command again: a trial whose {RECORD} or {CRASH} was "
            f"moved is trained again by the sweep, one without its {EVALUATION} or {MEASURES} is evaluated again; "
            "all others are kept."
        )


class Ledger:
    """The stored trials of one named sweep. ``store`` is the sweep's own store."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self._description: SweepDescription | None = None

    def describe(self, sweep: Sweep) -> dict[str, Any]:
        """The content of ``sweep.json`` for ``sweep``, merged with the description that is stored already.

        Seeds, cells and groups of pinned seeds may be added to a stored sweep.

        Raises:
            ValueError: a stored sweep has the same name and differs in what must not change; the message shows the
                differences. Or the stored description is damaged or belongs to another sweep.
        """
        known = read_description(self.store)
        if known is not None and known.name != sweep.name:
            raise self._foreign_description(known)
        new = content_of(sweep)
        if known is None:
            records = self.records().values()
            self._check_version(*(record.protocol for record in records))
            if differences := differences_of_records(records, new):
                raise ValueError(
                    f"--name {sweep.name}: {self.store.root} has records of a sweep that differs, "
                    f"and its {DESCRIPTION} is missing:\n  "
                    + "\n  ".join(differences)
                    + "\nGive another --name, or the values of the records."
                )
            new["cells"] = {record.cell_id: record.cell for record in records} | new["cells"]
            there = {record.cell_id: record.rerun["counterpart"] for record in records if record.rerun}
            new["counterparts"] = there | new["counterparts"]
            return new
        self._check_version(known.protocol)
        changes = changed_plugins(self.store, known, plugins_in(sweep).values())
        if differences := [*changes, *differences_of_description(known, new)]:
            self.records()  # If they show that the description is damaged, its values must not be recommended.
            raise ValueError(
                f"--name {sweep.name}: a sweep with this name exists and differs:\n  "
                + "\n  ".join(differences)
                + "\nGive another --name, or the stored values."
            )
        return merged(known, new)

    def continued(self, sweep: Sweep) -> Sweep:
        """The sweep with its cells replaced by equal stored cells that have other ids.

        Cells of earlier versions contained options of other methods, which their ids depend on. Several stored cells
        may therefore equal one cell of this version.

        Raises:
            ValueError: a stored cell or plug-in cannot be used, or the sweep uses another version of a plug-in.
        """
        known = read_description(self.store)
        if known is None or sweep.rerun:
            return sweep
        if known.plugins:
            self.describe(sweep)
            use_stored_plugins(self.store, known)
        stored = [Cell.stored(cell, f"a cell of sweep {self.name}") for cell in known.cells.values()]
        legacy: dict[str, list[Cell]] = {}
        for cell in stored:
            if cell.carried:
                legacy.setdefault(cell.model_copy(update={"carried": ()}).id, []).append(cell)
        stored_ids = {cell.id for cell in stored}
        entries = []
        for entry in sweep.entries:
            earlier = legacy.get(entry.cell.id, [])
            own = [entry.cell] if entry.cell.id in stored_ids or not earlier else []
            entries += [entry.model_copy(update={"cell": cell}) for cell in [*own, *earlier]]
        return sweep.model_copy(update={"entries": tuple(entries)})

    def enter(self, sweep: Sweep, goal: AllocationGoal | None = None) -> None:
        """Store the sweep's description, which binds its name to these experiments, the plan of seeds and the plug-ins.

        Raises:
            ValueError: as in `describe`.
        """
        description = {
            **self.describe(sweep),
            "plans": [plan.model_dump(mode="json") for plan in self.plans(sweep, goal)],
        }
        write_plugins(self.store, plugins_in(sweep).values())
        self.store.write(DESCRIPTION, sealed(json.dumps(description, indent=1)))

    def plans(self, sweep: Sweep, goal: AllocationGoal | None = None) -> list[SweepPlan]:
        """The history of the sweep's plans if it is now run with these seeds, or with an adaptive goal.

        Raises:
            ValueError: the stored description is damaged.
        """
        known = read_description(self.store)
        started = self.store.child("trials").folders()
        plan = SweepPlan.of(_trials_per_cell(sweep, started), goal, sweep.first_seed)
        looked = self._has_ended(started)
        plans = known.plans if known else ()
        if looked and not plans:
            plans = (self._seen_plan(_started_per_cell(started)),)
        return revised_plans(plans, plan, looked=looked)

    def _seen_plan(self, seeds: dict[str, int]) -> SweepPlan:
        """What records and progress show of the plan of a sweep that stored no plan, or has lost its description.

        Args:
            seeds: the number of started trials of each cell.
        """
        progress = None
        with suppress(ValueError):  # The next driver writes another progress.
            progress = self.progress()
        records = self.records().values()
        if any(record.allocation == "adaptive" for record in records):
            return SweepPlan(adaptive=True)
        # A trial that an earlier driver began has a folder and may wait again; one that has just begun has no folder.
        planned = Counter(record.cell_id for record in records if not record.crashed)
        if progress is not None:
            planned.update(trial.cell_id for trial in progress.without(records).running)
            planned.update(progress.pending or {})
        return SweepPlan(seeds={cell: max(seeds.get(cell, 0), planned[cell]) for cell in {**seeds, **planned}})

    def _check_version(self, *protocols: Mapping[str, Any]) -> None:
        """Check that this version knows all options of stored protocols.

        Raises:
            ValueError: a newer version has written them.
        """
        newer = dict.fromkeys(name for protocol in protocols for name in options_of_newer_version(protocol))
        if newer:
            raise ValueError(
                f"--name {self.name}: a newer version of unmask has written {self.store.root}, and this version does "
                f"not have its protocol options: {', '.join(newer)}; continue the sweep with that version, or give "
                "another --name"
            )

    def _has_ended(self, keys: Collection[str]) -> bool:
        """True if one of the trials has a result or has crashed."""
        with ThreadPoolExecutor(16) as pool:
            files = ((key, name) for name in (RECORD, CRASH) for key in keys)
            ended = any(pool.map(lambda file: self.trial_store(file[0]).read(file[1]) is not None, files))
            pool.shutdown(cancel_futures=True)  # One is enough.
        return ended

    def delete_crash(self, key: str) -> None:
        """Delete the crash of a trial that is about to be started again, or whose result was stored after the crash.

        A result is never deleted. What is deleted under its name is a crash that an earlier version stored.

        Raises:
            DamagedRecordError: a file of the trial cannot be read.
        """
        store = self.trial_store(key)
        for name in (RECORD, CRASH):
            content = store.read(name)
            if content is not None and self._parse(key, name, content).crashed:
                store.delete(name)

    def delete_leftovers(self, key: str) -> None:
        """Delete the state of a trial that has a result, where its process was killed before it could do this.

        What cannot be deleted stays, because such files mean nothing.
        """
        with suppress(StoreError):
            delete_state(self.trial_store(key))

    def delete_leftovers_of_kills(self, records: Mapping[str, TrialRecord]) -> None:
        """Delete the state of the trials that were running according to the last driver and have a result by now.

        Args:
            records: the records of all trials that have ended.
        """
        with suppress(ValueError):  # The next driver writes another progress.
            progress = self.progress()
            for trial in progress.running if progress else ():
                if trial.key in records and not records[trial.key].crashed:
                    self.delete_leftovers(trial.key)

    def delete_leftovers_of_attempts(self, records: Iterable[TrialRecord]) -> None:
        """Delete the state of trials with a result that took several attempts.

        A process that the cluster has given up may have written after the next attempt had stored the result.

        Args:
            records: the records of trials that have ended.
        """
        keys = [record.key for record in records if record.attempts > 1 and not record.crashed]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self.delete_leftovers, keys))

    def trial_store(self, key: str) -> Store:
        """The store of a trial's files."""
        return self.store.child("trials").child(key)

    def record(self, key: str) -> TrialRecord | None:
        """The record of a trial that has ended, with its evaluations and measures; None if it has not ended.

        It is that of the trial's result, or else that of its last crash.

        Raises:
            DamagedRecordError: a file of the trial cannot be read.
            ValueError: the record has a schema version that this version of unmask does not read.
        """
        store = self.trial_store(key)
        record = result_or_crash(store, lambda name, content: self._parse(key, name, content))
        if record is None or record.crashed:  # A crash has no weights, of which something could be measured.
            return record
        with _named(store.place(EVALUATION)):
            evaluated = store.read(EVALUATION)
            evaluations = record.evaluations if evaluated is None else read_evaluations(evaluated, record)
        with _named(store.place(MEASURES)):
            found = store.read(MEASURES)
            measures = record.measures if found is None else read_measures(found, record)
        return record.model_copy(update={"evaluations": evaluations, "measures": measures})

    def _parse(self, key: str, name: str, content: bytes) -> TrialRecord:
        """The record in a file of a trial, after a check that it is the trial's. It raises what `record` raises."""
        with _named(self.trial_store(key).place(name)):
            record = read_record(content)
            if reason := self._misplaced(record, key, is_sealed(content)):
                raise MisplacedError(reason)
            if name == CRASH and not record.crashed:
                raise MisplacedError("it is not the record of a crash")
        return record

    def _misplaced(self, record: TrialRecord, key: str, sealed: bool) -> str | None:
        """Why the record cannot be that of the sweep's trial ``key``, or None."""
        if record.key != key:
            return f"it belongs to trial {record.key}"
        if record.verdict is None:
            return "it has no verdict"
        if not is_cell_of(record.cell_id, record.cell, sealed):
            return f"the id {record.cell_id} is not that of its cell"
        # The stored name and protocol never change. A damaged description is refused by those who need it.
        if self._description is None:
            with suppress(ValueError):
                self._description = read_description(self.store)
        if self._description is None:
            return None
        if record.sweep != self._description.name:
            if record.sweep == self.name:
                raise self._foreign_description(self._description)
            return f"it belongs to sweep {record.sweep}"
        check_protocol(self._description.protocol, record.protocol, sealed)
        return None

    def _foreign_description(self, description: SweepDescription) -> ValueError:
        return ValueError(f"{self.store.place(DESCRIPTION)} belongs to sweep {description.name}; {REMEDY}")

    def records(self, besides: Collection[str] = ()) -> dict[str, TrialRecord]:
        """The records of all trials that have ended by key, except for the trials whose keys are in ``besides``.

        Raises:
            DamagedRecordError: files of trials cannot be read. The error names the files of all these trials.
            ValueError: the sweep's description is damaged, as the records show.
        """
        keys = [key for key in self.store.child("trials").folders() if key not in besides]
        shared: dict[str, dict[str, Any]] = {}
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda key: self._record_or_error(key, shared), keys))
        damaged = [error for error in found if isinstance(error, DamagedRecordError)]
        if damaged and not besides and len(damaged) == len(found) - found.count(None):
            self._check_description([error.__cause__ for error in damaged])
        if damaged:
            raise DamagedRecordError(*(error.file for error in damaged))
        return {key: record for key, record in zip(keys, found, strict=True) if isinstance(record, TrialRecord)}

    def _check_description(self, problems: Sequence[BaseException | None]) -> None:
        """Check that the description is not the only file whose protocol differs from that of all records.

        A record is suspected instead if it is the only one, and the description has a checksum where the record has
        none.

        Args:
            problems: what is wrong with each record.

        Raises:
            ValueError: the description is damaged.
        """
        others = [problem for problem in problems if isinstance(problem, OtherProtocolError)]
        if len(others) < len(problems) or any(other.differences != others[0].differences for other in others):
            return
        if len(others) == 1 and not others[0].sealed and is_sealed(self.store.read(DESCRIPTION) or b""):
            return
        where = f"all {len(others)} records" if others[1:] else "the record"
        told = "; ".join(
            f"protocol {name}: {described} here, {recorded} in {where}"
            for name, (described, recorded) in others[0].differences.items()
        )
        raise ValueError(f"{self.store.place(DESCRIPTION)} is damaged ({told}); {REMEDY}")

    def _record_or_error(self, key: str, shared: dict[str, dict[str, Any]]) -> TrialRecord | DamagedRecordError | None:
        try:
            record = self.record(key)
            return None if record is None else _sharing(record, shared)
        except DamagedRecordError as error:
            return error

    def attempts_at_open_trials(self, known: Collection[str]) -> dict[str, Attempts]:
        """The attempts at trials without a record, by key.

        Args:
            known: keys of the trials that have a record.
        """
        keys = [key for key in self.store.child("trials").folders() if key not in known]
        with ThreadPoolExecutor(16) as pool:
            found = pool.map(lambda key: AttemptFile(self.trial_store(key), key).read(), keys)
            return dict(zip(keys, found, strict=True))

    def write(self, record: TrialRecord) -> TrialRecord:
        """Store the record of a trial and return it. If the trial has a result already, that is kept and returned.

        The crash of a trial whose process could not write it has a file of its own, because this process may only be
        slow and write its result later.
        """
        stored = self.record(record.key)
        if stored and not stored.crashed:  # Some servers replace a file that should only be created.
            return stored
        store = self.trial_store(record.key)
        if record.crashed:
            store.write(CRASH, record.to_json())
            return record
        created = store.create(RECORD, record.to_json())
        return record if created else (self.record(record.key) or record)

    def write_evaluations(self, record: TrialRecord) -> None:
        """Store a record's evaluations in a file of their own; the record's file stays as the trial wrote it."""
        self.trial_store(record.key).write(EVALUATION, write_evaluations(record))

    def write_measures(self, record: TrialRecord) -> None:
        """Store a record's measures in a file of their own."""
        self.trial_store(record.key).write(MEASURES, write_measures(record))

    def protocol(self) -> ProtocolOptions | None:
        """The sweep's protocol; None if the store does not have the sweep.

        Raises:
            ValueError: the description is damaged or was written by another version.
        """
        description = read_description(self.store)
        return None if description is None else description.protocol_options()

    def progress(self) -> SweepProgress | None:
        """The progress that the last driver stored; None if no driver has stored any.

        Raises:
            ValueError: the stored progress is damaged or belongs to another sweep.
        """
        content = self.store.read(PROGRESS)
        if content is None:
            return None
        problem = ""
        try:
            check_seal(content)
            progress = SweepProgress.model_validate_json(content)
            if progress.sweep == self.name:
                return progress
            problem = f"belongs to sweep {progress.sweep}"
        except ValidationError as error:
            problem = f"is damaged ({first_problem(error)})"
        except ChecksumError as error:
            problem = f"is damaged ({error})"
        raise ValueError(f"{self.store.place(PROGRESS)} {problem}; delete this file, the next driver writes a new one")

    def write_progress(self, progress: SweepProgress) -> None:
        """Store the sweep's progress, which `jobs/status.py` and the report read.

        A store that is away is waited for only until the next progress is due.
        """
        self.store.with_retry_limit(PERIOD_S).write(PROGRESS, sealed(progress.model_dump_json()))


@contextmanager
def _named(file: str) -> Iterator[None]:
    """Name the file in errors about its content."""
    try:
        yield
    except UnknownSchemaError as error:
        raise ValueError(f"{file}: {error}") from error
    except (ChecksumError, MisplacedError) as error:
        raise DamagedRecordError(f"{file} ({error})") from error
    except ValidationError as error:
        raise DamagedRecordError(f"{file} ({first_problem(error)})") from error


def unfinished(trials: Iterable[Trial], records: Mapping[str, TrialRecord]) -> list[Trial]:
    """The trials that have no record, and those that crashed, because a crash is no result of the trial's options."""
    done = {key for key, record in records.items() if not record.crashed}
    return [trial for trial in trials if trial.key not in done]


def _trials_per_cell(sweep: Sweep, started: Iterable[str]) -> dict[str, int]:
    """Number of trials by cell id: those of the sweep, and started ones with other seeds or in other groups."""
    planned = {entry.cell.id: set(sweep.keys(entry)) for entry in sweep.entries}
    for key in started:
        planned.get(key.partition("-")[0], set()).add(key)
    return {cell: len(keys) for cell, keys in planned.items()}


def _started_per_cell(started: Iterable[str]) -> dict[str, int]:
    return dict(Counter(key.partition("-")[0] for key in started))


def _sharing(record: TrialRecord, shared: dict[str, dict[str, Any]]) -> TrialRecord:
    """The record with its options and provenance from ``shared``, which most trials share."""
    parts = {"cell": record.cell, "protocol": record.protocol, "provenance": record.provenance}
    same = {name: shared.setdefault(json.dumps([name, part]), part) for name, part in parts.items()}
    return record.model_copy(update=same)
