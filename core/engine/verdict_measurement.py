"""Measurement of the evidence for a trial's verdict: validation images during an alarm, and test images at the end."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from core.attacks import fastest_search
from core.config import ProtocolOptions
from core.data.image_set import Dataset, ImageSet
from core.engine.ranks import Ranks
from core.engine.selection import Best, Weights, copy_weights
from core.engine.trial_state import TrialState
from core.probes import collect_evidence
from core.records import CheckpointName, Evidence, Verdict
from core.verdict import Detector, confirms_alarm, judge


class VerdictMeasurement:
    """Runs the verdict attacks of one trial. The ranks share the images, and every rank gets the result.

    Args:
        model: the bare network that is judged; its weights are the same before and after a measurement.
        dataset: images on the ranks' device.
        epsilon: radius of the attacks.
        protocol: attacks, number of images, and rules of the verdict.
        ranks: this rank's place among the trial's workers.
    """

    def __init__(
        self, model: nn.Module, dataset: Dataset, epsilon: float, protocol: ProtocolOptions, ranks: Ranks
    ) -> None:
        self.model = model
        self.dataset = dataset
        self.epsilon = epsilon
        self.protocol = protocol
        self.ranks = ranks

    def confirm_alarm(self, state: TrialState, detector: Detector) -> bool:
        """While the alarm is on, run the verdict attacks on validation images every `confirm_every` epochs.

        New evidence is appended to ``state.alarms``.

        Returns:
            True if evidence since the alarm's onset confirms the alarm.
        """
        if not detector.active:
            return False
        since_onset = [alarm for alarm in state.alarms if alarm.epoch >= detector.onset_epochs[-1]]
        if any(confirms_alarm(alarm, self.protocol) for alarm in since_onset):
            return True
        if since_onset and state.epoch - since_onset[-1].epoch < self.protocol.confirm_every:
            return False
        evidence = self._measure(None, "alarm", state.epoch)
        state.alarms.append(evidence)
        return confirms_alarm(evidence, self.protocol)

    def judge(self, state: TrialState, detector: Detector, measured: Callable[[], None]) -> Verdict:
        """Run the verdict attacks on test images at every kept checkpoint and at the last epoch, and judge.

        New evidence is appended to ``state.judged``. What is there already is not measured again.

        Args:
            state: the state after the last epoch.
            detector: the trial's detector.
            measured: called after each new evidence.
        """
        evidence = list(state.alarms)
        kept: dict[CheckpointName, Best | None] = {"selected": state.selected, "gated": state.gated, "last": None}
        for name, best in kept.items():
            epoch = best.epoch if best else state.epoch
            if best and best.weights is None:
                continue
            known = {found.epoch: found for found in state.judged}
            if epoch not in known:
                known[epoch] = self._measure(best.weights if best else None, name, epoch)
                state.judged.append(known[epoch])
                measured()
            evidence.append(known[epoch].model_copy(update={"checkpoint": name}))
        return judge(tuple(evidence), detector, self.protocol)

    def _measure(self, weights: Weights | None, checkpoint: CheckpointName, epoch: int) -> Evidence:
        """Evidence on the first `verdict_images` images, at ``weights`` or at the current weights."""
        current = copy_weights(self.model) if weights else None
        if weights:
            self.model.load_state_dict(weights)
        chosen = self._images(self.dataset.validation if checkpoint == "alarm" else self.dataset.test)
        evidence = collect_evidence(
            self.model,
            chosen.images,
            chosen.labels,
            self.epsilon,
            self.protocol,
            seed=self.protocol.eval_seed,
            checkpoint=checkpoint,
            epoch=epoch,
            split="validation" if checkpoint == "alarm" else "test",
            search=fastest_search(self.ranks.device),
            rank=self.ranks.rank,
            workers=self.ranks.workers,
            add=self.ranks.sum,
        )
        if current:
            self.model.load_state_dict(current)
        return evidence

    def _images(self, images: ImageSet) -> ImageSet:
        return images.take(torch.arange(min(self.protocol.verdict_images, len(images)), device=self.ranks.device))
