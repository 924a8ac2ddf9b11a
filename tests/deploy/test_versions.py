"""One set of versions everywhere: the project's bounds, the nodes' pins, the manifest, the Ray installed here."""

from __future__ import annotations

import re
from typing import Any

import ray
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.deploy.conftest import DEPLOY


def pins() -> dict[str, Version]:
    lines = [line for line in (DEPLOY / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    requirements = [Requirement(line) for line in lines]
    assert all(str(requirement.specifier).startswith("==") for requirement in requirements)
    return {canonicalize_name(r.name): Version(str(r.specifier)[2:]) for r in requirements}


def test_every_package_of_a_node_is_pinned_within_the_projects_bounds(project: dict[str, Any]) -> None:
    pinned = pins()
    for text in project["dependencies"] + project["optional-dependencies"]["cluster"]:
        requirement = Requirement(text)
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_nodes_have_the_ray_that_the_cluster_file_was_validated_with() -> None:
    assert pins()["ray"] == Version(ray.__version__)


def test_kubernetes_has_the_same_ray_and_this_project(manifest: list[dict[str, Any]], project: dict[str, Any]) -> None:
    (ray_cluster,) = [document for document in manifest if document["kind"] == "RayCluster"]
    assert Version(ray_cluster["spec"]["rayVersion"]) == pins()["ray"]
    images = set(re.findall(r"REGISTRY/unmask:\S+", (DEPLOY / "kuberay.yaml").read_text()))
    assert images == {f"REGISTRY/unmask:{project['version']}"}


def test_nodes_and_image_install_under_the_pins() -> None:
    for name in ("node-setup.sh", "Dockerfile"):
        (install,) = [line for line in (DEPLOY / name).read_text().splitlines() if "pip install" in line]
        assert "constraints.txt" in install
        assert "[cluster]" in install
