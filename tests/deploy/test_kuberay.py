"""The Kubernetes manifest: KubeRay's required fields, and the same properties as on AWS."""

from __future__ import annotations

from typing import Any

import pytest

RAY_CLUSTER_FIELDS = {
    # RayClusterSpec of KubeRay 1.4
    *("headGroupSpec", "workerGroupSpecs", "rayVersion", "enableInTreeAutoscaling", "autoscalerOptions"),
    *("suspend", "managedBy", "headServiceAnnotations", "gcsFaultToleranceOptions"),
}
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/ray-token/ray_token", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def ray_cluster(manifest: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [document for document in manifest if document["kind"] == "RayCluster"]
    return found


@pytest.fixture(scope="module")
def groups(ray_cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [ray_cluster["spec"]["headGroupSpec"], *ray_cluster["spec"]["workerGroupSpecs"]]


@pytest.fixture(scope="module")
def pods(manifest: list[dict[str, Any]], groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pod templates of all workloads."""
    others = [d["spec"]["template"] for d in manifest if d["kind"] in ("Deployment", "StatefulSet")]
    return [*others, *(group["template"] for group in groups)]


def plain(environment: list[dict[str, Any]]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in environment if "value" in variable}


def test_required_fields_of_a_ray_cluster(ray_cluster: dict[str, Any], groups: list[dict[str, Any]]) -> None:
    assert ray_cluster["apiVersion"] == "ray.io/v1"
    assert set(ray_cluster["spec"]) <= RAY_CLUSTER_FIELDS
    for group in groups:
        assert {"rayStartParams", "template"} <= set(group)
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        assert group["template"]["spec"]["restartPolicy"] == "Never"  # autoscaler v2
    for group in groups[1:]:
        assert {"groupName", "minReplicas", "maxReplicas"} <= set(group)


def test_workers_come_and_go_on_spot_nodes_and_head_trains_nothing(
    ray_cluster: dict[str, Any], groups: list[dict[str, Any]]
) -> None:
    head, *workers = groups
    assert ray_cluster["spec"]["enableInTreeAutoscaling"] is True
    assert ray_cluster["spec"]["autoscalerOptions"]["idleTimeoutSeconds"] <= 600
    assert head["rayStartParams"]["num-cpus"] == "0"
    for worker in workers:
        assert worker["minReplicas"] == worker["replicas"] == 0 < worker["maxReplicas"]
        assert worker["template"]["spec"]["nodeSelector"] == {"eks.amazonaws.com/capacityType": "SPOT"}
    gpus = [
        worker["template"]["spec"]["containers"][0]["resources"]["limits"].get("nvidia.com/gpu") for worker in workers
    ]
    assert gpus == ["1", None]


def test_every_ray_process_has_the_token_and_no_telemetry(
    ray_cluster: dict[str, Any], groups: list[dict[str, Any]]
) -> None:
    for group in groups:
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        environment = plain(container["env"])
        assert TOKEN.items() <= environment.items()
        assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        (token,) = [volume["secret"] for volume in spec["volumes"] if volume["name"] == "token"]
        assert f"{mounts['token']}/{token['items'][0]['path']}" == TOKEN["RAY_AUTH_TOKEN_PATH"]
    autoscaler = ray_cluster["spec"]["autoscalerOptions"]
    assert plain(autoscaler["env"]) == TOKEN
    assert autoscaler["volumeMounts"][0]["mountPath"] == "/ray-token"


def test_no_secret_is_in_the_manifest(manifest: list[dict[str, Any]], pods: list[dict[str, Any]]) -> None:
    assert not [document for document in manifest if document["kind"] == "Secret"]
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for name in plain(container["env"]):
                assert not name.endswith(("PASSWORD", "TOKEN", "SECRET", "KEY")), name


def test_workers_have_no_secret_but_the_token_and_an_account_of_their_own(
    manifest: list[dict[str, Any]], groups: list[dict[str, Any]]
) -> None:
    head, *workers = (group["template"]["spec"] for group in groups)
    for worker in workers:
        (container,) = worker["containers"]
        assert all("valueFrom" not in variable for variable in container["env"])
        assert not [variable for variable in container["env"] if variable["name"].startswith("MLFLOW_TRACKING")]
        secrets = [volume["secret"]["items"] for volume in worker["volumes"] if "secret" in volume]
        assert secrets == [[{"key": "ray_token", "path": "ray_token"}]]
        assert worker["serviceAccountName"] == "unmask-worker"
        assert worker["automountServiceAccountToken"] is False
    (container,) = head["containers"]
    named = {variable["name"]: variable for variable in container["env"]}
    assert named["MLFLOW_TRACKING_USERNAME"]["value"] == "job"
    assert named["MLFLOW_TRACKING_PASSWORD"]["valueFrom"]["secretKeyRef"]["key"] == "mlflow_job_password"
    assert head["serviceAccountName"] == "unmask-head"
    accounts = {d["metadata"]["name"]: d for d in manifest if d["kind"] == "ServiceAccount"}
    assert set(accounts) == {"unmask-head", "unmask-worker", "unmask-mlflow"}
    roles = {name: account["metadata"].get("annotations", {}) for name, account in accounts.items()}
    assert roles.pop("unmask-worker") == {}, "workers get keys of their trials from drivers"
    for name, given in roles.items():
        assert given["eks.amazonaws.com/role-arn"].endswith(f":role/{name}")
    assert named["UNMASK_WORKER_ROLE"]["value"].endswith(":role/unmask-trial")


def test_only_the_clusters_pods_reach_each_other(manifest: list[dict[str, Any]], pods: list[dict[str, Any]]) -> None:
    (policy,) = [document["spec"] for document in manifest if document["kind"] == "NetworkPolicy"]
    label = {"app.kubernetes.io/part-of": "unmask"}
    assert policy["podSelector"] == {"matchLabels": label}
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [{"from": [{"podSelector": {"matchLabels": label}}]}]
    assert all(label.items() <= pod["metadata"]["labels"].items() for pod in pods)
    assert all(d["spec"].get("type", "ClusterIP") == "ClusterIP" for d in manifest if d["kind"] == "Service")


def test_no_pod_is_root_or_can_become_it(pods: list[dict[str, Any]]) -> None:
    for pod in pods:
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }


def test_services_select_the_pods_they_are_named_after(manifest: list[dict[str, Any]]) -> None:
    labels = [
        document["spec"]["template"]["metadata"]["labels"]
        for document in manifest
        if document["kind"] in ("Deployment", "StatefulSet")
    ]
    for service in (document for document in manifest if document["kind"] == "Service"):
        assert len([found for found in labels if service["spec"]["selector"].items() <= found.items()]) == 1
