"""Small data sets on disk, in the formats that their authors publish."""

from __future__ import annotations

import pickle
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

WNIDS = [f"n{number:08d}" for number in range(200)]


def python2_pickle(data: np.ndarray, labels: list[int], key: str) -> bytes:
    """``{"data": data, key: labels}`` in the pickle format of Python 2 and an old numpy, like published CIFAR files."""

    def text(value: bytes) -> bytes:
        return pickle.SHORT_BINSTRING + bytes([len(value)]) + value

    def number(value: int) -> bytes:
        return pickle.BININT + struct.pack("<i", value)

    def name(module: str, attribute: str) -> bytes:
        return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()

    empty = name("numpy.core.multiarray", "_reconstruct") + name("numpy", "ndarray") + number(0) + pickle.TUPLE1
    empty += text(b"b") + pickle.TUPLE3 + pickle.REDUCE
    dtype = name("numpy", "dtype") + text(b"u1") + number(0) + number(1) + pickle.TUPLE3 + pickle.REDUCE
    dtype += pickle.MARK + number(3) + text(b"|") + 3 * pickle.NONE + number(-1) + number(-1) + number(0)
    dtype += pickle.TUPLE + pickle.BUILD
    raw = data.tobytes()
    state = pickle.MARK + number(1) + number(data.shape[0]) + number(data.shape[1]) + pickle.TUPLE2 + dtype
    state += pickle.NEWFALSE + pickle.BINSTRING + struct.pack("<i", len(raw)) + raw + pickle.TUPLE
    array = empty + state + pickle.BUILD
    listed = pickle.EMPTY_LIST + pickle.MARK + b"".join(map(number, labels)) + pickle.APPENDS
    items = text(b"data") + array + text(key.encode()) + listed
    return pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS + pickle.STOP


def write_cifar(folder: Path, sizes: dict[str, int], classes: int, key: str, meta: str, names: str) -> None:
    folder.mkdir()
    random = np.random.default_rng(classes)
    for file_name, n in sizes.items():
        data = random.integers(0, 256, (n, 3072), dtype=np.uint8)
        (folder / file_name).write_bytes(python2_pickle(data, [i % classes for i in range(n)], key))
    (folder / meta).write_bytes(pickle.dumps({names: [str(i) for i in range(classes)]}, protocol=2))


def write_cifars(folder: Path) -> None:
    sizes = {f"data_batch_{i}": 40 for i in range(1, 6)} | {"test_batch": 30}
    write_cifar(folder / "cifar-10-batches-py", sizes, 10, "labels", "batches.meta", "label_names")
    sizes = {"train": 300, "test": 100}
    write_cifar(folder / "cifar-100-python", sizes, 100, "fine_labels", "meta", "fine_label_names")


def write_svhns(folder: Path) -> None:
    write_svhn(folder / "train_32x32.mat", 300, seed=1)
    write_svhn(folder / "test_32x32.mat", 60, seed=2)


def write_svhn(path: Path, n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (32, 32, 3, n), dtype=np.uint8)
    labels = random.choice(np.arange(1, 11), n, p=np.arange(1, 11) / 55)
    savemat(path, {"X": images, "y": labels.astype(np.uint8)[:, None]}, do_compression=True)


def write_tiny_imagenet(root: Path, per_class: int) -> None:
    random = np.random.default_rng(0)

    def write_jpeg(path: Path, mode: str = "RGB") -> None:
        pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(path, "JPEG", quality=90)

    (root / "val" / "images").mkdir(parents=True)
    # The published list is not sorted either.
    (root / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in reversed(WNIDS)))
    lines = []
    for number, wnid in enumerate(WNIDS):
        folder = root / "train" / wnid / "images"
        folder.mkdir(parents=True)
        for index in range(per_class):
            write_jpeg(folder / f"{wnid}_{index}.JPEG", mode="L" if index == 1 else "RGB")
        write_jpeg(root / "val" / "images" / f"val_{number}.JPEG")
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(reversed(lines)))


@pytest.fixture
def cifar_dir(tmp_path: Path) -> Path:
    """CIFAR-10 with 5 x 40 training and 30 test images, CIFAR-100 with 300 and 100."""
    write_cifars(tmp_path)
    return tmp_path


@pytest.fixture
def svhn_dir(tmp_path: Path) -> Path:
    """SVHN with 300 training and 60 test images; class c (10 for digit 0) is drawn with weight c."""
    write_svhns(tmp_path)
    return tmp_path


@pytest.fixture
def tiny_imagenet_dir(tmp_path: Path) -> Path:
    """Tiny-ImageNet with 3 training images (one of them grey) and 1 validation image per class."""
    write_tiny_imagenet(tmp_path / "tiny-imagenet-200", per_class=3)
    return tmp_path


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All data sets in one folder, for tests that do not change it."""
    folder = tmp_path_factory.mktemp("data")
    write_cifars(folder)
    write_svhns(folder)
    write_tiny_imagenet(folder / "tiny-imagenet-200", per_class=3)
    return folder


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """A function that serves a folder over HTTP until the test ends, and returns the address."""
    servers: list[ThreadingHTTPServer] = []

    def start(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
