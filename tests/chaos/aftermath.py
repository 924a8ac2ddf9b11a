"""The results of a run under faults, collected while the servers still answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.chaos import Blow, Chaos
from tests.chaos.forgery import Forgery
from tests.chaos.leftovers import leftovers
from tests.chaos.reference import Record, Reference
from tests.chaos.site import Site
from tests.chaos.supervisor import DriverEnd
from tests.chaos.sweeps import SweepCommand

RUNS = """
select json_build_object('id', r.run_uuid, 'status', r.status, 'tags',
    (select json_object_agg(t.key, t.value) from tags t where t.run_uuid = r.run_uuid))
from runs r where r.lifecycle_stage = 'active'
"""
METRICS = """
select json_build_array(run_uuid, key, step, is_nan, value) from metrics join runs using (run_uuid)
where lifecycle_stage = 'active'
"""


@dataclass(frozen=True)
class Run:
    """An MLflow run, read from the database.

    Attributes:
        metrics: all logged values by metric and step; None for NaN.
    """

    status: str
    tags: dict[str, str]
    metrics: dict[tuple[str, int], list[float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class SweepAftermath:
    """The results of one sweep.

    Attributes:
        expected: records of the same trials without faults, by key.
        records: records in the storage, by key.
        versions: all versions of the records in the storage, by key, oldest first.
        parents: MLflow runs of the sweep.
        children: MLflow runs of its trials.
    """

    expected: dict[str, Record]
    records: dict[str, Record]
    versions: dict[str, list[Record]]
    parents: list[Run]
    children: list[Run]


@dataclass(frozen=True)
class Aftermath:
    """The results of both sweeps.

    Attributes:
        printed: the output of all drivers.
        leftovers: leftovers by kind.
        versions: hashes of all versions of the code that were in use.
    """

    planned: int
    blows: list[Blow]
    drivers: list[DriverEnd]
    printed: str
    sweeps: dict[str, SweepAftermath]
    leftovers: dict[str, list[str]]
    forgeries: list[Forgery]
    versions: list[str]


def gather(site: Site, chaos: Chaos, reference: Reference) -> Aftermath:
    """Read the storage, MLflow's database and the hosts."""
    left = leftovers(site)
    runs = _runs(site)
    sweeps = {
        sweep.name: _of_sweep(site, sweep, runs, reference.records(sweep, seeds))
        for sweep, seeds in chaos.supervisor.seeds.items()
    }
    return Aftermath(
        planned=chaos.planned,
        blows=chaos.blows,
        drivers=chaos.supervisor.ends,
        printed=site.log.read_text(),
        sweeps=sweeps,
        leftovers=left,
        forgeries=site.forgeries,
        versions=site.versions,
    )


def _of_sweep(site: Site, sweep: SweepCommand, runs: list[Run], expected: dict[str, Record]) -> SweepAftermath:
    client = site.store.client()
    pages = client.get_paginator("list_object_versions").paginate(Bucket=site.bucket, Prefix=f"results/{sweep.name}/")
    stored = [v for page in pages for v in page.get("Versions", ()) if v["Key"].endswith("/record.json")]
    versions: dict[str, list[Record]] = {}
    records: dict[str, Record] = {}
    genuine = [version for version in stored if version["VersionId"] not in site.forged_versions]
    for version in sorted(genuine, key=lambda v: v["LastModified"]):
        body = client.get_object(Bucket=site.bucket, Key=version["Key"], VersionId=version["VersionId"])["Body"]
        key, record = version["Key"].split("/")[-2], json.loads(body.read())
        versions.setdefault(key, []).append(record)
        if version["IsLatest"]:
            records[key] = record
    mine = [run for run in runs if run.tags["sweep"] == sweep.name]
    parents, children = ([run for run in mine if run.tags["role"] == role] for role in ("sweep", "trial"))
    return SweepAftermath(expected, records, versions, parents, children)


def _runs(site: Site) -> list[Run]:
    found: dict[str, Run] = {}
    for row in map(json.loads, site.database.query("mlflow", RUNS).splitlines()):
        found[row["id"]] = Run(row["status"], row["tags"])
    for run, name, step, is_nan, value in map(json.loads, site.database.query("mlflow", METRICS).splitlines()):
        values: list[Any] = found[run].metrics.setdefault((name, step), [])
        values.append(None if is_nan else value)
    return list(found.values())
