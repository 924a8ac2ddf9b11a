"""The results of a sweep in a bucket, read with the keys of the server's owner."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.servers import ObjectStore
from tests.without_ray import Record


@dataclass(frozen=True)
class BucketResults:
    """The results of the sweep ``name`` in a new bucket of a server."""

    server: ObjectStore
    bucket: str
    name: str

    @property
    def storage(self) -> str:
        """Value of ``--storage``."""
        return f"s3://{self.bucket}/results?endpoint={self.server.endpoint}&region={self.server.region}"

    def paths(self) -> list[str]:
        """The paths (S3's keys) of all objects of the bucket."""
        listed = self.server.client().list_objects_v2(Bucket=self.bucket)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def objects(self) -> dict[str, bytes]:
        """All objects of the sweep, by their paths in its folder."""
        client, folder = self.server.client(), f"results/{self.name}/"
        return {
            key.removeprefix(folder): client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            for key in self.paths()
            if key.startswith(folder)
        }

    def records(self) -> dict[str, Record]:
        """The stored records by key."""
        found = {name: content for name, content in self.objects().items() if name.endswith("/record.json")}
        return {name.split("/")[1]: json.loads(content) for name, content in found.items()}
