"""The connection to a Ray cluster, and the GPUs that it has."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.exceptions import AuthenticationError, RpcError
from ray.util.accelerators import (
    NVIDIA_TESLA_K80,
    NVIDIA_TESLA_P4,
    NVIDIA_TESLA_P100,
    NVIDIA_TESLA_T4,
    NVIDIA_TESLA_V100,
)
from ray.util.state import list_nodes

from core.cluster.autoscaling import autoscaling_limits
from core.cluster.chosen import cluster_to_join
from core.cluster.nodes import usable_amount, usable_nodes
from core.config import Cell, RunOptions
from core.engine.cost import step_flop
from core.temporary import TemporaryError

MIN_GPU_STEP_FLOP = 1e10
"""Operations of a training step below which a GPU waits for its kernels to be launched, and a CPU is as fast."""
OLD_GPUS = (NVIDIA_TESLA_T4, NVIDIA_TESLA_V100, NVIDIA_TESLA_P100, NVIDIA_TESLA_P4, NVIDIA_TESLA_K80)
"""Ray's names of GPUs that have neither TF32 nor bfloat16."""
PORT_SECONDS = 20
STARTS = 3
START_TIMEOUT = "timed out during startup"
"""Ray's words for a node that was too slow to start."""
STATE_API_SECONDS = 120
ENVIRONMENT = {
    # The controller handles one report per poll: with the default of 2 s, a shorter epoch would take 2 s.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # The ledger decides which trials are done, and a snapshot of Tune rewrites the state of all trials each time.
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    # Without this number, Tune would keep to the number of trials at once that fitted when the sweep started.
    "TUNE_MAX_PENDING_TRIALS_PG": "200",
}


def connect(address: str | None) -> bool:
    """Connect to the cluster at ``address``, or else at RAY_ADDRESS; start a local cluster if neither is given.

    Returns:
        True if a local cluster was started.

    Raises:
        TemporaryError: the cluster cannot be reached.
        ValueError: the cluster refuses the token, or its State API does not answer. Without the State API, stopped
            trials would never release their resources.
    """
    wanted = cluster_to_join(address)
    os.environ.update(ENVIRONMENT)
    if not wanted:
        os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "0"  # a local cluster cannot be preempted
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if wanted:
            if ":" in wanted:
                _try_port(wanted)
                _try_token(wanted)
            ray.init(address=wanted, logging_level=logging.ERROR, log_to_driver=False)
        else:
            with _signal_held(signal.SIGTERM):
                _start_local()
    except AuthenticationError as error:
        raise ValueError(
            f"--address {wanted}: the cluster asks for its token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to "
            f"the file that holds it ({error.message.partition('. ')[0]})"
        ) from error
    except (ConnectionError, RpcError) as error:
        raise TemporaryError(f"--address {wanted}: no Ray cluster answers there ({error})") from error
    signal.signal(signal.SIGTERM, on_sigterm)  # ray.init installs a handler that aborts the process
    _await_state_api()
    return not wanted


def _start_local() -> None:
    """Start a cluster on this machine, up to `STARTS` times.

    Ray gives its node 30 s to start, which a machine that is busy with other work may need.

    Raises:
        TemporaryError: the cluster has not started.
    """
    for left in reversed(range(STARTS)):
        try:
            ray.init(address="local", logging_level=logging.ERROR, log_to_driver=False)
            return
        except Exception as error:  # Ray raises no class of its own
            if START_TIMEOUT not in str(error):
                raise
            ray.shutdown()
            if not left:
                raise TemporaryError(
                    f"Ray has not started on this machine in {STARTS} attempts of 30 s; the machine may be too busy"
                ) from error


@contextmanager
def _signal_held(number: signal.Signals) -> Iterator[None]:
    """Block a signal in this thread, and for good in the processes that it starts meanwhile.

    Slurm and ``timeout`` send SIGTERM to all processes of a job. The driver ends its local cluster itself, after it has
    noted what is saved; if the cluster ended first, Ray would abort the driver. Ray does the same with SIGINT.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _try_port(address: str) -> None:
    """Raise ConnectionError if no cluster listens at ``address``.

    ray.init itself would try for 40 s and print its own messages.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PORT_SECONDS).close()
    except (OSError, OverflowError) as error:  # OverflowError: a port above 65535
        raise ConnectionError(error) from error


def _try_token(address: str) -> None:
    """Raise AuthenticationError if the cluster refuses the token.

    ray.init itself would try for 20 s and report a wrong token as a connection error.
    """
    if os.environ.get("RAY_AUTH_MODE") == "token" and not _has_token():
        return  # ray.init reports the missing token at once, whereas the State API's client would abort this process
    try:
        list_nodes(address, limit=1, timeout=STATE_API_SECONDS)
    except (AuthenticationError, RpcError):
        raise
    except Exception:
        return  # the token is accepted, but the dashboard has not started yet


def _has_token() -> bool:
    """True if a token is in one of the places that Ray's documentation of token authentication lists."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    return file.is_file() and bool(file.read_text(errors="replace").strip())


def _await_state_api() -> None:
    """Wait until the State API answers, because on a busy machine the dashboard starts long after the cluster."""
    address = ray.get_runtime_context().gcs_address
    deadline = time.monotonic() + STATE_API_SECONDS
    while True:
        try:
            list_nodes(address, limit=1, timeout=STATE_API_SECONDS)
            return
        except Exception as error:
            if time.monotonic() > deadline:
                raise ValueError(
                    f"the cluster's State API did not answer for {STATE_API_SECONDS} s: install ray[default] on its "
                    "head node and do not disable its dashboard"
                ) from error
        time.sleep(1)


def with_gpus_of_cluster(run: RunOptions, cells: Iterable[Cell] = ()) -> RunOptions:
    """The options with a value for ``gpus_per_worker``.

    The default is 1 if the cluster has GPUs and the largest training step of ``cells``, if there are any, is worth one.
    """
    if run.gpus_per_worker is not None:
        return run
    has_gpus = bool(usable_amount("GPU")) or autoscaling_limits().offered("GPU")
    small = has_gpus and max(map(step_flop, cells), default=MIN_GPU_STEP_FLOP) < MIN_GPU_STEP_FLOP
    return run.model_copy(update={"gpus_per_worker": 1.0 if has_gpus and not small else 0.0})


def check_gpu_models(run: RunOptions, precisions: Iterable[str]) -> None:
    """Raise ValueError if a node has a GPU that does not have one of the number formats of training."""
    wanted = sorted({"tf32", "bf16"} & set(precisions))
    if not wanted or not run.gpus_per_worker:
        return
    labels = {label for node in usable_nodes().values() for label in node["Resources"]}
    for model in OLD_GPUS:
        if f"accelerator_type:{model}" in labels:
            raise ValueError(
                f"--precision {wanted[0]} is impossible on the cluster's {model} GPUs; allowed are fp32 and fp16, or "
                "--gpus-per-worker 0 for CPUs"
            )
