"""Faults of stored files: a file is damaged, or a file of another trial or sweep lies in its place.

A program that reads such a file must name it. Files that end a driver are then deleted, as the driver's message says.
Files that a trial can do without are replaced by the trial.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import psutil

from tests.chaos.forgery import Forgery
from tests.chaos.site import Site
from tests.chaos.strikes import Lasting

SAID_WITHIN_S = 900
IN_FLIGHT_S = 5.0
"""Time for a request of a process that was suspended or killed. Another fault may stall S3 for 4 s meanwhile."""
POLL_S = 0.5


def forge_files_of_trials(site: Site, rng: Random) -> Lasting:
    """All training processes get SIGKILL, and the files from which their trials go on are forged."""
    with _suspended(site) as workers:
        keys = _of_open_trials(site, "resume.ckpt") + _of_open_trials(site, "attempts.json")
        # All are read before the first one is replaced: the copy of a file's copy is the file itself.
        wrong = {key: forged(site, key, rng) for key in keys}
        found = [site.forge(key, *made) for key, made in wrong.items()]
        if not found:
            return
        looks = {forgery.key: _looking_in_logs_of_workers(site, forgery) for forgery in found}
        _kill(workers)
    # A file may have been on its way to the server when its process was suspended. After a record, the trial reads
    # nothing again; another file has replaced the forged one.
    time.sleep(IN_FLIGHT_S)
    for forgery in [forgery for forgery in found if _is_finished(site, forgery.key) or not site.is_forged(forgery.key)]:
        found.remove(forgery)
        site.forgeries.remove(forgery)
        site.remove_forged(forgery.key)
    yield from _until_said(site, found, [looks[forgery.key] for forgery in found])


def forge_finished_record(site: Site, rng: Random) -> Lasting:
    """The record of a finished trial is forged. The driver gets SIGKILL, so that the next one reads it."""
    yield from _forge_and_restart(site, rng, "/record.json")


def forge_description(site: Site, rng: Random) -> Lasting:
    """The description of the sweep is forged. The driver gets SIGKILL, so that the next one reads it."""
    yield from _forge_and_restart(site, rng, "/sweep.json")


def forge_open_record(site: Site, rng: Random) -> Lasting:
    """A record, of a result or a crash, lies in the folders of trials that train. Their processes get SIGKILL."""
    with _suspended(site) as workers:
        records = site.keys("/record.json")
        name = rng.choice(["record.json", "crash.json"])
        places = [key.replace("resume.ckpt", name) for key in _of_open_trials(site, "resume.ckpt")]
        if not places or not records:
            return
        # A trial's record may have been damaged while it was written, or it may be another trial's.
        content = site.read(rng.choice(records))
        how, content = rng.choice([("a record of another trial", content), _damaged(content, rng)])
        found = [site.forge(key, how, content) for key in places]
        look = _looking_in_output_of_drivers(site, found)
        _kill(workers)
    yield from _until_said(site, found, [look])
    for forgery in found:
        site.remove_forged(forgery.key)


def forge_progress(site: Site, rng: Random) -> Lasting:
    """The progress of a sweep is forged while its driver is stalled. ``status.py`` is asked for it."""
    drivers = site.drivers()
    sweep = site.running_sweep()
    keys = [key for key in site.keys("/progress.json") if key.split("/")[1] == sweep]
    # Without its description, which another fault may have removed, a sweep has no status.
    if not drivers or not keys or f"results/{sweep}/sweep.json" not in site.keys("/sweep.json"):
        return
    before = len(site.asked.read_text())
    entered = [driver.parent() for driver in drivers]
    with contextlib.suppress(psutil.NoSuchProcess):
        for driver in drivers:
            driver.suspend()
        forgery = site.forge(keys[0], *forged(site, keys[0], rng))
        yield 0
        for _ in range(10):
            site.ask_status(sweep)
            forgery.said = "progress.json" in site.asked.read_text()[before:]
            if forgery.said:
                break
            yield POLL_S
        for process in [*drivers, *entered]:
            if process:
                process.resume()


def forge_lease(site: Site, rng: Random) -> Lasting:
    """The file of the driver's lease is damaged, or another sweep's lies there, or one with a higher number.

    The driver loses its lease. If it ends its sweep before it looks at the file, the next one names what it replaces.
    """
    sweep = site.running_sweep()
    keys = [key for key in site.keys(".json", "/driver/") if key.split("/")[1] == sweep]
    if not keys:
        return
    newest = max(keys)
    how, content = forged(site, newest, rng)
    if rng.random() < 0.5:
        number = int(newest.rpartition("/")[2].removesuffix(".json"))
        how, newest = f"{how}, with a higher number", f"{newest.rpartition('/')[0]}/{number + 7:08d}.json"
    before = len(site.log.read_text())
    forgery = site.forge(newest, how, content)

    def look() -> None:
        printed = site.log.read_text()[before:]
        forgery.said = "lost the sweep's lease" in printed or f"{newest} is " in printed

    yield from _until_said(site, [forgery], [look])


def forged(site: Site, key: str, rng: Random) -> tuple[str, bytes]:
    """What a file is replaced by, and its new content: a file of the same kind from elsewhere, or a damaged one."""
    name = key.rpartition("/")[2]
    kind = "/driver/" if "/driver/" in key else f"/{name}"
    others = [other for other in site.keys(".json" if kind == "/driver/" else kind, kind) if other != key]
    if others and rng.random() < 0.5:
        other = rng.choice(others)
        return f"a copy of {other}", site.read(other)
    return _damaged(site.read(key), rng)


def _damaged(content: bytes, rng: Random) -> tuple[str, bytes]:
    numbers = [place for place in range(len(content) // 2) if content[place : place + 1].isdigit()]
    place = rng.choice(numbers) if numbers else 0
    digit = b"%d" % ((content[place] - ord("0") + 1) % 10)
    return rng.choice(
        [
            ("its beginning", content[: rng.randrange(len(content))]),
            ("random bytes", rng.randbytes(rng.randrange(1, 4000))),
            ("a changed byte", content[:place] + digit + content[place + 1 :]),
            ("nothing", b""),
        ]
    )


def _forge_and_restart(site: Site, rng: Random, name: str) -> Lasting:
    sweep = site.running_sweep()
    keys = [key for key in site.keys(name) if key.split("/")[1] == sweep]
    if not keys:
        return
    key = rng.choice(keys)
    found = [site.forge(key, *forged(site, key, rng))]
    look = _looking_in_output_of_drivers(site, found)
    _kill(site.drivers())
    yield from _until_said(site, found, [look])
    site.remove_forged(key)


@contextlib.contextmanager
def _suspended(site: Site) -> Iterator[list[psutil.Process]]:
    """All training processes, which are suspended meanwhile, so that they replace no file."""
    workers = site.all_training_workers()
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.suspend()
    try:
        yield workers
    finally:
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.resume()


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _is_finished(site: Site, key: str) -> bool:
    return f"{key.rpartition('/')[0]}/record.json" in site.keys("/record.json")


def _of_open_trials(site: Site, name: str) -> list[str]:
    finished = {key.rpartition("/")[0] for key in site.keys("/record.json")}
    sweep = site.running_sweep()
    return [
        key for key in site.keys(f"/{name}") if key.rpartition("/")[0] not in finished and key.split("/")[1] == sweep
    ]


def _until_said(site: Site, found: list[Forgery], looks: list[Callable[[], Any]]) -> Lasting:
    yield 0
    waited = 0.0
    while not (all(forgery.said for forgery in found) or site.closing.is_set() or waited > SAID_WITHIN_S):
        for look in looks:
            look()
        yield POLL_S
        waited += POLL_S


def _looking_in_output_of_drivers(site: Site, found: list[Forgery]) -> Callable[[], None]:
    """A function that marks the forgeries which drivers have named since now."""
    before = len(site.log.read_text())

    def look() -> None:
        printed = site.log.read_text()[before:]
        for forgery in found:
            *_, folder, name = forgery.key.split("/")
            forgery.said |= any(folder in line and name in line for line in printed.splitlines())

    return look


def _looking_in_logs_of_workers(site: Site, forgery: Forgery) -> Callable[[], None]:
    """A function that marks the forgery if a training process names it after now."""
    *_, folder, name = forgery.key.split("/")
    words = re.compile(rf"{folder}\S*/{re.escape(name)} (is damaged|belongs to|is not a checkpoint)")

    def count() -> int:
        return sum(len(words.findall(text)) for text in site.logs_of_workers())

    before = count()

    def look() -> None:
        forgery.said |= count() > before

    return look
