"""What a driver does after a crash: it names the reason, spares the trial, avoids the node, or ends the sweep."""

from __future__ import annotations

from collections.abc import Collection, Mapping

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
from core.sweep.failure_count import uncount_failures
from core.sweep.halt import Halt, Stop
from core.sweep.live_state import LiveState

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

    @property
    def avoided(self) -> Collection[str]:
        """Ids of the nodes that get no trials for a while."""
        return self._quarantine.nodes

    def progressed(self, key: str) -> None:
        """Note that a trial finished an epoch or ended with a record."""
        state = self.live.running.get(key)
        nodes = state.nodes if state else ()
        self._crashes.progressed(key, nodes)
        for node in nodes:
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
        failure, workers = last_failure(trial), int(trial.config["run"]["workers"])
        if line := self._broken_gpus.exclude(failure.text):
            uncount_failures(trial, 1)
            return [line]
        if failure.lost_node:
            decision = self._crashes.lost_node(key)
        else:
            at_once = max(len(self.live.running), 1)
            nodes = self._nodes(key, workers, failure)
            decision = self._crashes.crashed(key, nodes, at_once, self._quarantine.elsewhere(nodes, workers))
        if not decision.counts:
            uncount_failures(trial, 1)
        for other, number in decision.uncounted.items():
            uncount_failures(tuned[other], number)
        state = self.live.running.get(key)
        lines = [f"{state.name if state else key}: {self._cause(key, failure)}"]
        if decision.stop_sweep and not self.halt.stop:
            self.halt.stop = Stop(
                "crashes",
                f"The sweep has stopped: its trials crashed {self._crashes.number} times in succession, with no epoch "
                f"in between (--max-crashes). The last reason: {self._cause(key, failure)}.",
            )
            return lines
        for node in decision.failing_nodes:
            if line := self._quarantine.admit(node, workers):
                lines.append(f"{line}, because {self._crashes.on_node(node)} attempts in succession crashed there")
        return lines

    def reason(self, key: str, trial: TuneTrial) -> str:
        """The reason in the record of a trial that is not started again."""
        failure, state = last_failure(trial), self.live.running.get(key)
        if failure.killed and not failure.of_ranks and state and state.process and state.silenced_s is None:
            kills = memory_kills_on(state.process[0])
            if kills is not None and kills > state.memory_kills:
                return f"{OUT_OF_MEMORY}its process ended when the kernel of its machine killed one for lack of memory"
        return self._cause(key, failure)

    def _cause(self, key: str, failure: Failure) -> str:
        state = self.live.running.get(key)
        if state and state.silenced_s is not None:
            return f"silent for {duration(state.silenced_s)} in attempt {state.attempt}"
        return failure.reason

    def _nodes(self, key: str, workers: int, failure: Failure) -> list[str]:
        """The nodes of the processes that crashed; none if they are not known.

        An attempt of one worker may crash before it has reported its node. If the process that controls a group has
        crashed, no rank is at fault.
        """
        state = self.live.running.get(key)
        if workers == 1 and state and state.nodes:
            return list(state.nodes)
        if workers > 1 and not failure.of_ranks:
            return []
        return list(dict.fromkeys([*failure.nodes, *filter(None, map(_node_of, failure.actors))]))


def _node_of(actor: str) -> str | None:
    try:
        # Without the address, Ray would ask another cluster of this machine, or none if there are several.
        state = get_actor(actor, ray.get_runtime_context().gcs_address, timeout=STATE_API_S)
    except UNANSWERED:
        return None
    return state.node_id if state else None
