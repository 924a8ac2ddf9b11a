"""Why an attempt at a trial ended, in one line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ray.tune.experiment import Trial as TuneTrial

from core.redaction import without_secrets
from core.sweep.group_error import GroupError

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
FRAME = re.compile(r'\s+File ".*", line \d+')
"""A line of a traceback."""
DEATH = re.compile(r"^The actor (?:is dead|died) because", re.M)
"""The line of Ray's message about a lost process that says more than its first line."""
LOST_NODE = re.compile(
    r"its node has died|node was terminated|NODE_DIED|^The actor [0-9a-f]+ is unavailable|"
    r"^The actor is not schedulable: .*placement group was removed|interrupted by node preemption",
    re.I,
)
"""Ray's words for a node that is gone or about to go, one that does not answer, and one from which the driver withdrew
the trial."""
FULL_NODE = re.compile(r"NODE_OUT_OF_MEMORY|running low on memory|OutOfMemoryError: Task was killed", re.I)
NO_MEMORY = re.compile(r"MemoryError|allocate memory|bad_alloc|\[Errno 12\]|out of memory", re.I)
NODE = re.compile(r"^crashed on node ([0-9a-f]+)$", re.M)
ACTOR = re.compile(r"actor_id[:=] ?([0-9a-f]{8,})")
"""The id of a process in Ray's messages."""
ENDED = re.compile(r"worker process has died|Worker unexpectedly exits|SYSTEM_ERROR")
MAX_LENGTH = 300
OUT_OF_MEMORY = "out of memory: "


@dataclass(frozen=True)
class Failure:
    """The end of an attempt.

    Attributes:
        text: Ray's text about it, with the traceback if the trial raised an exception.
        of_ranks: True if the text is that of the ranks at fault at the end of a group.
    """

    text: str
    of_ranks: bool = False

    @property
    def nodes(self) -> list[str]:
        """Ids of the nodes that ranks with an exception have named."""
        return NODE.findall(self.text) if self.of_ranks else []

    @property
    def actors(self) -> list[str]:
        """Ids of the lost processes, or that of the only process, with which Ray's text begins."""
        found = ACTOR.findall(self.text)
        return found if self.of_ranks else found[:1]

    @property
    def lost_node(self) -> bool:
        """True if the attempt ended because its node was lost or cut off."""
        return bool(LOST_NODE.search(self._message))

    @property
    def killed(self) -> bool:
        """True if its process ended without an exception, as by SIGKILL."""
        return bool(ENDED.search(self._message)) and not self.lost_node and not FULL_NODE.search(self.text)

    @property
    def reason(self) -> str:
        """The cause in one line."""
        message = self._message
        if self.lost_node:
            return "its node was lost or does not answer"
        if FULL_NODE.search(self.text):
            return f"{OUT_OF_MEMORY}Ray ended its process, because its node had hardly any memory left"
        if self.killed:
            return "its process was killed or crashed, and raised no exception"
        if NO_MEMORY.search(message):
            return (message if message.startswith(OUT_OF_MEMORY) else f"{OUT_OF_MEMORY}{message}")[:MAX_LENGTH]
        return message[:MAX_LENGTH] or "its workers died, and Ray kept no reason"

    @property
    def _message(self) -> str:
        """The line that names the exception, or Ray's line about the process."""
        if found := DEATH.search(self.text):
            return self.text[found.start() :].splitlines()[0]
        lines = [line.rstrip() for line in self.text.splitlines() if line.strip()]
        last = max((number for number, line in enumerate(lines) if FRAME.match(line)), default=-1)
        return next((line for line in lines[last + 1 :] if not line[0].isspace()), "")


def last_failure(trial: TuneTrial) -> Failure:
    """The last failure of a trial, of whose texts Tune keeps a file.

    Tune's own ``get_error`` looks for the file in the sweep's folder, to which Tune copies it only at the end.
    """
    file = Path(trial.error_file) if trial.error_file else None
    text = file.read_text(errors="replace") if file and file.exists() else ""
    _, _, newest = COLOUR.sub("", text).rpartition("Failure # ")
    text = newest.partition("\n")[2]
    _, group, of_ranks = text.rpartition(f"{GroupError.__name__}: ")
    return Failure(without_secrets(of_ranks if group else text), of_ranks=bool(group))
