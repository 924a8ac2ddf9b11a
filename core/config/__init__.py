"""Typed, frozen options: a cell (one setting), a trial (cell and seed), a sweep (cells x seeds) and its protocol."""

from core.config.attack import AwpOptions, HealOptions, InnerAttackOptions
from core.config.averaging import AveragingOptions
from core.config.cell import OPTION_FIELDS, OPTION_OWNER, STREAMS, Cell, Stream, Trial, digest, register_method
from core.config.data import DataOptions
from core.config.datasets import DatasetSpec, Shape, register_dataset
from core.config.methods import METHODS, MethodEntry, MethodOptions, Passes, methods_with
from core.config.model import ModelOptions
from core.config.models import ModelSpec, register_model
from core.config.preset import Preset, build_sweep, load_preset
from core.config.problems import explain, validated
from core.config.protocol import ProtocolOptions
from core.config.rerun import EarlierCell, EarlierSweep, EarlierTrials
from core.config.sweep import ClusterOptions, Rerun, RunOptions, SeededCell, StorageOptions, Sweep
from core.config.training import TrainingOptions

__all__ = [
    "METHODS",
    "OPTION_FIELDS",
    "OPTION_OWNER",
    "STREAMS",
    "AveragingOptions",
    "AwpOptions",
    "Cell",
    "ClusterOptions",
    "DataOptions",
    "DatasetSpec",
    "EarlierCell",
    "EarlierSweep",
    "EarlierTrials",
    "HealOptions",
    "InnerAttackOptions",
    "MethodEntry",
    "MethodOptions",
    "ModelOptions",
    "ModelSpec",
    "Passes",
    "Preset",
    "ProtocolOptions",
    "Rerun",
    "RunOptions",
    "SeededCell",
    "Shape",
    "StorageOptions",
    "Stream",
    "Sweep",
    "TrainingOptions",
    "Trial",
    "build_sweep",
    "digest",
    "explain",
    "load_preset",
    "methods_with",
    "register_dataset",
    "register_method",
    "register_model",
    "validated",
]
