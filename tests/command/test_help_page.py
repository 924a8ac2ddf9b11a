"""Pages of ``--help``: every option, its range and its default."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import jobs
from core.command.help_page import HelpPage
from core.command.request import read_request
from core.command.sweep_flags import MOST_USED, sweep_groups
from core.config import METHODS, OPTION_FIELDS, ProtocolOptions, RunOptions, load_preset
from core.config.datasets import DATASETS
from core.config.flags import Flag, FlagGroup
from core.config.methods.base import options_of

JOBS = Path(jobs.__file__).parent
GROUPS = sweep_groups()
PRESETS = JOBS / "presets"
Page = Callable[[str], str]


@pytest.fixture
def page(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Page:
    """The sweep command's help for a command line, in a terminal that is wide enough for all options."""
    monkeypatch.setenv("COLUMNS", "120")

    def shown(line: str) -> str:
        with pytest.raises(SystemExit) as ended:
            read_request(line.split(), PRESETS, "Runs a sweep.")
        assert ended.value.code == 0
        return capsys.readouterr().out

    return shown


def options(text: str) -> dict[str, str]:
    """The text of each option on a page."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("  --"):
            name, _, rest = line.strip().partition(" ")
            found[name.rstrip(",")] = rest
        elif name and line.startswith("   "):
            found[name.rstrip(",")] += line
        else:
            name = ""
    return {name: " ".join(text.split()) for name, text in found.items()}


def test_all_options_are_in_exactly_one_group() -> None:
    names = [flag.name for group in GROUPS for flag in group.flags]
    assert len(names) == len(set(names))
    assert {*OPTION_FIELDS, *ProtocolOptions.model_fields, *RunOptions.model_fields, *MOST_USED} <= set(names)


def test_the_first_page_is_the_ten_most_used_and_the_groups(page: Page) -> None:
    first = page("--help")
    assert [name.lstrip("-").replace("-", "_") for name in options(first)] == list(MOST_USED)
    assert len(MOST_USED) == 10
    for name in (*(group.name for group in GROUPS), "presets", "all"):
        assert f"\n  {name} " in first
    assert len(first.splitlines()) < 60


def words(text: str) -> list[str]:
    """The words of an option's text, of which a line may end after a hyphen."""
    return re.findall(r"[\w-]+", re.sub(r"- +", "-", text))


def test_all_is_the_groups_one_after_the_other(page: Page) -> None:
    everything = page("--help all")
    assert len(options(everything)) == sum(len(group.flags) for group in GROUPS)
    for group in GROUPS:
        assert page(f"--help {group.name}").strip() in everything
    assert "None" not in everything
    assert "()" not in everything
    assert "default: )" not in everything


def test_the_methods_page_names_every_method_beside_its_options(page: Page) -> None:
    shown = options(page("--help method"))
    for name, entry in METHODS.items():
        assert name in words(shown["--method"])
        for option in options_of(entry.options):
            assert name in words(shown[f"--{option.replace('_', '-')}"]), (name, option)


def test_values_are_the_presets_or_the_defaults(page: Page) -> None:
    quick, table4 = options(page("--help all")), options(page("--help all --preset table4"))
    assert quick["--beta"].endswith("[0 <= x <= 1000 | over epochs] (preset quick: 1 6)")
    assert quick["--epsilon"].endswith("(preset quick: 0.1 0.28)")
    assert quick["--momentum"].endswith("(default: 0.9)")
    assert quick["--stop"].endswith("(default: --stop)")
    assert quick["--fosc-threshold"].endswith("(preset quick: 1.2)")
    assert quick["--overestimation-gap"].endswith("(default: 0.08)")
    assert quick["--seeds"].endswith("(preset quick: 3)")
    assert quick["--name"].endswith("(default: quick)")
    assert quick["--max-concurrent"].endswith("(default: as many as fit)")
    assert table4["--epsilon"].endswith("(preset table4: 8/255)")
    assert table4["--seeds"].endswith("(preset table4: 6 10 3)")
    assert table4["--stop"].endswith("(preset table4: --no-stop)")
    assert table4["--dataset"].endswith("(preset table4: cifar10 cifar100 tiny-imagenet-200)")
    assert table4["--classes"].endswith("(default: 10 100 200)")  # These come from the data sets.
    pinned = options(page("--help seeds --preset pin-quick"))
    assert pinned["--pin-value"].endswith("(preset pin-quick: 0 1 2 3 4 5 6 7)")


def test_every_option_shows_the_value_that_is_used_without_it(page: Page) -> None:
    shown = options(page("--help all"))
    without = {name for name, text in shown.items() if not re.search(r"\((default|preset quick): .+\)$", text)}
    assert without == set()
    assert shown["--until-width"].endswith("(default: none)")
    assert shown["--train-images"].endswith("(default: 1200 with --dataset fields, else not used)")
    assert options(page("--help data --preset fields-quick"))["--train-images"].endswith("(preset fields-quick: 1200)")


