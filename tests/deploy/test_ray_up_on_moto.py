"""Ray's AWS code with moto's EC2: resources of `ray up`, calls of its autoscaler. moto checks no credentials.

`AWSNodeProvider`, which makes the autoscaler's calls to AWS, has no public name in Ray. Its calls are what the stack's
permissions are for, and neither `ray.autoscaler.sdk` nor a command makes them without a running cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler.sdk import bootstrap_config
from ray.autoscaler.tags import TAG_RAY_NODE_KIND, TAG_RAY_NODE_NAME, TAG_RAY_USER_NODE_TYPE

from tests.deploy.test_aws_stack import AUTOSCALER_CALLS

moto = pytest.importorskip("moto", reason="needs moto[ec2,iam]")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment, moto.mock_aws():
        home: Path = tmp_path_factory.mktemp("home")
        (home / ".ssh").mkdir()
        environment.setenv("HOME", str(home))
        environment.setenv("AWS_DEFAULT_REGION", "us-west-2")
        yield


@pytest.fixture(scope="module")
def bootstrapped(aws: None, prepared: dict[str, Any]) -> dict[str, Any]:
    return bootstrap_config(prepared, no_config_cache=True)


def test_resources_are_those_that_ec2_tells(cluster: dict[str, Any], bootstrapped: dict[str, Any], aws: None) -> None:
    import boto3

    pages = boto3.client("ec2").get_paginator("describe_instance_types").paginate()
    told = {instance["InstanceType"]: instance for page in pages for instance in page["InstanceTypes"]}
    for name, node in cluster["available_node_types"].items():
        if name != cluster["head_node_type"]:
            gpus = told[name].get("GpuInfo", {}).get("Gpus", [])
            assert node["resources"]["CPU"] == told[name]["VCpuInfo"]["DefaultVCpus"], name
            assert node["resources"].get("GPU", 0) == sum(gpu["Count"] for gpu in gpus), name


def test_security_group_lets_only_ssh_in(bootstrapped: dict[str, Any]) -> None:
    import boto3

    (group,) = boto3.client("ec2").describe_security_groups(GroupNames=["unmask"])["SecurityGroups"]
    from_outside = [rule for rule in group["IpPermissions"] if rule["IpRanges"] or rule["Ipv6Ranges"]]
    assert [(rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) for rule in from_outside] == [(22, 22, "tcp")]
    others = [rule for rule in group["IpPermissions"] if rule not in from_outside]
    assert [[pair["GroupId"] for pair in rule["UserIdGroupPairs"]] for rule in others] == [[group["GroupId"]]]
    assert not any(rule["PrefixListIds"] for rule in group["IpPermissions"])
    for node in bootstrapped["available_node_types"].values():
        assert node["node_config"]["SecurityGroupIds"] == [group["GroupId"]]


def test_autoscaler_makes_no_call_that_the_head_may_not(
    bootstrapped: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    for profile in ("unmask-head", "unmask-worker"):
        boto3.client("iam").create_instance_profile(InstanceProfileName=profile)
    made = set()
    call = BaseClient._make_api_call

    def note(self: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        made.add(f"{self.meta.service_model.service_name}:{name}")
        return call(self, name, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", note)
    # moto doesn't mark spot machines, which Ray would end, so it would stop them if it were allowed to
    provider = AWSNodeProvider({**bootstrapped["provider"], "cache_stopped_nodes": False}, "unmask")
    for name, node in bootstrapped["available_node_types"].items():
        if name != bootstrapped["head_node_type"]:
            tags = {TAG_RAY_NODE_KIND: "worker", TAG_RAY_NODE_NAME: name, TAG_RAY_USER_NODE_TYPE: name}
            provider.create_node(node["node_config"], tags, 1)
    nodes = provider.non_terminated_nodes({})
    assert len(nodes) == len(bootstrapped["available_node_types"]) - 1
    provider.set_node_tags(nodes[0], {TAG_RAY_NODE_NAME: "renamed"})
    provider.terminate_nodes(nodes)
    assert not provider.non_terminated_nodes({})
    assert made >= {"ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances", "ec2:DescribeInstances"}
    assert made <= AUTOSCALER_CALLS
