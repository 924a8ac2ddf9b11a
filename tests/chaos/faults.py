"""The kinds of faults and their frequencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from tests.chaos import forged_files, strikes
from tests.chaos.site import DRIVER, MLFLOW, S3

HOURS = (1.0, 12.0)
"""Range of errors of a clock in hours."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: name in tables.
        share: relative frequency.
        target: part that the fault breaks. Only one fault at a time breaks the same part.
        costly: True if work is lost. Between two such faults the sweep must save something.
        strike: the generator, see `tests.chaos.strikes`.
        minutes: True if such a fault costs minutes, or starts a program again whose start takes 8 s of a processor.
        needs: targets that must not be broken when the fault begins.
    """

    name: str
    share: int
    target: str
    costly: bool
    strike: strikes.Strike
    minutes: bool = False
    needs: frozenset[str] = frozenset()


STORE = frozenset({"store", "S3's clock"})
"""Targets whose faults make S3 refuse to be written."""


KINDS = (
    Kind("worker killed", 22, "worker", True, strikes.kill_worker),
    Kind("worker stalled", 33, "stalled worker", False, strikes.stall_worker),
    Kind("driver killed", 5, "driver", True, strikes.kill_driver),
    Kind("workers killed, and their driver", 2, "driver", True, strikes.kill_workers_and_driver),
    Kind("driver told to end (SIGTERM)", 2, "driver", True, strikes.terminate_driver),
    Kind("driver stalled", 9, "driver", False, strikes.stall_driver),
    Kind("raylet killed", 2, "host", True, strikes.kill_raylet, minutes=True),
    Kind("host off and on", 2, "host", True, strikes.switch_host_off, minutes=True),
    Kind("host replaced by another", 2, "host", True, strikes.replace_host, minutes=True),
    Kind("head lost, cluster started again", 1, "cluster", True, strikes.lose_head, minutes=True),
    Kind("storm: half of the hosts lost every minute", 1, "host", True, strikes.storm, minutes=True),
    Kind("upgrade of the code, cluster started again", 1, "cluster", True, strikes.upgrade, minutes=True),
    Kind("host cut off", 16, "host", False, strikes.cut_worker_off),
    Kind("head cut off", 7, "head", False, strikes.cut_head_off),
    Kind("MLflow server killed", 4, "mlflow", False, strikes.killed(lambda site: site.mlflow, (0, 2)), minutes=True),
    Kind("MLflow server away", 2, "mlflow", False, strikes.killed(lambda site: site.mlflow, (20, 30)), minutes=True),
    Kind("MLflow's answers lost", 8, "answers", False, strikes.lose_answers),
    Kind("MLflow server stalled", 15, "mlflow", False, strikes.stalled(lambda site: site.mlflow, (0.5, 5))),
    Kind("PostgreSQL killed", 8, "database", False, strikes.killed(lambda site: site.database, (0, 3))),
    Kind("PostgreSQL restarted", 7, "database", False, strikes.restart_database),
    Kind("PostgreSQL stalled", 9, "database", False, strikes.stalled(lambda site: site.database, (0.5, 4))),
    Kind("S3 refusing", 16, "store", False, strikes.killed(lambda site: site.store, (0.5, 4))),
    Kind("S3 stalled", 16, "store", False, strikes.stalled(lambda site: site.store, (0.5, 4))),
    Kind("S3's clock 20 min off", 6, "S3's clock", False, strikes.clock_wrong(S3, (1 / 3, 1 / 3))),
    Kind("S3's clock hours off", 3, "S3's clock", False, strikes.clock_wrong(S3, HOURS)),
    Kind("MLflow's clock hours off", 3, "MLflow's clock", False, strikes.clock_wrong(MLFLOW, HOURS)),
    Kind("driver's clock hours off", 3, "driver's clock", False, strikes.clock_wrong(DRIVER, HOURS), minutes=True),
    Kind(
        "host's clock hours off",
        3,
        "host's clock",
        True,
        strikes.clock_of_host_wrong(HOURS),
        minutes=True,
        needs=frozenset({"host"}),
    ),
    Kind("driver cut off from S3", 1, "way to the store", False, strikes.cut_driver_from_store, minutes=True),
    Kind("files of running trials forged", 3, "worker", True, forged_files.forge_files_of_trials, needs=STORE),
    Kind("finished record forged", 3, "driver", True, forged_files.forge_finished_record, needs=STORE),
    Kind("record forged in a running trial's folder", 2, "driver", True, forged_files.forge_open_record, needs=STORE),
    Kind("sweep.json forged", 2, "driver", True, forged_files.forge_description, needs=STORE),
    Kind("progress.json forged", 2, "driver", False, forged_files.forge_progress, needs=STORE),
    Kind("lease forged", 1, "driver", True, forged_files.forge_lease, needs=STORE, minutes=True),
    Kind("driver's disk full", 5, "disk", True, strikes.fill_disk),
)
WHOLE_CLUSTER = {"cluster", "host", "head", "driver", "disk", "worker", "stalled worker", "way to the store"}
"""Targets that exist only with a running cluster. A fault of the whole cluster excludes faults of them."""


def kinds_named(words: str) -> tuple[Kind, ...]:
    """The kinds whose names contain one of the words, which commas separate; all kinds if there are no words.

    Raises:
        ValueError: a word is in no name.
    """
    wanted = [word.strip() for word in words.split(",") if word.strip()]
    if unknown := [word for word in wanted if not any(word in kind.name for kind in KINDS)]:
        raise ValueError(f"--fault-kinds: {unknown[0]!r} is in none of: {', '.join(kind.name for kind in KINDS)}")
    return tuple(kind for kind in KINDS if not wanted or any(word in kind.name for word in wanted))


def schedule(count: int, seed: int, kinds: Sequence[Kind] = KINDS) -> list[tuple[Kind, Random]]:
    """``count`` faults in random order with the kinds' shares, each with a separate random generator.

    If ``count`` is at least twice the number of kinds, every kind occurs, even if its expected number is below one.
    """
    return _shuffled(_apportioned(count, kinds, all_from=2 * len(kinds)), seed)


def cheap_schedule(count: int, seed: int, costly: int) -> list[tuple[Kind, Random]]:
    """As `schedule`, without the kinds that take minutes, and with ``costly`` faults that are costly.

    If ``costly`` is at least the number of costly kinds, each of them occurs.
    """
    kinds = [kind for kind in KINDS if not kind.minutes]
    losing = [kind for kind in kinds if kind.costly]
    others = [kind for kind in kinds if not kind.costly]
    numbers = _apportioned(min(costly, count), losing, all_from=len(losing))
    return _shuffled(numbers | _apportioned(max(count - costly, 0), others, all_from=2 * len(others)), seed)


def _shuffled(numbers: Mapping[Kind, int], seed: int) -> list[tuple[Kind, Random]]:
    rng = Random(seed)
    faults = [kind for kind, number in numbers.items() for _ in range(number)]
    rng.shuffle(faults)
    return [(kind, Random(rng.getrandbits(64))) for kind in faults]


def _apportioned(count: int, kinds: Sequence[Kind], all_from: int) -> dict[Kind, int]:
    """Numbers of faults of each kind that sum to ``count``; none is 0 if ``count`` is at least ``all_from``."""
    total = sum(kind.share for kind in kinds)
    exact = {kind: count * kind.share / total for kind in kinds}
    least = int(count >= all_from)
    numbers = {kind: max(int(exact[kind]), least) for kind in kinds}
    while (short := count - sum(numbers.values())) != 0:
        if short > 0:
            numbers[max(kinds, key=lambda kind: exact[kind] - numbers[kind])] += 1
        else:
            spare = [kind for kind in kinds if numbers[kind] > least]
            numbers[max(spare, key=lambda kind: numbers[kind] - exact[kind])] -= 1
    return numbers
