"""Strategies for wrong input: values of options, lines of YAML, bytes of files."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from core.config import METHODS, OPTION_FIELDS
from core.config.methods.registry import lacks

Text = SearchStrategy[str]


def spelled(number: float) -> Text:
    """The same number in one of several usual spellings."""
    ways = [repr(number), f" {number!r}", f"{number:.17e}"]
    if number == int(number) and abs(number) < 1e9:
        ways += [str(int(number)), f"{int(number) * 3}/3"]
    return st.sampled_from(ways)


def reals(low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> Text:
    """Numbers in a range."""
    numbers = st.floats(low, high, exclude_min=open_low, exclude_max=open_high, allow_subnormal=False)
    return numbers.flatmap(spelled)


def wholes(low: int, high: int) -> Text:
    """Whole numbers in a range, with a preference for small ones."""
    return (st.integers(low, high) | st.integers(low, min(high, low + 20))).map(str)


def words(*allowed: str) -> Text:
    """Strategy for one of the given names."""
    return st.sampled_from(allowed)


SWITCH = words("true", "false", "True", "no", "on", "1", "0")

NOT_NUMBERS = words(
    *["nan", "NaN", "inf", "Infinity", "1e999", "1/0", "0/0", "8//255", "1,5", "0x10", "five", "1e", "--", "³", "١/٢x"],
    *["1 2", "null", "~", "true", "[1]", "{}", "$(nproc)", "\u202e7", "9" * 5000, "9" * 400 + "/1", "8/255/1", "💥"],
)
HUGE = st.integers(10**13, 10**60).map(str)
NEGATIVE = st.integers(-(10**30), -1).map(str) | st.sampled_from(["-1e-9", "-0.5", "-inf"])
NOT_NAMES = words(
    *["../x", "/etc/passwd", "a/b", "..", ".", ".hidden", "-x y", "x y", "x\ny", "naïve", "x" * 101, "x;rm", "x' OR '"],
    *["%2e%2e", "x\\y", "~root", "$HOME", "x\x1b[2J", "\udcff", "[red]x[/red]", "s3://bucket", "x?y", "*"],
)


class OptionCase(NamedTuple):
    """An option, values that it must accept for any other options, and values that it must reject."""

    name: str
    valid: Text
    invalid: Text
    method: str | None = None
    """The method to combine it with, if it is an option of a method."""

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"


def number(name: str, valid: Text, *too: Text) -> OptionCase:
    return OptionCase(name, valid, st.one_of(NOT_NUMBERS, NEGATIVE, *too))


def choice(name: str, *allowed: str) -> OptionCase:
    wrong = st.sampled_from(["", "nosuch", allowed[0].upper(), f"{allowed[0]}x", f"{allowed[0]},{allowed[-1]}", "0.5"])
    return OptionCase(name, words(*allowed), wrong | NOT_NAMES)


def switch(name: str) -> OptionCase:
    return OptionCase(name, SWITCH, st.sampled_from(["maybe", "2", "-1", "", "tru", "0.5"]))


FRACTIONAL = words("0.5", "2.5", "1e-3", "7/2")
ABOVE_ONE = reals(1.0000001, 1e9)

METHOD_OPTIONS = tuple(
    case._replace(method=method)
    for method, cases in {
        "trades": (
            number("beta", reals(0, 1000), reals(1000.001, 1e300), words("0..6", "6@3", "1then2@0", "0..1001@2")),
            number("clean_forwards", words("1", "2"), FRACTIONAL, words("0", "3"), HUGE),
            switch("detach_target"),
            switch("adversarial_first"),
        ),
        "mixed-at": (number("clean_share", reals(0, 1), ABOVE_ONE),),
        "gairat": (
            choice("reweighting", "discrete"),  # the others need two attack steps, and `fields-quick` has one
            OptionCase("reweighting_shift", reals(-100, 100), NOT_NUMBERS | reals(100.001, 1e300)),
            number("reweighting_begin", reals(0, 1), ABOVE_ONE),
        ),
        "free": (number("replays", wholes(1, 1000), FRACTIONAL, words("0", "1001"), HUGE),),
        "grad-align": (number("alignment", reals(0, 1e6), reals(1.1e6, 1e300)),),
        "clp": (
            number("pairing", reals(0, 1e6), reals(1.1e6, 1e300)),
            number("input_noise", reals(0, 10), reals(10.1, 1e300)),
        ),
        "iseat": (
            number("smooth", reals(0, 1e6), reals(1.1e6, 1e300)),
            choice("smooth_distance", "squared-l2", "kl"),
            choice("smooth_weights", "linear", "top", "uniform"),
            choice("adv_at", "perturbed", "original"),
            choice("clean_at", "original", "perturbed"),
        ),
        "fat": (
            number("tau", wholes(0, 1000), FRACTIONAL, words("1001"), HUGE),
            number("tau_begin", reals(0, 1), ABOVE_ONE),
            number("tau_every", reals(0, 1, open_low=True), ABOVE_ONE, words("0")),
            number("omega", reals(0, 1), ABOVE_ONE),
        ),
        "gat": (
            number("guidance", reals(0, 1000), reals(1000.001, 1e300)),
            number("guidance_factor", reals(0, 1000), reals(1000.001, 1e300)),
            number("guidance_begin", reals(0, 1), ABOVE_ONE),
        ),
        "ssat": (number("checkpoints", wholes(1, 1000), FRACTIONAL, words("0", "1001"), HUGE),),
        "seat": (
            number("linearity", reals(0, 1e6), reals(1.1e6, 1e300)),
            choice("linearity_form", "paper", "official"),
            choice("attack_objective", "margin", "ce"),
            number("flood", reals(0, 1000), reals(1000.1, 1e300)),
        ),
        "sub-at": (
            number("sampling_share", reals(0.001, 1), ABOVE_ONE),
            number("snapshots_per_epoch", wholes(1, 1000), FRACTIONAL, words("0", "1001"), HUGE),
            number("subspace_dimensions", wholes(1, 10000), FRACTIONAL, words("0", "10001"), HUGE),
            number("subspace_lr", reals(0.001, 1000), words("0"), reals(1000.1, 1e300)),
        ),
        "las-at": (
            choice("policy_model", "small-cnn", "resnet18"),
            number("policy_lr", reals(0, 1000), reals(1000.1, 1e300)),
            number("policy_interval", wholes(1, 1000000), FRACTIONAL, words("0", "1000001"), HUGE),
            number("policy_radius_min", words("1/255", "3/255", "0.01"), words("0"), ABOVE_ONE),
            number("policy_radius_max", reals(0.06, 1), words("0"), ABOVE_ONE),
            number("policy_steps_min", wholes(1, 13), FRACTIONAL, words("0", "1001"), HUGE),
            number("policy_steps_max", wholes(13, 1000), FRACTIONAL, words("0", "1001"), HUGE),
            number("policy_size_min", words("1/255", "3/255", "0.01"), words("0"), ABOVE_ONE),
            number("policy_size_max", reals(0.02, 1), words("0"), ABOVE_ONE),
            number("reward_robust", reals(0, 1000), reals(1000.1, 1e300)),
            number("reward_clean", reals(0, 1000), reals(1000.1, 1e300)),
            number("soft_label", reals(0, 1), ABOVE_ONE),
        ),
    }.items()
    for case in cases
)
"""Options that methods alone have."""
OWN = {option.name for option in METHOD_OPTIONS}
DEPENDENT = {"nesterov", "drop_last", "schedule", "milestones", "lr_peak", "peak_momentum", "workers", "dataset"} | {
    *("extra_data", "extra_share", "extra_sha256", "start_from", "start_checkpoint", "start_sha256", "train_epsilon")
}
DEPENDENT_PROTOCOL = {"detector", "detector_threshold"}
"""Options whose valid values depend on others."""
CELL_OPTIONS = (
    choice("method", *(name for name in METHODS if name != "gairat")),
    *METHOD_OPTIONS,
    choice("inner", "kl", "ce"),
    number("epsilon", reals(0, 1, open_low=True), ABOVE_ONE, words("0", "0.0", "0/3")),
    number("attack_steps", wholes(1, 1000), FRACTIONAL, words("0", "1001"), HUGE),
    number("attack_step_size", reals(0, 2, open_low=True), reals(2.0001, 1e9), words("0")),
    choice("attack_start", "gaussian", "uniform", "rademacher", "none"),
    number("rademacher_share", reals(0, 1, open_low=True), ABOVE_ONE, words("0")),
    choice("attack_bn", "eval", "train"),
    number("awp_radius", reals(0, 1), ABOVE_ONE),
    number("awp_warmup", wholes(0, 10**9), FRACTIONAL),
    number("rwp_radius", reals(0, 1), ABOVE_ONE),
    number("rwp_steps", wholes(1, 1000), FRACTIONAL, words("0", "1001"), HUGE),
    number("rwp_threshold", reals(0, 1e6, open_low=True), words("0"), reals(1.1e6, 1e300)),
    choice("weight_averaging", "none", "ema", "swa"),
    number("averaging_decay", reals(0, 1, open_high=True), words("1"), ABOVE_ONE),
    number("averaging_start", wholes(1, 50), FRACTIONAL, words("0", "100001"), HUGE),
    number("averaging_interval", wholes(1, 10**9), FRACTIONAL, words("0", "1000000001"), HUGE),
    choice("heal", "none", "fosc"),
    number("heal_noise", reals(0, 10, open_low=True), words("0", "10.5")),
    number("heal_batches", wholes(1, 10**9), FRACTIONAL, words("0")),
    number("epochs", wholes(1, 100_000), FRACTIONAL, words("0", "100001"), HUGE),
    number("batch_size", wholes(1, 1_000_000), FRACTIONAL, words("0", "1000001"), HUGE),
    number("lr", reals(0, 100, open_low=True), words("0", "100.1")),
    number("momentum", reals(0, 1, open_low=True, open_high=True), words("1", "1.5")),
    number("weight_decay", reals(0, 1), ABOVE_ONE),
    number("lr_decay", reals(0, 1, open_low=True), ABOVE_ONE, words("0")),
    number("flood_loss", reals(0, 1000), reals(1000.1, 1e300)),
    number("label_smoothing", reals(0, 1, open_high=True), words("1"), ABOVE_ONE),
    choice("precision", "fp32", "tf32", "bf16", "fp16"),
    choice("norm", "batch", "none"),
    OptionCase(
        "model",
        words("small-cnn", "wrn-10-1", "resnet18"),
        st.sampled_from(["resnet19", "wrn-28", "wrn-29-10", "wrn--4-1", "wrn-4-1", "wrn-999999994-1", "wrn-10-0"])
        | st.sampled_from(["wrn-٢٨-١٠", "wrn-10-1e9", "RESNET18", "", "torch.nn.Linear", "wrn-10-999"])
        | NOT_NAMES,
    ),
    choice("augment", "none", "crop-flip"),
    number("classes", wholes(2, 60), words("0", "1", "10001"), HUGE, FRACTIONAL),
    number("channels", wholes(1, 4), words("0", "17"), HUGE, FRACTIONAL),
    number("image_size", wholes(4, 16), words("0", "3", "513"), HUGE, FRACTIONAL),
    number("train_images", wholes(600, 10_000_000), words("0", "10000001"), HUGE, FRACTIONAL),
    number("test_images", wholes(1, 10_000_000), words("0", "10000001"), HUGE, FRACTIONAL),
    number("data_seed", wholes(0, 2**32 - 1), HUGE, FRACTIONAL),
    number("validation_images", wholes(1, 500), words("0", "10000000"), HUGE, FRACTIONAL),
    *(switch(name) for name, info in OPTION_FIELDS.items() if info.annotation is bool and name not in DEPENDENT | OWN),
)
"""Options of a cell of the ``fields-quick`` preset. Each can be set separately to any valid value."""

PROTOCOL_OPTIONS = (
    number("eval_steps", wholes(1, 1000), words("0", "1001"), HUGE, FRACTIONAL),
    number("eval_step_fraction", reals(0, 2, open_low=True), words("0", "2.01")),
    choice("fosc_center", "natural", "start"),
    choice("square", "rescaled", "autoattack"),
    number("fosc_threshold", reals(0, 1e6, open_low=True), words("0")),
    number("fosc_patience", wholes(1, 10**6), words("0"), FRACTIONAL),
    number("fosc_grace", wholes(0, 10**6), FRACTIONAL),
    number("gradient_stride", wholes(0, 10**6), FRACTIONAL),
    number("audit", reals(0, 1), ABOVE_ONE),
    number("confirm_every", wholes(1, 10**6), words("0"), FRACTIONAL),
    number("verdict_images", wholes(1, 10**6), words("0"), FRACTIONAL),
    number("square_queries", wholes(1, 100_000), words("0", "100001"), HUGE, FRACTIONAL),
    number("pgd50_restarts", wholes(1, 100), words("0", "101"), HUGE, FRACTIONAL),
    number("overestimation_gap", reals(0, 1, open_low=True), ABOVE_ONE, words("0")),
    number("catastrophic_gap", reals(0, 1, open_low=True), ABOVE_ONE, words("0")),
    number("eval_seed", wholes(0, 2**32 - 1), HUGE, FRACTIONAL),
)

RUN_OPTIONS = (
    number("cpus_per_worker", reals(0.01, 1024), words("1025")),
    number("gpus_per_worker", reals(0, 1), ABOVE_ONE),
    number("max_concurrent", wholes(1, 10**6), words("0"), FRACTIONAL),
    number("max_failures", wholes(0, 100), words("101"), HUGE, FRACTIONAL),
    number("max_crashes", wholes(2, 10_000), words("0", "1", "10001"), HUGE, FRACTIONAL),
    number("trial_timeout_s", reals(0, 1e9, open_low=True), words("0")),
    number("device_tflops", reals(1e-6, 1e6), words("0", "1e-300", "2e6")),
    number("checkpoint_s", reals(0, 1e9)),
    number("seeds", wholes(1, 1000), words("0", "100001", "1.5"), HUGE),
    number("first_seed", wholes(0, 2**31 - 1), words("2147483648", "1.5"), HUGE),
    OptionCase("name", words("a", "A.b_c-9", "x" * 100), NOT_NAMES | st.just("")),
    OptionCase("preset", words("quick", "pin-quick"), NOT_NAMES | words("", "Quick", "quick.yml", "q" * 300)),
)
OPTIONS = (*CELL_OPTIONS, *PROTOCOL_OPTIONS, *RUN_OPTIONS)


def needed(names: Collection[str]) -> dict[str, str]:
    """Values of other options without which an option among ``names`` is refused, because it has no effect."""
    others: dict[str, str] = {}
    if {"rwp_radius", "rwp_steps", "rwp_threshold"} & {*names}:
        others |= {"rwp_radius": "0.01", "awp_radius": "0"}
    if {"averaging_decay", "averaging_start", "averaging_interval"} & {*names}:
        others |= {"weight_averaging": "ema", "epochs": "50"}
    if {"heal_noise", "heal_clamp", "heal_batches"} & {*names}:
        others |= {"heal": "fosc"}
    if "rademacher_share" in names:
        others |= {"attack_start": "rademacher"}
    if {"awp_warmup", "adv_at", "clean_at"} & {*names} and "rwp_radius" not in others:
        others |= {"awp_radius": "0.01"}
    if "lr_decay" in names:
        others |= {"schedule": "step", "milestones": "5", "epochs": "50"}
    if {"guidance_begin", "guidance_factor"} & {*names}:
        others |= {"guidance_begin": "0.5", "guidance_factor": "2"}
    if "tau_every" in names:
        others |= {"tau_begin": "0.5"}
    if {"smooth_distance", "smooth_weights"} & {*names}:
        others |= {"smooth": "0.1"}
    if "linearity_form" in names:
        others |= {"linearity": "0.5"}
    return others


@st.composite
def possible_options(draw: st.DrawFn, options: tuple[OptionCase, ...]) -> dict[str, str]:
    """Combinations of valid values. The dependencies between options are written here a second time."""
    chosen = draw(st.lists(st.sampled_from(options), max_size=8, unique_by=lambda option: option.name))
    given = {option.name: draw(option.valid) for option in chosen if option.name != "preset"}
    methods = [option.method for option in chosen if option.method]
    if methods:
        given["method"] = methods[0]
    if methods:
        given.pop("rademacher_share", None)  # some methods start elsewhere
    if given.get("method") == "gairat":
        given["reweighting"] = "discrete"
        given.pop("reweighting_shift", None)  # which discrete weights lack
    given = {name: value for name, value in given.items() if not lacks(given.get("method", "trades"), name)}
    if given.get("method") in ("grad-align", "seat"):
        given.pop("compile", None)
        if given.get("precision") == "fp16":
            given["precision"] = "bf16"
    if draw(st.booleans()) and given.get("batch_size", "16").strip() not in ("1", "3/3", "1.0", f"{1:.17e}"):
        given["workers"] = "2"
        given.pop("gpus_per_worker", None)  # ranks cannot share a GPU
        given.pop("gpus_per_worker", None)  # ranks cannot share a GPU
    given |= needed(given)
    if draw(st.booleans()):
        given |= {"schedule": "step", "milestones": draw(st.sampled_from(["1", "5 10", "2 3 49"])), "epochs": "50"}
    for name in ("fosc_patience", "fosc_grace"):
        if name in given:
            given |= {name: str(draw(st.integers(1, 20))), "epochs": "50"}
    if "verdict_images" in given:
        given |= {"verdict_images": str(draw(st.integers(1, 400))), "test_images": "400"}
    return given


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes after a crash, a disk error or a careless edit. They may be unchanged."""
    at = draw(st.integers(0, max(len(content) - 1, 0)))
    length = draw(st.integers(0, 64))
    junk = draw(st.binary(max_size=64))
    match draw(st.sampled_from(["cut", "flip", "hole", "insert", "drop", "replace", "empty", "twice", "flip", "cut"])):
        case "cut":
            return content[:at]
        case "flip":
            return content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1 :]
        case "hole":
            return content[:at] + bytes(len(content[at : at + length])) + content[at + length :]
        case "insert":
            return content[:at] + junk + content[at:]
        case "drop":
            return content[:at] + content[at + length :]
        case "replace":
            return junk
        case "twice":
            return content + content
        case _:
            return b""


@st.composite
def changed_json(draw: st.DrawFn, content: bytes) -> bytes:
    """JSON with one value replaced, removed or added, as by another version or by an edit."""
    tree = copy.deepcopy(json.loads(content))
    places = list(_places(tree))
    holder, key = draw(st.sampled_from(places))
    match draw(st.sampled_from(["replace", "remove", "add", "swap"])):
        case "replace":
            holder[key] = draw(JSON)
        case "remove":
            del holder[key]
        case "swap":
            other, there = draw(st.sampled_from(places))
            holder[key] = copy.deepcopy(other[there])
        case _ if isinstance(holder, dict):
            holder[draw(st.text(max_size=10))] = draw(JSON)
        case _:
            holder.append(draw(JSON))
    return json.dumps(tree).encode()


def _places(tree: Any) -> Any:
    entries = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    for key, value in entries:
        yield tree, key
        yield from _places(value)
