"""The reason of a crash in one line, from texts that Ray 2.60 wrote about real crashes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.train import PreemptionError

from core.sweep.failure import Failure, last_failure
from core.sweep.group_error import GroupError, RankError

TRACEBACK = """\
ray::ImplicitFunc.train() (pid=18835, ip=192.0.2.2, actor_id=949f3f4bada50e5a8240a11a01000000, repr=train)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/lib/ray/tune/trainable/function_trainable.py", line 249, in _trainable_func
    output = fn()
             ^^^^
  File "/tmp/exp.py", line 9, in train
    {code}
               ^^^^^^^^^^^^^^^^^
{error}

"""
DIED = """\
The actor died unexpectedly before finishing this task.
\tclass_name: ImplicitFunc
\tactor_id: be648815e699f778e41dff7501000000
\tpid: 18834
\tip: 192.0.2.2
{line}
"""
KILLED = (
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker "
    "unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the process was "
    "killed by the OOM killer due to high memory usage, (2) ray stop --force was called."
)
FULL = """\
1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: 2c82) was 4.83GB.
OOM kill reason: Memory usage 4973027328B exceeded threshold of 1263825536B (5.0% of 25276510208B limit)
Object store memory usage: [- objects spillable: 0
- bytes spillable: 0
]
Ray killed 1 worker(s) based on the killing policy
"""
LOST = "The actor died because its node has died. Node Id: 25378222bc\n\tthe actor's node was terminated: heartbeats."

UNAVAILABLE = (
    "The actor f921845cbb13dd07998b853e01000000 is unavailable: The actor is temporarily unavailable: RpcError: RPC "
    "error: Socket closed rpc_code: 14. The task may or may not have been executed on the actor.\n"
)
WITHDRAWN = (
    "The actor is not schedulable: Could not create the actor because its associated placement group was removed.\n"
    "Required placement group 2e55161b43b7a04a367d91f0dd0501000000 is removed.\n"
)


HEALTH = "A worker health check failed.\nWorker info: Worker(\n  actor=Actor(RayTrainWorker, be648815e699f778),\n)\n"
"""The beginning of Ray Train's text about a rank whose process has died. `DIED` follows."""


def traceback(error: str, code: str = "raise_it()") -> str:
    return TRACEBACK.format(error=error, code=code)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (traceback("ValueError: plain error\nwith two lines"), "ValueError: plain error"),
        (traceback("ValidationError: 1 error\n  field\n    wrong"), "ValidationError: 1 error"),
        (traceback("MemoryError"), "out of memory: MemoryError"),
        (
            traceback("RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried 8 bytes."),
            "out of memory: RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried 8 bytes.",
        ),
        (DIED.format(line=KILLED), "its process was killed or crashed, and raised no exception"),
        (FULL, "out of memory: Ray ended its process, because its node had hardly any memory left"),
        (DIED.format(line=LOST), "its node was lost or does not answer"),
        (UNAVAILABLE, "its node was lost or does not answer"),
        (WITHDRAWN, "its node was lost or does not answer"),
        ("", "its workers died, and Ray kept no reason"),
    ],
)
def test_the_cause_is_one_line(text: str, reason: str) -> None:
    assert Failure(text).reason == reason
    assert Failure(text).lost_node == reason.startswith("its node was lost")
    assert Failure(text).killed == reason.startswith("its process was killed")


def test_a_quotation_in_an_error_is_no_lost_node() -> None:
    assert not Failure(traceback("ValueError: x", code='raise ValueError("its node has died")')).lost_node


def of_group(failures: dict[int, Exception], folder: Path) -> Failure:
    """The failure that the driver reads from Tune's file about a group with these failures of its ranks."""
    file = folder / "error.txt"
    error = f"core.sweep.group_error.GroupError: {GroupError.of(failures)}"
    earlier = f"Failure # 1 (occurred at 2026-11-22_18-56-02)\n{traceback('ValueError: earlier')}\n"
    file.write_text(f"{earlier}Failure # 2 (occurred at 2026-11-22_18-56-29)\n{traceback(error)}")
    tuned: Any = SimpleNamespace(error_file=str(file))
    return last_failure(tuned)


def test_a_rank_with_an_exception_names_its_node(tmp_path: Path) -> None:
    failure = of_group({1: RankError.of(ValueError("plain error\nwith two lines"), "0abc")}, tmp_path)
    assert failure.reason == "ValueError: plain error"
    assert failure.nodes == ["0abc"]
    assert failure.actors == []
    assert not failure.killed


def test_the_nodes_of_all_ranks_with_an_exception_are_named(tmp_path: Path) -> None:
    failures: dict[int, Exception] = {rank: RankError.of(MemoryError(), f"{rank}abc") for rank in range(2)}
    failure = of_group(failures, tmp_path)
    assert failure.reason == "out of memory: MemoryError"
    assert failure.nodes == ["0abc", "1abc"]


def test_a_rank_that_died_is_to_blame_and_not_those_that_lost_their_connection_to_it(tmp_path: Path) -> None:
    lost = RankError.of(RuntimeError("Connection closed by peer"), "0abc")
    failure = of_group({0: lost, 1: Exception(HEALTH + DIED.format(line=KILLED))}, tmp_path)
    assert failure.killed
    assert failure.nodes == []
    assert failure.actors == ["be648815e699f778e41dff7501000000"]


@pytest.mark.parametrize("text", [HEALTH + DIED.format(line=LOST), HEALTH + UNAVAILABLE, WITHDRAWN])
def test_a_group_that_lost_a_node_or_was_withdrawn_has_lost_its_node(text: str, tmp_path: Path) -> None:
    assert of_group({0: Exception(text)}, tmp_path).lost_node


def test_a_group_whose_node_is_about_to_go_has_lost_its_node(tmp_path: Path) -> None:
    announced: Any = SimpleNamespace(preempted_ranks=[1])
    failure = of_group({0: PreemptionError(announced)}, tmp_path)
    assert failure.lost_node
    assert not failure.killed
    assert (failure.nodes, failure.actors) == ([], [])


def test_the_process_of_a_trial_without_a_group_is_the_one_that_ray_names_first() -> None:
    failure = Failure(traceback("ValueError: actor_id=0123456789ab, crashed on node 0abc"))
    assert failure.actors == ["949f3f4bada50e5a8240a11a01000000"]
    assert failure.nodes == []
