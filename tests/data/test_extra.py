"""Files of extra pseudo-labelled images: their formats, their checks, and their place in the batches."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.config import Cell, ProtocolOptions, SeededCell, Shape, Sweep
from core.data.extra import read_extra, with_extra, with_extra_checksums
from core.data.image_set import ImageSet
from core.data.load import load_dataset
from core.engine.batches import iterate_epoch
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.methods import Batch
from tests import tiny

SHAPE = Shape(10, 3, 8)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
LABELS = RNG.integers(0, 10, 20)


def save(path: Path, images: Any = IMAGES, labels: Any = LABELS, **more: Any) -> Path:
    """A file in the format of its ending, as its authors write it."""
    if path.suffix == ".npz":
        np.savez(path, image=images, label=labels, **more)
    else:
        path.write_bytes(pickle.dumps({"data": images, "extrapolated_targets": labels, **more}))
    return path


@pytest.mark.parametrize("name", ["generated.npz", "ti_500K_pseudo_labeled.pickle"])
def test_published_formats_are_read(tmp_path: Path, name: str) -> None:
    more = {"prediction_model": "x", "epoch": np.int64(3)} if name.endswith("pickle") else {}
    found = read_extra(save(tmp_path / name, **more), SHAPE)
    assert (found.images.dtype, found.labels.dtype) == (torch.uint8, torch.int64)
    assert torch.equal(found.images, torch.from_numpy(IMAGES).permute(0, 3, 1, 2))
    assert found.labels.tolist() == LABELS.tolist()
    for protocol in range(2, 6):
        content = {"data": IMAGES, "extrapolated_targets": LABELS.tolist()}
        (tmp_path / "p.pickle").write_bytes(pickle.dumps(content, protocol))
        assert torch.equal(read_extra(tmp_path / "p.pickle", SHAPE).images, found.images)


def test_grey_images_need_no_channel(tmp_path: Path) -> None:
    path = save(tmp_path / "grey.npz", IMAGES[..., 0])
    assert read_extra(path, Shape(10, 1, 8)).images.shape == (20, 1, 8, 8)


class Evil:
    def __reduce__(self) -> Any:
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": IMAGES.astype(np.float32)}, r"images are float32 \(20, 8, 8, 3\), not uint8 \(20, 8, 8, 3\)"),
        ({"images": IMAGES.transpose(0, 3, 1, 2)}, r"images are uint8 \(20, 3, 8, 8\), not uint8 \(20, 8, 8, 3\)"),
        ({"images": IMAGES[:, :4]}, r"images are uint8 \(20, 4, 8, 3\)"),
        ({"images": IMAGES[:19]}, r"not uint8 \(20, 8, 8, 3\) for its 20 labels"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "for its 0 labels"),
        ({"labels": LABELS + 1}, "labels are 1 to 10; allowed are 0 to 9"),
        ({"labels": LABELS - 1}, "labels are -1 to"),
        ({"labels": LABELS + 0.5}, "not a list of whole numbers"),
        ({"labels": LABELS[:, None]}, r"labels are int64 \(20, 1\), not a list"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    for name in ("file.npz", "file.pickle"):
        with pytest.raises(ValueError, match=message) as caught:
            read_extra(save(tmp_path / name, **content), SHAPE)
        assert str(caught.value).startswith(f"--extra-data {tmp_path / name}")
        assert "\n" not in str(caught.value)


def test_a_damaged_file_is_refused_and_a_pickle_runs_no_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("file.npz", "file.pickle"):
        path = save(tmp_path / name)
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(ValueError, match="is damaged or in another format"):
            read_extra(path, SHAPE)
    np.savez(tmp_path / "other.npz", x=IMAGES, y=LABELS)
    with pytest.raises(ValueError, match="it has x, y, and not image and label"):
        read_extra(tmp_path / "other.npz", SHAPE)
    with pytest.raises(ValueError, match=r"it contains builtins\.print, which is no array"):
        read_extra(save(tmp_path / "evil.pickle", more=Evil()), SHAPE)
    assert capsys.readouterr().out == ""


def cell_of(**options: Any) -> Cell:
    return Cell.from_flat({**tiny.CELL, "extra_data": "more.npz", **options})


def sweep_of(*cells: Cell) -> Sweep:
    entries = tuple(SeededCell(cell=cell, seeds=1) for cell in cells)
    return Sweep(name="extra", preset="none", entries=entries, protocol=ProtocolOptions())


def test_a_cell_is_named_by_the_content_of_its_file(tmp_path: Path) -> None:
    images, labels = IMAGES[..., :1], LABELS % 5
    save(tmp_path / "more.npz", images, labels)
    (entry,) = with_extra_checksums(sweep_of(cell_of()), tmp_path).entries
    content = hashlib.sha256((tmp_path / "more.npz").read_bytes()).hexdigest()
    assert entry.cell.data.extra_sha256 == content
    (tmp_path / "more.npz").rename(tmp_path / "same.npz")
    again = with_extra_checksums(sweep_of(cell_of(extra_data="same.npz", extra_sha256=content)), tmp_path)
    assert again.entries[0].cell.id == entry.cell.id
    save(tmp_path / "more.npz", 255 - images, labels)
    (other,) = with_extra_checksums(sweep_of(cell_of()), tmp_path).entries
    assert len({entry.cell.id, other.cell.id, Cell.from_flat(tiny.CELL).id}) == 3
    dataset = load_dataset(other.cell.data, tmp_path)
    found = with_extra(dataset, other.cell.data, tmp_path)
    assert torch.equal(found.train.images, dataset.train.images)
    assert found.train.extra is not None
    assert torch.equal(found.train.extra.images[:, 0], torch.from_numpy(255 - images[..., 0]))
    with pytest.raises(ValueError, match=rf"--extra-data .*more.npz has another SHA-256 than {content}"):
        with_extra(dataset, entry.cell.data, tmp_path)
    with pytest.raises(ValueError, match="has another SHA-256 than"):
        with_extra_checksums(sweep_of(entry.cell), tmp_path)
    with pytest.raises(
        ValueError, match=r"--extra-data none.npz: .*none.npz is not found; put the file into --data-dir"
    ):
        with_extra_checksums(sweep_of(cell_of(extra_data="none.npz")), tmp_path)
    with pytest.raises(ValueError, match=r"labels are .* to .*; allowed are 0 to 1"):
        with_extra_checksums(sweep_of(cell_of(), cell_of(classes=2)), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extra_data": None, "extra_share": 0.3}, "extra_share 0.3 has no effect without extra_data"),
        ({"extra_data": None, "extra_sha256": "0" * 64}, "extra_sha256 0+ has no effect without extra_data"),
        ({"extra_data": "../more.npz"}, r"extra_data ../more.npz must be the name of a .npz or .pickle file"),
        ({"extra_data": "more.zip"}, "must be the name of a .npz or .pickle file in --data-dir"),
        ({"extra_share": 1}, "less than 1"),
        ({"extra_share": 0.01}, "extra_share 0.01 gives 0 extra images to a batch of 16; allowed: 1 to 15"),
        ({"extra_share": 0.99}, "gives 16 extra images to a batch of 16"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cell_of(**options)


def numbered(n: int, first: int) -> ImageSet:
    """Images that hold their own number, which is also their label."""
    numbers = torch.arange(first, first + n)
    return ImageSet(numbers.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous(), numbers)


@pytest.fixture
def batches() -> Callable[..., list[Batch]]:
    """A function that returns the batches of an epoch with labelled images 0 to 60 and extra ones from 100 on."""

    def make(epoch: int = 1, seed: int = 0, ranks: Ranks | None = None, extra: int = 40, **options: Any) -> list[Batch]:
        train = numbered(61, 0)
        train = ImageSet(train.images, train.labels, numbered(extra, 100) if extra else None)
        streams = Streams.spawn(seed, {})
        cell = cell_of(**options)
        return list(iterate_epoch(train, cell, lambda x, y, rng: {}, streams, ranks or Ranks(), epoch, 0))

    return make


def test_every_batch_has_its_share_and_an_epoch_each_labelled_image_once(batches: Callable[..., list[Batch]]) -> None:
    """The last batch has 5, 1 and 1 labelled images, and extra ones in proportion."""
    for share, whole, last in ((0.5, 8, 5), (0.25, 4, 0), (0.7, 11, 2)):
        found = batches(extra_share=share)
        counts = [int((batch.y >= 100).sum()) for batch in found]
        own = torch.cat([batch.y[batch.y < 100] for batch in found])
        assert sorted(own.tolist()) == list(range(61))
        assert [len(batch.y) for batch in found[:-1]] == [16] * (len(found) - 1)
        assert counts[:-1] == [whole] * (len(found) - 1)
        assert counts[-1] == last
        for batch in found:
            assert torch.equal((batch.x[:, 0, 0, 0] * 255).round().long(), batch.y)
            assert batch.size == len(batch.y)


def test_extra_images_are_not_repeated_before_all_were_used(batches: Callable[..., list[Batch]]) -> None:
    for extra in (100, 20):
        used = torch.cat([batch.y[batch.y >= 100] for batch in batches(extra=extra)])
        counts = torch.bincount(used - 100, minlength=extra)
        assert len(used) == 7 * 8 + 5
        assert counts.max() - counts.min() <= 1


def test_the_order_is_of_the_order_stream_and_epoch(batches: Callable[..., list[Batch]]) -> None:
    def labels(**how: Any) -> list[int]:
        return torch.cat([batch.y for batch in batches(**how)]).tolist()

    assert labels() == labels()
    assert labels() != labels(epoch=2)
    assert labels() != labels(seed=1)
    mixed = torch.cat([batch.y >= 100 for batch in batches()][:7]).view(7, 16).double()
    assert 0 < mixed[:, :8].mean() < 1


def test_labelled_images_come_in_the_order_of_the_same_seed_without_extra_ones(
    batches: Callable[..., list[Batch]],
) -> None:
    with_them = [sorted(batch.y[batch.y < 100].tolist()) for batch in batches()]
    alone = batches(extra=0, extra_data=None, batch_size=8)
    assert with_them == [sorted(batch.y.tolist()) for batch in alone]


def test_ranks_share_the_batches_of_one_worker(batches: Callable[..., list[Batch]]) -> None:
    alone = batches()
    parts = [batches(ranks=Ranks(rank, 3)) for rank in range(3)]
    for whole, *slices in zip(alone, *parts, strict=True):
        assert torch.equal(torch.cat([part.y for part in slices]), whole.y)
        assert torch.equal(torch.cat([part.x for part in slices]), whole.x)
