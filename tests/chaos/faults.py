"""The kinds of faults and their frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.chaos import forged_files, strikes
from tests.chaos.site import DRIVER, MLFLOW, S3

ALWAYS_FROM = 20
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
        always: True if every run of `ALWAYS_FROM` faults or more has such a fault.
        needs: targets that must not be broken when the fault begins.
    """

    name: str
    share: int
    target: str
    costly: bool
    strike: strikes.Strike
    always: bool = False
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
    Kind("raylet killed", 2, "host", True, strikes.kill_raylet),
    Kind("host off and on", 2, "host", True, strikes.switch_host_off),
    Kind("host replaced by another", 2, "host", True, strikes.replace_host),
    Kind("head lost, cluster started again", 1, "cluster", True, strikes.lose_head),
    Kind("storm: half of the hosts lost every minute", 1, "host", True, strikes.storm),
    Kind("upgrade of the code, cluster started again", 1, "cluster", True, strikes.upgrade),
    Kind("host cut off", 16, "host", False, strikes.cut_worker_off),
    Kind("head cut off", 7, "head", False, strikes.cut_head_off),
    Kind("MLflow server killed", 4, "mlflow", False, strikes.killed(lambda site: site.mlflow, (0, 2))),
    Kind(
        "MLflow server away for half a minute", 2, "mlflow", False, strikes.killed(lambda site: site.mlflow, (20, 30))
    ),
    Kind("MLflow's answers lost", 8, "answers", False, strikes.lose_answers),
    Kind("MLflow server stalled", 15, "mlflow", False, strikes.stalled(lambda site: site.mlflow, (0.5, 5))),
    Kind("PostgreSQL killed", 8, "database", False, strikes.killed(lambda site: site.database, (0, 3))),
    Kind("PostgreSQL restarted", 7, "database", False, strikes.restart_database),
    Kind("PostgreSQL stalled", 9, "database", False, strikes.stalled(lambda site: site.database, (0.5, 4))),
    Kind("S3 refusing", 16, "store", False, strikes.killed(lambda site: site.store, (0.5, 4))),
    Kind("S3 stalled", 16, "store", False, strikes.stalled(lambda site: site.store, (0.5, 4))),
    Kind("S3's clock 20 min off", 6, "S3's clock", False, strikes.clock_wrong(S3, (1 / 3, 1 / 3))),
    Kind("S3's clock hours off", 3, "S3's clock", False, strikes.clock_wrong(S3, HOURS), always=True),
    Kind("MLflow's clock hours off", 3, "MLflow's clock", False, strikes.clock_wrong(MLFLOW, HOURS)),
    Kind("driver's clock hours off", 3, "driver's clock", False, strikes.clock_wrong(DRIVER, HOURS)),
    Kind("host's clock hours off", 3, "host's clock", False, strikes.clock_of_host_wrong(HOURS)),
    Kind("driver cut off from S3 for over a minute", 1, "way to the store", False, strikes.cut_driver_from_store),
    Kind("files of running trials forged", 3, "worker", True, forged_files.forge_files_of_trials, needs=STORE),
    Kind("finished record forged", 3, "driver", True, forged_files.forge_finished_record, always=True, needs=STORE),
    Kind("record forged in a running trial's folder", 2, "driver", True, forged_files.forge_open_record, needs=STORE),
    Kind("sweep.json forged", 2, "driver", True, forged_files.forge_description, needs=STORE),
    Kind("progress.json forged", 2, "driver", False, forged_files.forge_progress, needs=STORE),
    Kind("lease forged", 1, "driver", True, forged_files.forge_lease, needs=STORE),
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
    Kinds that are `Kind.always` there occur from `ALWAYS_FROM` faults on.
    """
    rng = Random(seed)
    total = sum(kind.share for kind in kinds)
    exact = {kind: count * kind.share / total for kind in kinds}
    all_from = 2 * len(kinds)
    least = {kind: int(count >= all_from or (kind.always and count >= ALWAYS_FROM)) for kind in kinds}
    numbers = {kind: max(int(exact[kind]), least[kind]) for kind in kinds}
    while (short := count - sum(numbers.values())) != 0:
        if short > 0:
            numbers[max(kinds, key=lambda kind: exact[kind] - numbers[kind])] += 1
        else:
            spare = [kind for kind in kinds if numbers[kind] > least[kind]]
            numbers[max(spare, key=lambda kind: numbers[kind] - exact[kind])] -= 1
    names = [kind for kind in kinds for _ in range(numbers[kind])]
    rng.shuffle(names)
    return [(kind, Random(rng.getrandbits(64))) for kind in names]
