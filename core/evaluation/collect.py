"""Measurements and evaluations of a trial, computed from the results per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.evaluation.attack_plan import INDIVIDUAL, QUERIES, RESTARTS, STEPS, summary_name
from core.evaluation.attack_spec import AttackSpec
from core.evaluation.block_run import Correct
from core.evaluation.options import EvaluationOptions
from core.records import CheckpointName, Evidence, Measurement


def measurements(
    specs: Sequence[AttackSpec], blocks: Sequence[Correct], options: EvaluationOptions
) -> tuple[Measurement, ...]:
    """The accuracies over all blocks.

    A cascade gives a single accuracy, ``autoattack-standard`` or ``autoattack-plus``, because each of its attacks sees
    only the images that the earlier ones left correct. In individual mode, ``autoattack`` counts an image as correct if
    none of the four attacks fools it.
    """
    flags = {spec.name: [flag for block in blocks for flag in block[spec.name]] for spec in specs}
    found = [_measured(spec, flags[spec.name], options) for spec in specs if not _is_link(spec)]
    links = [spec for spec in specs if _is_link(spec)]
    if links:
        found.append(_summary(links, flags[links[-1].name], options))
    elif options.mode == "individual":
        four = [spec for spec in specs if spec.library == "pyautoattack"]
        worst = [all(together) for together in zip(*(flags[name] for name in INDIVIDUAL), strict=True)]
        found.append(_summary(four, worst, options))
    return tuple(found)


def merge(
    evaluations: Iterable[Evidence], checkpoint: CheckpointName, epoch: int, new: Sequence[Measurement]
) -> tuple[Evidence, ...]:
    """The evaluations with new measurements added.

    Measurements on the same images with the same seed belong to one `Evidence`, in which a new measurement of an attack
    replaces the earlier one.
    """
    kept = list(evaluations)
    for index, evidence in enumerate(kept):
        if (evidence.checkpoint, evidence.epoch) == (checkpoint, epoch) and _same_images(
            evidence.measurements[0], new[0]
        ):
            names = {measurement.attack for measurement in new}
            older = tuple(m for m in evidence.measurements if m.attack not in names)
            kept[index] = Evidence(checkpoint=checkpoint, epoch=epoch, measurements=(*older, *new))
            return tuple(kept)
    return (*kept, Evidence(checkpoint=checkpoint, epoch=epoch, measurements=tuple(new)))


def _is_link(spec: AttackSpec) -> bool:
    return "/" in spec.name


def _measured(spec: AttackSpec, flags: Sequence[bool], options: EvaluationOptions) -> Measurement:
    return Measurement(
        attack=spec.name,
        accuracy=sum(flags) / len(flags),
        steps=spec.steps,
        restarts=spec.restarts,
        queries=spec.queries,
        targets=spec.targets,
        images=len(flags),
        block=options.block,
        split="test",
        epsilon=None if spec.name == "clean" else spec.epsilon,
        seed=options.seed,
        library=spec.provider,
    )


def _summary(specs: Sequence[AttackSpec], flags: Sequence[bool], options: EvaluationOptions) -> Measurement:
    whole = specs[0].model_copy(
        update={
            "name": summary_name(options.mode),
            "steps": options.steps or STEPS,
            "restarts": options.restarts or RESTARTS[options.mode],
            "queries": options.queries or QUERIES,
            "targets": next((spec.targets for spec in specs if spec.targets), None),
        }
    )
    return _measured(whole, flags, options)


def _same_images(one: Measurement, other: Measurement) -> bool:
    return (one.images, one.block, one.seed, one.split) == (other.images, other.block, other.seed, other.split)
