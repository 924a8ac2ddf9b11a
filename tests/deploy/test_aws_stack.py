"""Permissions of the nodes on AWS, and access to the bucket."""

from __future__ import annotations

from typing import Any

from core.storage.role import SESSION_S

AUTOSCALER_CALLS = {
    # Calls of Ray's AWSNodeProvider for spot workers. Its source has no other call on this path.
    *("ec2:DescribeInstances", "ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances"),
    # Permissions that EC2 requires to start a machine with a role, from the image of a public parameter.
    *("iam:PassRole", "ssm:GetParameters"),
}


def statements(*documents: dict[str, Any]) -> list[dict[str, Any]]:
    return [statement for document in documents for statement in document["Statement"]]


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def head_policy(stack: dict[str, Any]) -> dict[str, dict[str, Any]]:
    policies = {
        policy["PolicyName"]: policy["PolicyDocument"] for policy in stack["HeadRole"]["Properties"]["Policies"]
    }
    assert policies.keys() == {"autoscaler", "keys-of-trials"}
    return {statement["Sid"]: statement for statement in statements(policies["autoscaler"])}


def storage_statements(stack: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    return statements(*(stack[name]["Properties"]["PolicyDocument"] for name in names))


def test_each_role_has_the_storage_of_its_tasks_and_machines_of_workers_have_no_rights(stack: dict[str, Any]) -> None:
    # tests/deploy/test_trial_keys.py has a real server limit the rights of TrialRole to one trial.
    assert stack["WorkerRole"]["Properties"].keys() == {"RoleName", "AssumeRolePolicyDocument"}
    trial = stack["TrialRole"]["Properties"]
    assert trial["ManagedPolicyArns"] == ["${WorkerStorage}"]
    assert "Policies" not in trial
    assert stack["HeadRole"]["Properties"]["ManagedPolicyArns"] == ["${DriverStorage}", "${TrackingStorage}"]


def test_the_head_alone_may_assume_the_role_of_trials(stack: dict[str, Any]) -> None:
    trial = stack["TrialRole"]["Properties"]
    (trust,) = trial["AssumeRolePolicyDocument"]["Statement"]
    assert trust == {"Effect": "Allow", "Principal": {"AWS": "${HeadRole.Arn}"}, "Action": "sts:AssumeRole"}
    (keys,) = [p for p in stack["HeadRole"]["Properties"]["Policies"] if p["PolicyName"] == "keys-of-trials"]
    (right,) = keys["PolicyDocument"]["Statement"]
    assert (right["Effect"], right["Action"]) == ("Allow", "sts:AssumeRole")
    # A reference to TrialRole, which refers to HeadRole, would be a circle, which CloudFormation refuses.
    assert right["Resource"] == f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{trial['RoleName']}"
    assert trial.get("MaxSessionDuration", 3600) >= SESSION_S


def test_no_role_may_do_more_to_the_bucket_than_use_its_objects(stack: dict[str, Any]) -> None:
    # tests/deploy/test_storage_rights.py has a real server interpret the policies.
    for statement in storage_statements(stack, "WorkerStorage", "DriverStorage", "TrackingStorage"):
        if statement["Effect"] == "Deny":
            continue
        actions = set(listed(statement["Action"]))
        assert actions <= {"s3:ListBucket", "s3:GetBucketLocation"} or actions <= {
            *("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
            *("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
        }
        whole = "s3:ListBucket" in actions
        assert all((resource == "${Bucket.Arn}") == whole for resource in listed(statement["Resource"]))
        assert "${Bucket.Arn}/*" not in listed(statement["Resource"])


def test_head_may_do_what_the_autoscaler_calls(stack: dict[str, Any]) -> None:
    granted = {action for statement in head_policy(stack).values() for action in listed(statement["Action"])}
    assert granted == AUTOSCALER_CALLS


def test_only_looking_at_machines_is_unlimited(stack: dict[str, Any]) -> None:
    unlimited = [sid for sid, statement in head_policy(stack).items() if "*" in listed(statement["Resource"])]
    assert unlimited == ["SeeMachines"]
    assert listed(head_policy(stack)["SeeMachines"]["Action"]) == ["ec2:DescribeInstances"]


def test_head_starts_only_spot_machines_of_the_clusters_types(stack: dict[str, Any], cluster: dict[str, Any]) -> None:
    start = head_policy(stack)["StartSpotWorkers"]
    workers = {t for t in cluster["available_node_types"] if t != cluster["head_node_type"]}
    condition = start["Condition"]["StringEquals"]
    assert set(condition["ec2:InstanceType"]) == workers
    assert condition["ec2:InstanceMarketType"] == "spot"
    assert condition["aws:RequestTag/ray-cluster-name"] == cluster["cluster_name"]
    assert start["Resource"].endswith(":instance/*")
    assert not [r for r in head_policy(stack)["WithTheirParts"]["Resource"] if r.endswith(":instance/*")]


def test_head_ends_only_its_own_machines(stack: dict[str, Any], cluster: dict[str, Any]) -> None:
    end = [s for s in head_policy(stack).values() if "ec2:TerminateInstances" in listed(s["Action"])]
    (own,) = end
    assert own["Condition"] == {"StringEquals": {"aws:ResourceTag/ray-cluster-name": cluster["cluster_name"]}}


def test_head_gives_machines_the_workers_role_only(stack: dict[str, Any]) -> None:
    passed = head_policy(stack)["GiveWorkersTheirRoleOnly"]
    assert passed["Resource"] == "${WorkerRole.Arn}"
    assert passed["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}


def test_profiles_are_those_of_the_cluster_file(stack: dict[str, Any], cluster: dict[str, Any]) -> None:
    made = {
        stack[name]["Properties"]["InstanceProfileName"]: stack[name]["Properties"]["Roles"]
        for name in ("HeadProfile", "WorkerProfile")
    }
    assert made == {"unmask-head": ["${HeadRole}"], "unmask-worker": ["${WorkerRole}"]}
    used = {node["node_config"]["IamInstanceProfile"]["Name"] for node in cluster["available_node_types"].values()}
    assert used == set(made)


def test_image_parameters_of_the_cluster_file_can_be_read(stack: dict[str, Any], cluster: dict[str, Any]) -> None:
    readable = [r.partition(":parameter")[2].rstrip("*") for r in head_policy(stack)["ReadPublicImageIds"]["Resource"]]
    for node in cluster["available_node_types"].values():
        parameter = node["node_config"]["ImageId"].removeprefix("resolve:ssm:")
        assert any(parameter.startswith(prefix) for prefix in readable), parameter


def test_bucket_is_private_encrypted_and_outlives_the_stack(stack: dict[str, Any]) -> None:
    bucket = stack["Bucket"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["Properties"]["PublicAccessBlockConfiguration"]) == 4
    assert bucket["Properties"]["BucketEncryption"]
    (deny,) = statements(stack["BucketPolicy"]["Properties"]["PolicyDocument"])
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
