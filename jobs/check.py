"""Check one trained network of any origin: is its robustness an illusion?

    python jobs/check.py --weights my.pt --model my_module:build --dataset cifar10 --epsilon 8/255
    python jobs/check.py --weights scripted.pt --dataset cifar10 --epsilon 8/255        # TorchScript
    python jobs/check.py --robustbench Engstrom2019Robustness --dataset cifar10 --epsilon 8/255
    python jobs/check.py --weights results/quick/trials/KEY/selected.pt                 # a checkpoint of a sweep

The network gets images in [0, 1] and returns logits; put a normalisation into the network. Every attack sees the same
test images. The answer is one sentence with its numbers; the table says what they rest on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from core.check.first_bytes import require_weights
from core.check.options import CheckOptions, NetworkOptions
from core.command.exit_codes import DONE, run_job
from core.command.help_page import read_flags
from core.command.paths import can_be_file, is_file
from core.config import Cell, StorageOptions, explain, validated
from core.config.data import fixed_shape
from core.config.default_paths import data_root
from core.config.flags import Flag, FlagGroup, model_flags

if TYPE_CHECKING:
    from core.check.network import Network
    from core.probes import Landscape
    from core.records import ModelCheck

GROUPS = (
    FlagGroup("network", "the network to check", model_flags(NetworkOptions)),
    FlagGroup("attacks", "images, radius and attacks", model_flags(CheckOptions)),
    FlagGroup(
        "files",
        "data to read and files to write",
        (
            *model_flags(StorageOptions, {"data_dir", "download"}),
            Flag("json", "file for all measurements"),
            Flag("figure", "file for the first three loss landscapes: .png, .svg or .pdf"),
        ),
    ),
)
SHOWN = 3
"""Loss landscapes in the figure."""


class CheckRequest(NamedTuple):
    """What the command line asks for."""

    network: NetworkOptions
    options: CheckOptions
    data_dir: str
    download: bool
    json: Path | None
    figure: Path | None


def main(args: list[str]) -> int:
    """Parse, check, print. Exit code: 0 done, 1 file error, 2 bad input, 130 interrupted."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    return run_job(lambda: check(read_request(args), console))


def read_request(args: list[str]) -> CheckRequest:
    """Read the request from the command line.

    Raises:
        ValueError: options are wrong; the message has one line for each.
    """
    given = read_flags(GROUPS, args, __doc__ or "")
    network = validated(NetworkOptions, _known(given, NetworkOptions))
    options = validated(CheckOptions, _known(given, CheckOptions))
    files = {name: Path(given[name]) if name in given else None for name in ("json", "figure")}
    for name, file in files.items():
        if file and not can_be_file(file):
            raise ValueError(f"--{name} {file}: must be a file in an existing folder")
    if files["figure"] and files["figure"].suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--figure {files['figure']}: must end in .png, .svg or .pdf")
    data_dir = data_root(given.get("data_dir", StorageOptions().data_dir))
    return CheckRequest(network, options, data_dir, given.get("download", False), files["json"], files["figure"])


def check(request: CheckRequest, console: Console) -> int:
    """Load the network and the images, attack, and print the answer."""
    weights = request.network.weights
    if weights:  # asked before the imports, because torch takes seconds
        if not is_file(weights):
            raise ValueError(f"--weights {weights}: there is no such file")
        require_weights(weights, request.network.model)
    from analysis.report.check_sentence import check_notes, check_sentence
    from analysis.report.tables.check_table import check_table
    from analysis.report.tables.text_table import TerminalTable
    from core.check.measurement import check_network
    from core.check.network import load_network
    from core.data.image_set import ImageSet
    from core.data.load import load_dataset

    def say(line: str) -> None:
        console.print(escape(line), highlight=False, soft_wrap=True)

    options = request.options
    shape = fixed_shape(options.dataset) if options.dataset else None
    network = load_network(request.network, options.dataset or "", shape)
    cell = cell_of(network, options)
    test = load_dataset(cell.data, request.data_dir, request.download).test
    images = ImageSet(test.images[: options.images], test.labels[: options.images])
    say(f"{network.origin}: {len(images)} of {len(test)} test images of {cell.data.dataset}")
    measured, landscape = check_network(network.model, images, cell, options, say, origin=network.origin)
    console.print(TerminalTable(check_table(measured)))
    console.print(f"[bold]{escape(check_sentence(measured))}[/bold]", highlight=False)
    for note in check_notes(measured):
        say(note)
    _write(request, measured, landscape, say)
    return DONE


def cell_of(network: Network, options: CheckOptions) -> Cell:
    """The data set and the radius of the check: those that are given, or those that trained the network.

    Raises:
        ValueError: neither names them.
    """
    trained = network.cell
    for name in ("dataset", "epsilon"):
        if trained is None and getattr(options, name) is None:
            raise ValueError(f"--{name}: is needed, because the file does not name it")
    data = trained.data.model_dump(exclude_none=True) if trained and options.dataset is None else {}
    epsilon = options.epsilon or (trained.attack.epsilon if trained else None)
    given = {"dataset": options.dataset} if options.dataset else {}
    try:
        return Cell.from_flat({**data, **given, "epsilon": epsilon})
    except ValidationError as error:
        raise ValueError("\n".join(explain(error))) from error


def _write(request: CheckRequest, measured: ModelCheck, landscape: Landscape, say: Any) -> None:
    if request.json:
        request.json.write_text(measured.model_dump_json(indent=1))
        say(f"Measurements: {request.json}")
    if request.figure:
        from analysis.report.figures.landscape import contour
        from analysis.report.figures.style import compose, save

        draws = [
            contour(landscape.offsets, loss, title=f"test image {number}")
            for number, loss in enumerate(landscape.loss[:SHOWN])
        ]
        save(compose(draws, columns=SHOWN), request.figure)
        say(f"Loss landscapes: {request.figure}")


def _known(given: Mapping[str, Any], model: type[NetworkOptions] | type[CheckOptions]) -> dict[str, Any]:
    return {name: given[name] for name in model.model_fields if name in given}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
