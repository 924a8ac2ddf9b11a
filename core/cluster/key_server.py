"""The driver gives temporary keys to the processes that it starts on a Ray cluster, while it lives."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

import ray
from ray.exceptions import RayError

from core.cluster.node_probe import only_on
from core.storage.keys import Keys, KeySource, NoKeysError
from core.storage.rights import Rights
from core.storage.role import Role
from core.storage.s3 import use_keys

ANSWER_S = 60.0
"""Seconds for which a process waits for its keys. Stores then wait and ask again, as for a server that is away."""
POLL_S = 10.0
"""Seconds after which the driver asks the actor again for requests."""
RETRY_S = 1.0
"""Seconds after which it asks again if the actor was lost."""
MAX_WAITING = 100_000
"""Largest number of processes that may wait for their keys at once."""
MAX_PARALLEL = 8
"""Largest number of requests that are answered at once."""


@dataclass(frozen=True)
class Grant:
    """What a process needs to get its keys. It contains no secret.

    Attributes:
        actor: name of the actor to ask.
        rights: the rights that its keys have.
    """

    actor: str
    rights: Rights

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Grant:
        """The grant whose fields ``dataclasses.asdict`` has written."""
        return cls(stored["actor"], Rights(**stored["rights"]))


class KeyServer:
    """Answers the requests of processes for keys of a role.

    An actor on the driver's node takes the requests, and a thread of the driver answers them. The driver's own keys,
    wherever it finds them, thus never leave its process. The actor ends with the driver.

    Args:
        role: the role that the driver may assume.
    """

    def __init__(self, role: Role) -> None:
        self._role = role
        self._name = f"unmask-keys-{secrets.token_hex(4)}"
        self._closed = threading.Event()
        self._requests: Any = None
        self._thread = threading.Thread(target=self._serve, name="keys", daemon=True)

    def open(self) -> None:
        """Start to answer. The driver must be connected to a cluster."""
        here = only_on(ray.get_runtime_context().get_node_id())
        actor: Any = ray.remote(_Requests)
        self._requests = actor.options(
            name=self._name,
            num_cpus=0,
            max_restarts=-1,
            max_concurrency=MAX_WAITING,
            scheduling_strategy=here,
        ).remote()
        self._thread.start()

    def close(self) -> None:
        """Answer no more. It must be called before the driver leaves the cluster, and has no effect before `open`."""
        self._closed.set()
        if self._thread.is_alive():
            self._requests.wake.remote()
            self._thread.join(POLL_S)

    def grant(self, rights: Rights) -> Grant:
        """What a process needs to get keys with these rights."""
        return Grant(self._name, rights)

    def _serve(self) -> None:
        with ThreadPoolExecutor(MAX_PARALLEL, thread_name_prefix="keys") as pool:
            while not self._closed.is_set():
                try:
                    asked = ray.get(self._requests.next.remote())
                except RayError:  # The actor was killed, and Ray starts it again.
                    self._closed.wait(RETRY_S)
                    continue
                if asked:
                    pool.submit(self._answer, *asked)

    def _answer(self, number: int, rights: Rights) -> None:
        if self._closed.is_set():  # The end of the process waits for all answers.
            return
        try:
            answer: Keys | str = self._role.keys(rights)
        except (NoKeysError, ValueError) as error:
            answer = str(error)
        if not self._closed.is_set():  # Otherwise Ray would start a cluster for this call.
            self._requests.answer.remote(number, answer)


class _Requests:
    """The actor that passes requests to the driver, and answers to the processes."""

    def __init__(self) -> None:
        self._asked: asyncio.Queue[tuple[int, Rights] | None] = asyncio.Queue()
        self._waiting: dict[int, asyncio.Future[Keys | str]] = {}
        self._numbers = count()

    async def ask(self, rights: Rights) -> Keys | str:
        """The keys, or why there are none."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._asked.put_nowait((number, rights))
        try:
            return await asyncio.wait_for(self._waiting[number], ANSWER_S)
        except TimeoutError:
            return "the driver does not answer"
        finally:
            del self._waiting[number]

    async def next(self) -> tuple[int, Rights] | None:
        """The next request with its number; None if there is none for a while."""
        try:
            return await asyncio.wait_for(self._asked.get(), POLL_S)
        except TimeoutError:
            return None

    async def wake(self) -> None:
        """Let `next` return."""
        self._asked.put_nowait(None)

    async def answer(self, number: int, answer: Keys | str) -> None:
        """Answer a request. Nothing happens if its process has stopped waiting."""
        if number in self._waiting and not self._waiting[number].done():
            self._waiting[number].set_result(answer)


def use_keys_of(grant: Grant | None) -> None:
    """Let the buckets that this process opens from now on use keys of ``grant``; None: the process's own keys."""
    use_keys(None if grant is None else _source(grant))


@lru_cache(1)
def _source(grant: Grant) -> KeySource:
    """The same source as long as the grant is the same, because blocks of one checkpoint need the same keys."""
    return KeySource(lambda: _fetch(grant))


def _fetch(grant: Grant) -> Keys:
    try:
        actor: Any = ray.get_actor(grant.actor)
        found: Any = ray.get(actor.ask.remote(grant.rights), timeout=2 * ANSWER_S)
    except (RayError, ValueError) as error:
        raise NoKeysError(f"the driver, which gives keys, cannot be asked ({type(error).__name__})") from None
    if isinstance(found, str):
        raise NoKeysError(found)
    assert isinstance(found, Keys)
    return found