def test_the_values_shown_are_those_of_the_sweep(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for preset in ("quick", "table2-lr", "fgsm-quick", "table5"):
        shown = options(page(f"--help all --preset {preset}"))
        sweep = read_request(["--preset", preset], PRESETS, "").sweep
        for name in sweep.entries[0].cell.flat():
            used = {str(entry.cell.flat()[name]).lower() for entry in sweep.entries}
            text = shown[f"--{name.replace('_', '-')}"]
            if used != {"none"} and not any(part in name for part in ("epsilon", "milestones", "size", "lr", "decay")):
                values = text.rpartition(": ")[2].rstrip(")").split()
                as_numbers = {value.removesuffix(".0") for value in used}
                assert set(values) == as_numbers, (preset, name, text)


def test_help_of_a_rerun_needs_no_earlier_sweep(page: Page) -> None:
    healed = options(page("--help all --preset table3"))
    assert healed["--heal"].endswith("(preset table3: fosc)")
    assert healed["--beta"].endswith("(as in the earlier sweep)")
    again = options(page("--help all --seeds-from before"))
    assert again["--beta"].endswith("(as in the earlier sweep)")
    assert again["--fosc-threshold"].endswith("(as in the earlier sweep)")
    assert again["--name"].endswith("(needed with --seeds-from)")


def test_every_preset_is_listed_with_its_description(page: Page) -> None:
    listed = "".join(page("--help presets").split())  # a line may also end after a hyphen
    for file in PRESETS.glob("*.yaml"):
        assert "".join(f"{file.stem}{load_preset(file.stem, PRESETS).description}".split()) in listed


def test_an_unknown_page_is_refused_with_those_that_there_are() -> None:
    groups = (FlagGroup("own", "own flags", (Flag("sweep", "name", required=True),)),)
    with pytest.raises(ValueError, match="--help other: there is no such page; allowed are own, all"):
        HelpPage("About.", groups).show("other")


def test_a_required_option_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    groups = (FlagGroup("own", "own flags", (Flag("sweep", "name", required=True),)),)
    with pytest.raises(SystemExit):
        HelpPage("About.", groups).show("")
    assert options(capsys.readouterr().out) == {"--sweep": "VALUE name (required)"}


HEAVY = ("torch", "torchvision", "ray", "mlflow", "matplotlib", "pandas", "sklearn", "scipy", "boto3")
LOADED = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    print("code", ended.code)
print("loaded", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize(
    ("job", "args", "code"),
    [
        *(
            (job, ["--help"], 0)
            for job in (
                *("sweep_trades", "report", "status", "evaluate", "check", "export", "sync_mlflow"),
                *("coverage", "benchmark", "device_benchmark"),
            )
        ),
        ("sweep_trades", ["--bata", "1"], 2),
        ("sweep_trades", ["--epochs", "0"], 2),
        ("sweep_trades", ["--preset", "nosuch"], 2),
        ("report", ["--sweep", "../x"], 2),
        ("report", ["--sweep", "nosuch"], 2),
        ("status", ["--sweep", "nosuch"], 2),
        ("evaluate", ["--sweep", "x", "--restarts", "0"], 2),
        ("evaluate", ["--sweep", "nosuch"], 2),
        ("evaluate", ["--checkpoint", "nosuch.pt"], 2),
        ("check", ["--weights", "nosuch.pt"], 2),
        ("check", ["--weights", "text.pt"], 2),
        ("check", ["--weights", "text.pt", "--model", "small-cnn"], 2),
        ("export", ["--sweep", "nosuch", "--trial", "0"], 2),
        ("coverage", ["--sweeps", "-1"], 2),
        ("benchmark", ["--repeats", "0"], 2),
    ],
)
def test_help_and_refusals_import_nothing_heavy(job: str, args: list[str], code: int, tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no network")
    refusal = goes_without_heavy_imports(job, args, code, tmp_path)
    assert len(refusal) == (code != 0)


@pytest.mark.parametrize("dataset", [name for name, spec in DATASETS.items() if spec.needs_files])
def test_a_sweep_without_its_files_is_refused_before_heavy_imports(dataset: str, tmp_path: Path) -> None:
    args = ["--preset", "cifar10", "--dataset", dataset, "--data-dir", str(tmp_path / "empty")]
    (refusal,) = goes_without_heavy_imports("sweep_trades", args, 2, tmp_path)
    assert refusal.startswith(f"error: dataset {dataset} needs {tmp_path / 'empty'}/")


def goes_without_heavy_imports(job: str, args: list[str], code: int, folder: Path) -> list[str]:
    """Run the job in ``folder``. Returns its lines of errors."""
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, str(JOBS / f"{job}.py"), *args],
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    assert f"code {code}" in ended.stdout, ended
    loaded = ended.stdout.splitlines()[-1].split()
    assert "core" in loaded
    assert not {*HEAVY} & {*loaded}
    return ended.stderr.splitlines()


def test_the_driver_of_a_sweep_on_generated_images_goes_without_torch() -> None:
    ready = """
import sys
from core.config import DataOptions
from core.sweep.driver import check_files, run_sweep
check_files(DataOptions(), "data")
print("loaded", *sorted({name.partition(".")[0] for name in sys.modules}))
"""
    ended = subprocess.run([sys.executable, "-c", ready], capture_output=True, text=True, check=True)
    loaded = ended.stdout.splitlines()[-1].split()
    assert "ray" in loaded
    assert not {"torch", "mlflow", "scipy", "sklearn", "matplotlib"} & {*loaded}


def test_a_sweep_prints_its_table_without_the_libraries_of_the_report() -> None:
    """Each of them takes the driver up to half a second of a processor."""
    ready = """
import sys
from analysis.report.context import report_context
from analysis.report.mlflow_description import mlflow_description
from analysis.report.tables.cells_table import main_table
from jobs.speed.analysis_cost import make_records
context = report_context("s", make_records(27))
assert main_table(context.cells).row_count == 27
assert mlflow_description(context)
print("loaded", *sorted(sys.modules))
"""
    ended = subprocess.run([sys.executable, "-c", ready], capture_output=True, text=True, check=True)
    loaded = {*ended.stdout.splitlines()[-1].split()}
    assert "scipy.special" in loaded
    assert not {"scipy.stats", "sklearn", "matplotlib"} & loaded
