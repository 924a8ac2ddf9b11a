"""What a driver does after a crash: it names the reason, spares the trial, avoids the node, or ends the sweep."""

from __future__ import annotations

import re
from collections.abc import Mapping

import ray
from ray.tune.experiment import Trial as TuneTrial
from ray.util.state import get_actor

from core.cluster.broken_gpus import BrokenGpus
from core.cluster.jobs import UNANSWERED
from core.cluster.memory_kills import memory_kills_on
from core.cluster.quarantine import Quarantine
from core.config import RunOptions
from core.quantity import duration
from core.sweep.crashes import Crashes
from core.sweep.failure import OUT_OF_MEMORY, Failure, last_failure
from core.sweep.halt import Halt, Stop
from core.sweep.live_state import LiveState

ACTOR = re.compile(r"actor_id[:=] ?([0-9a-f]{8,})")
"""The id of the lost process in Ray's messages."""
STATE_API_S = 5


class CrashHandler:
    """Handles the crashes of a sweep's trials, of which Tune tells the driver.

    Args:
        live: the state of the running trials.
        options: the resources of a trial and the limits of crashes.
        halt: ends the sweep.
    """

    def __init__(self, live: LiveState, options: RunOptions, halt: Halt) -> None:
        self.live, self.halt = live, halt
        self._crashes = Crashes(options.max_crashes)
        self._quarantine = Quarantine(options)
        self._broken_gpus = BrokenGpus()

    def progressed(self, key: str) -> None:
        """Note that a trial finished an epoch or ended with a record."""
        node = self._reported_node(key)
        self._crashes.progressed(key, node)
        if node:
            self._quarantine.forget(node)

    def look(self) -> None:
        """Let trials return to the nodes whose quarantine is over. The driver must call this often."""
        self._quarantine.look()

    def crashed(self, key: str, trial: TuneTrial, tuned: Mapping[str, TuneTrial]) -> list[str]:
        """Note that an attempt at a trial ended, and return lines about what follows.

        Args:
            key: key of the trial.
            trial: the Tune trial. Its failures, by which Tune decides whether it starts again, are corrected.
            tuned: all Tune trials by key.
        """
        failure = last_failure(trial)
        if line := self._broken_gpus.exclude(failure.text):
            trial.run_metadata.num_failures -= 1  # The node failed, and not the trial.
            return [line]
        if failure.lost_node:
            blame = self._crashes.lost_node(key)
        else:
            at_once = max(len(self.live.running), 1)
            node = self._node(key, trial, failure)
            blame = self._crashes.crashed(key, node, at_once, node is not None and self._quarantine.elsewhere(node))
        trial.run_metadata.num_failures -= not blame.charged
        for other, number in blame.refunds.items():
            tuned[other].run_metadata.num_failures -= number
        state = self.live.running.get(key)
        lines = [f"{state.name if state else key}: {self._cause(key, failure)}"]
        if blame.hopeless and not self.halt.stop:
            self.halt.stop = Stop(
                "crashes",
                f"The sweep has stopped: its trials crashed {self._crashes.number} times in succession, with no epoch "
                f"in between (--max-crashes). The last reason: {self._cause(key, failure)}.",
            )
        elif blame.suspect and (line := self._quarantine.admit(blame.suspect)):
            lines.append(f"{line}, because {self._crashes.on_node(blame.suspect)} attempts in succession crashed there")
        return lines

    def reason(self, key: str, trial: TuneTrial) -> str:
        """The reason in the record of a trial that is not started again."""
        failure, state = last_failure(trial), self.live.running.get(key)
        if failure.killed and state and state.process and state.silenced_s is None:
            kills = memory_kills_on(state.process[0])
            if kills is not None and kills > state.memory_kills:
                return f"{OUT_OF_MEMORY}its process ended when the kernel of its machine killed one for lack of memory"
        return self._cause(key, failure)

    def _cause(self, key: str, failure: Failure) -> str:
        state = self.live.running.get(key)
        if state and state.silenced_s is not None:
            return f"silent for {duration(state.silenced_s)} in attempt {state.attempt}"
        return failure.reason

    def _reported_node(self, key: str) -> str | None:
        """The node of a running trial of one worker.

        The process of another trial is only its controller. Ray Train restarts the trial's workers without the driver,
        which learns of a crash only when all restarts are used up.
        """
        state = self.live.running.get(key)
        if state is None or state.process is None or state.trial.cell.training.workers > 1:
            return None
        return state.process[0]

    def _node(self, key: str, trial: TuneTrial, failure: Failure) -> str | None:
        """The node of a crashed attempt. An attempt may crash before it has reported its node."""
        if node := self._reported_node(key):
            return node
        actor = ACTOR.search(failure.text)
        if actor is None or trial.config["run"]["workers"] > 1:
            return None
        try:
            # Without the address, Ray would ask another cluster of this machine, or none if there are several.
            state = get_actor(actor[1], ray.get_runtime_context().gcs_address, timeout=STATE_API_S)
        except UNANSWERED:
            return None
        return state.node_id if state else None
