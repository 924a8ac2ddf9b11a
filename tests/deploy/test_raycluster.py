"""The AWS cluster file: Ray's validation, and properties that Ray does not validate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore.session
import jsonschema
import pytest
import ray.autoscaler
from botocore.validate import ParamValidator

from tests.deploy.conftest import ROOT

PUBLISHED_IMAGES = "/aws/service/"
CPUS_AND_GPUS = {
    # test_ray_up_on_moto.py compares the same with EC2's responses in moto 5.2.
    "g6.xlarge": {"CPU": 4, "GPU": 1},
    "g5.xlarge": {"CPU": 4, "GPU": 1},
    "g6e.xlarge": {"CPU": 4, "GPU": 1},
    "g6.12xlarge": {"CPU": 48, "GPU": 4},
    "g5.12xlarge": {"CPU": 48, "GPU": 4},
    "c7i.4xlarge": {"CPU": 16},
}


@pytest.fixture(scope="module")
def workers(cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    types = dict(cluster["available_node_types"])
    del types[cluster["head_node_type"]]
    return types


def test_ray_accepts_it(prepared: dict[str, Any]) -> None:
    schema = Path(ray.autoscaler.__file__).with_name("ray-schema.json")
    jsonschema.validate(prepared, json.loads(schema.read_text()))


def test_ray_fills_in_no_command_of_its_own(prepared: dict[str, Any], cluster: dict[str, Any]) -> None:
    # Ray's defaults install a nightly build and start the dashboard on all addresses.
    ours = {command for key in cluster if key.endswith("_commands") for command in cluster[key]}
    for key in prepared:
        if key.endswith("_commands"):
            assert set(prepared[key]) <= ours, key


def test_ec2_knows_every_option_and_instance_type(cluster: dict[str, Any]) -> None:
    # boto3 carries EC2's own description of RunInstances, with the list of all instance types of its release
    service = botocore.session.get_session().get_service_model("ec2")
    known = set(service.shape_for("InstanceType").enum)
    assert len(known) > 1000
    for name, node in cluster["available_node_types"].items():
        request = {**node["node_config"], "MinCount": 1, "MaxCount": 1, "SubnetId": "subnet-1"}
        report = ParamValidator().validate(request, service.operation_model("RunInstances").input_shape)
        assert not report.has_errors(), f"{name}: {report.generate_report()}"
        assert node["node_config"]["InstanceType"] in known


def test_what_it_says_of_a_machine_is_what_the_machine_has(workers: dict[str, dict[str, Any]]) -> None:
    assert {name: node["resources"] for name, node in workers.items()} == CPUS_AND_GPUS
    assert all(name == node["node_config"]["InstanceType"] for name, node in workers.items())


def test_head_is_a_machine_that_stays_and_trains_nothing(cluster: dict[str, Any]) -> None:
    head = cluster["available_node_types"][cluster["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["node_config"]["IamInstanceProfile"] == {"Name": "unmask-head"}


def test_workers_are_spot_and_none_is_kept_idle(cluster: dict[str, Any], workers: dict[str, dict[str, Any]]) -> None:
    assert 0 < cluster["idle_timeout_minutes"] <= 10
    for node in workers.values():
        assert node["min_workers"] == 0
        assert 0 < node["max_workers"] <= cluster["max_workers"]
        assert node["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
        # A stopped or hibernated spot machine would return as a node that Ray has abandoned.
        options = node["node_config"]["InstanceMarketOptions"]["SpotOptions"]
        assert options == {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
        assert node["node_config"]["IamInstanceProfile"] == {"Name": "unmask-worker"}


def test_machines_are_new_enough_encrypted_and_keep_their_credentials(cluster: dict[str, Any]) -> None:
    for name, node in cluster["available_node_types"].items():
        config = node["node_config"]
        # without an image Ray takes Ubuntu 18.04, whose C library is too old for today's torch
        assert config["ImageId"].startswith(f"resolve:ssm:{PUBLISHED_IMAGES}"), name
        assert "24.04" in config["ImageId"]
        assert ("nvidia-driver-gpu" in config["ImageId"]) == ("GPU" in node["resources"])
        # version 1 of the metadata service gives a node's credentials to whatever makes it fetch a URL
        assert config["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
        assert all(device["Ebs"]["Encrypted"] for device in config["BlockDeviceMappings"])


def test_the_file_opens_no_port_to_the_world(cluster: dict[str, Any]) -> None:
    # test_ray_up_on_moto.py checks the rules that Ray creates.
    assert "IpPermissions" not in cluster["provider"]["security_group"]
    # A machine with other groups would get none of Ray's rules.
    assert not any(
        set(node["node_config"]) & {"SecurityGroupIds", "NetworkInterfaces"}
        for node in cluster["available_node_types"].values()
    )


def test_nodes_get_all_parts_of_the_project_and_nothing_else(cluster: dict[str, Any], project: dict[str, Any]) -> None:
    mounts = dict(cluster["file_mounts"])
    # Files of all nodes, also of spot workers: of the secrets only the token, without which a node cannot join.
    assert mounts.pop("~/.unmask/ray_token") == "~/.unmask/ray_token"
    assert all(remote == f"~/unmask/{local}" and (ROOT / local).exists() for remote, local in mounts.items())
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages | {"pyproject.toml", project["readme"], *project["license-files"]} == set(mounts.values())


def test_head_keeps_its_disk_when_the_cluster_goes_down(cluster: dict[str, Any]) -> None:
    assert cluster["provider"]["cache_stopped_nodes"] is True
