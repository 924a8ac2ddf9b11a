"""Data sets from a bucket are fetched once per machine and verified, or rejected."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from core.config import DataOptions
from core.data.load import check_files, download_files, load_dataset
from core.storage import s3
from tests.servers import ObjectStore
from tests.servers.proxy import DAMAGE_ANSWER, PASS, TRUNCATE_ANSWER, proxy

pytestmark = pytest.mark.server
CIFAR = DataOptions(dataset="cifar10", validation_images=50)
BATCH = "cifar-10-batches-py/data_batch_1"


class Data:
    """The data sets of a bucket and their copy on this machine."""

    def __init__(self, server: ObjectStore, cache: Path) -> None:
        self.server, self.cache, self.bucket = server, cache, server.make_bucket()
        self.uri = f"s3://{self.bucket}/data"

    def upload(self, folder: Path) -> None:
        """Upload every file of ``folder``, by its path relative to the parent folder."""
        for file in folder.rglob("*"):
            if file.is_file():
                self.put(file.relative_to(folder.parent).as_posix(), file.read_bytes())

    def put(self, name: str, content: bytes) -> None:
        self.server.client().put_object(Bucket=self.bucket, Key=f"data/{name}", Body=content)

    @property
    def kept(self) -> list[str]:
        """Files and folders of the local copies, by their paths inside the copy."""
        return sorted(
            {path.relative_to(copy).as_posix() for copy in self.cache.glob("*-*/") for path in copy.rglob("*")}
        )


@pytest.fixture
def data(object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Data]:
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    s3._client.cache_clear()
    yield Data(object_store, tmp_path / "cache")
    s3._client.cache_clear()


@pytest.mark.filterwarnings("ignore:not the published files")
def test_images_from_a_bucket_are_those_of_the_folder(data: Data, cifar_dir: Path) -> None:
    data.upload(cifar_dir / "cifar-10-batches-py")
    check_files(CIFAR, data.uri)
    here, there = load_dataset(CIFAR, cifar_dir), load_dataset(CIFAR, data.uri)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(here, part).images, getattr(there, part).images)
        assert torch.equal(getattr(here, part).labels, getattr(there, part).labels)


def test_processes_that_start_together_fetch_every_file_once(data: Data, cifar_dir: Path) -> None:
    data.upload(cifar_dir / "cifar-10-batches-py")
    fetched: list[str] = []

    def count(method: str, path: str) -> str:
        if method == "GET" and "batch" in path:
            fetched.append(path.rpartition("/")[2])
            time.sleep(0.2)  # This takes long enough for the others to request it, too.
        return PASS

    code = (
        "import sys; from core.data.staging import staged; print('ready', flush=True); sys.stdin.readline(); "
        "staged(sys.argv[1], 'x', dict.fromkeys(sys.argv[2:], ''))"
    )
    names = [f"cifar-10-batches-py/{name}" for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")]
    with proxy(data.server, count) as endpoint:
        command = [sys.executable, "-c", code, f"{data.uri}?endpoint={endpoint}", *names]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            process.communicate(timeout=60)
        assert [process.returncode for process in processes] == [0, 0, 0]
    assert all((cifar_dir / name).read_bytes() == next(data.cache.glob(f"*/{name}")).read_bytes() for name in names)
    assert sorted(fetched) == [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


@pytest.mark.parametrize("fault", [TRUNCATE_ANSWER, DAMAGE_ANSWER])
def test_a_truncated_or_damaged_download_is_fetched_again(data: Data, cifar_dir: Path, fault: str) -> None:
    data.upload(cifar_dir / "cifar-10-batches-py")
    faults = [fault, fault]

    def twice(method: str, path: str) -> str:
        return faults.pop() if method == "GET" and path.endswith(BATCH) and faults else PASS

    with proxy(data.server, twice) as endpoint:
        assert len(load_dataset(CIFAR, f"{data.uri}?endpoint={endpoint}").train) == 150
    assert not faults


def test_what_never_has_its_checksum_is_refused_and_never_used(data: Data, cifar_dir: Path) -> None:
    data.upload(cifar_dir / "cifar-10-batches-py")
    data.put("SHA256SUMS", f"{'0' * 64}  {BATCH}\n".encode())
    with pytest.raises(ValueError, match=rf"{BATCH} from s3://.* does not have its sha256 0+ after 3 downloads"):
        load_dataset(CIFAR, data.uri)
    assert BATCH not in data.kept
    assert ".complete" not in data.kept
    content = (cifar_dir / BATCH).read_bytes()
    data.put("SHA256SUMS", f"{hashlib.sha256(content).hexdigest()} *./{BATCH}\n".encode())
    assert len(load_dataset(CIFAR, data.uri).train) == 150


def test_changed_content_is_another_copy(data: Data, cifar_dir: Path) -> None:
    data.upload(cifar_dir / "cifar-10-batches-py")
    before = load_dataset(CIFAR, data.uri)
    content = bytearray((cifar_dir / BATCH).read_bytes())
    content[-40_000] ^= 255
    data.put(BATCH, bytes(content))
    after = load_dataset(CIFAR, data.uri)
    assert not torch.equal(
        torch.cat([before.train.images, before.validation.images]),
        torch.cat([after.train.images, after.validation.images]),
    )


def test_what_is_missing_is_named(data: Data) -> None:
    with pytest.raises(ValueError, match=r"dataset cifar10 needs cifar-10-batches-py/\w+ in s3://.*, not found"):
        check_files(CIFAR, data.uri)
    with pytest.raises(ValueError, match="--download is impossible into --data-dir s3://"):
        download_files(CIFAR, data.uri)


def test_a_file_of_unknown_checksum_is_refused(data: Data, tiny_zip: Path) -> None:
    client = data.server.client()
    key = {"Bucket": data.bucket, "Key": "data/tiny-imagenet-200.zip"}
    upload = client.create_multipart_upload(**key)["UploadId"]
    part = client.upload_part(**key, UploadId=upload, PartNumber=1, Body=tiny_zip.read_bytes())
    client.complete_multipart_upload(
        **key, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    options = DataOptions(dataset="tiny-imagenet-200", validation_images=200)
    with pytest.raises(ValueError, match=r"tiny-imagenet-200.zip in .* has no checksum; put a SHA256SUMS"):
        check_files(options, data.uri)
    data.put("SHA256SUMS", f"{hashlib.sha256(tiny_zip.read_bytes()).hexdigest()}  tiny-imagenet-200.zip\n".encode())
    check_files(options, data.uri)


def test_tiny_imagenet_comes_as_its_zip_file(data: Data, tiny_zip: Path, tiny_imagenet_dir: Path) -> None:
    data.put("tiny-imagenet-200.zip", tiny_zip.read_bytes())
    options = DataOptions(dataset="tiny-imagenet-200", validation_images=200)
    there, here = load_dataset(options, data.uri), load_dataset(options, tiny_imagenet_dir)
    assert torch.equal(there.test.images, here.test.images)
    assert not [name for name in data.kept if name.endswith(".zip") or name.startswith(".unpacked")]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_full_disk_is_named_and_leaves_no_half_file(data: Data, cifar_dir: Path) -> None:
    data.upload(cifar_dir / "cifar-10-batches-py")
    data.cache.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(data.cache)], check=True)
    try:
        with pytest.raises(ValueError, match=r"cannot write it: the disk is full"):
            load_dataset(CIFAR, data.uri)
        kept = [file for file in data.cache.rglob("*batch*") if file.is_file()]
        assert kept
        assert all(file.read_bytes() == (cifar_dir / file.parent.name / file.name).read_bytes() for file in kept)
    finally:
        subprocess.run(["umount", "-l", str(data.cache)], check=True)


@pytest.fixture
def tiny_zip(tiny_imagenet_dir: Path, tmp_path: Path) -> Path:
    """An archive with the structure of the published one: one folder with JPEG files."""
    path = tmp_path / "tiny-imagenet-200.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in (tiny_imagenet_dir / "tiny-imagenet-200").rglob("*"):
            if file.suffix not in (".npy", ".lock"):
                archive.write(file, file.relative_to(tiny_imagenet_dir))
    return path
