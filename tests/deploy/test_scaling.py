"""The machines that Ray's scheduler would start for waiting trials."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from ray.autoscaler.v2.event_logger import AutoscalerEventLogger
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.core.generated.autoscaler_pb2 import GangResourceRequest, ResourceRequest

TRIAL = {"CPU": 1, "GPU": 1}


def started(
    prepared: dict[str, Any],
    trials: int,
    rank: Mapping[str, float],
    *,
    ranks: int = 1,
    availability: Mapping[str, float] | None = None,
) -> dict[str, int]:
    """Number of started machines by type, from none, for placement groups like those of Tune and Train."""
    cluster = AutoscalingConfig(prepared, skip_content_hash=True)
    group = GangResourceRequest(requests=[ResourceRequest(resources_bundle=rank) for _ in range(ranks)])
    scheduler = ResourceDemandScheduler(AutoscalerEventLogger(logging.getLogger(__name__)))
    reply = scheduler.schedule(
        SchedulingRequest(
            node_type_configs=cluster.get_node_type_configs(),
            max_num_nodes=cluster.get_max_num_worker_nodes(),
            disable_launch_config_check=True,
            gang_resource_requests=[group] * trials,
            cloud_resource_availabilities=dict(availability or {}),
        )
    )
    return {request.instance_type: request.count for request in reply.to_launch}


def test_nothing_waits_nothing_is_started(prepared: dict[str, Any]) -> None:
    assert started(prepared, 0, TRIAL) == {}


@pytest.mark.parametrize("trials", [1, 12, 16])
def test_a_trial_on_one_gpu_gets_the_first_machine_with_one(prepared: dict[str, Any], trials: int) -> None:
    assert started(prepared, trials, TRIAL) == {"g6.xlarge": trials}


def test_no_more_are_started_than_the_file_allows(prepared: dict[str, Any]) -> None:
    assert sum(started(prepared, 60, TRIAL).values()) == prepared["max_workers"] == 16


def test_where_aws_has_none_of_a_type_the_next_is_taken(prepared: dict[str, Any]) -> None:
    assert started(prepared, 3, TRIAL, availability={"g6.xlarge": 0.0}) == {"g5.xlarge": 3}


def test_a_group_that_fills_a_machine_with_four_gpus_gets_one(prepared: dict[str, Any]) -> None:
    assert started(prepared, 1, {"CPU": 12, "GPU": 1}, ranks=4) == {"g6.12xlarge": 1}


def test_trials_without_gpu_get_machines_without(prepared: dict[str, Any]) -> None:
    assert started(prepared, 12, {"CPU": 1}) == {"c7i.4xlarge": 1}
