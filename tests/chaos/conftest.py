"""Options of the chaos run, and the run, which all tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

import pytest
from rich.console import Console

from tests.chaos.aftermath import Aftermath, gather
from tests.chaos.chaos import Chaos
from tests.chaos.clock import missing as missing_clocks
from tests.chaos.faults import Kind, cheap_schedule, kinds_named, schedule
from tests.chaos.leftovers import remains
from tests.chaos.reference import Reference
from tests.chaos.site import Site
from tests.chaos.table import driver_table, fault_table
from tests.hosts.network import missing
from tests.servers.daemon import MissingProgramError

FAULTS, COSTLY, SEED = 200, 10, 0
SHORTEST_S = 3600
SECONDS_PER_FAULT = {"minutes": 300, "costly": 120, "other": 12}
"""Time limit per fault: of the kinds that take minutes, of others that lose work, and of all others.

200 faults of CI took 8 to 10 minutes on two cores, and 75 of all kinds took 38 minutes beside much other work. The
limit is more than twice as long."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for the number of faults, their kinds, and the seed of their schedule."""
    parser.addoption("--faults", type=int, default=FAULTS, help="number of faults in the chaos run")
    parser.addoption("--costly", type=int, help=f"number of faults among them that lose work (default: {COSTLY})")
    parser.addoption("--all-kinds", action="store_true", help="all kinds of faults, in proportion")
    parser.addoption(
        "--fault-kinds", default="", metavar="WORDS", help="only these kinds: words of their names, with commas between"
    )
    parser.addoption("--chaos-seed", type=int, default=SEED, help="seed of the schedule of faults")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the tests that wait for the run a time limit that grows with the number of faults."""
    waiting = [item for item in items if "aftermath" in getattr(item, "fixturenames", ())]
    if waiting:
        limit = pytest.mark.timeout(time_limit_s([kind for kind, _ in _planned(config)]))
        for item in waiting:
            item.add_marker(limit)


def time_limit_s(kinds: Iterable[Kind]) -> int:
    """Seconds after which a run of these faults counts as hanging."""
    costs = ("minutes" if kind.minutes else "costly" if kind.costly else "other" for kind in kinds)
    return max(SHORTEST_S, sum(SECONDS_PER_FAULT[cost] for cost in costs))


@pytest.fixture(scope="session")
def aftermath(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """The results of a run of both sweeps under faults."""
    if reason := missing() or missing_clocks():
        pytest.skip(reason)
    planned = _planned(request.config)
    with Reference() as reference:
        try:
            site = Site(tmp_path_factory.mktemp("chaos"), {kind.target for kind, _ in planned})
        except MissingProgramError as program:
            pytest.skip(str(program))
        with site:
            chaos = Chaos(site, planned, request.config.getoption("--chaos-seed", SEED), reference.prepare)
            try:
                chaos.run()
            finally:
                console = Console(width=140)
                console.print(fault_table(chaos.blows), driver_table(chaos.supervisor.ends))
                for forgery in site.forgeries:
                    console.print(f"{forgery.key} became {forgery.how}; named: {forgery.said}", soft_wrap=True)
                console.print(f"Ray was restarted on hosts that had no fault {chaos.rejoined} times.")
                console.print(f"Output of all drivers: {site.log}", soft_wrap=True)
            found = gather(site, chaos, reference)
        found.leftovers["afterwards"] = remains(site)
        yield found


def _planned(config: pytest.Config) -> list[tuple[Kind, Random]]:
    # Without this folder on the command line, pytest does not know its options.
    faults, seed = config.getoption("--faults", FAULTS), config.getoption("--chaos-seed", SEED)
    words, costly = config.getoption("--fault-kinds", ""), config.getoption("--costly", None)
    if words or config.getoption("--all-kinds", False):
        if costly is not None:
            raise pytest.UsageError("--costly has no effect with --all-kinds or --fault-kinds")
        return schedule(faults, seed, kinds_named(words))
    return cheap_schedule(faults, seed, COSTLY if costly is None else costly)
