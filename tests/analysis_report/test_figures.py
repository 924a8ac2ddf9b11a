"""Figures show the numbers of the records, are readable without colour, and become small and safe SVG."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.image import imread

from analysis.questions.healing import EarlierRecords
from analysis.questions.onset import onset_survival
from analysis.questions.rates import outcome
from analysis.report.figures.example_trials import contrast, heal_pair, self_healed
from analysis.report.figures.onset import onset_panels
from analysis.report.figures.paper import landscape_panels, paper_panels, write_figures
from analysis.report.figures.series import series
from analysis.report.figures.style import LOOKS, SERIES, compose, inline_svg
from analysis.report.figures.trajectories import METRICS, VECTOR_LINES, aligned, trajectories
from core.config import Cell
from core.records import Rows


@pytest.fixture
def records(make_sweep):
    return make_sweep(seeds=4, censor_every=9, heal_every=7, audit_every=3, gradients_every=2)


def drawn(draw):
    return compose([draw]).subfigs[0]


def test_lines_differ_without_colour():
    for looks in (SERIES, [LOOKS[name] for name in ("stable", "unstable", "healed")]):
        assert len({str(look.dash) for look in looks}) == len({look.marker for look in looks}) == len(looks)


def test_trajectories_draw_every_trial_at_its_values(records):
    ax = drawn(trajectories(records, "val/fosc")).axes[0]
    lines = [path.vertices for c in ax.collections if isinstance(c, LineCollection) for path in c.get_paths()]
    assert len(lines) == len(records)
    expected = sorted(tuple(row["val/fosc"] for row in r.trace) for r in records)
    assert sorted(tuple(line[:, 1]) for line in lines) == expected


def test_onset_markers_sit_at_the_onsets(records):
    ax = drawn(trajectories(records, "val/fosc")).axes[0]
    points = np.concatenate([c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)])
    expected = [
        (epoch, r.trace[epoch - 1]["val/fosc"]) for r in records if r.verdict for epoch in r.verdict.onset_epochs
    ]
    assert sorted(map(tuple, points)) == sorted(expected)


def test_aligned_median_is_that_of_the_trials_around_their_onsets(records):
    with_onset = [r for r in records if r.verdict and r.verdict.onset]
    line = drawn(aligned(records, "val/fosc")).axes[0].lines[0]
    for offset, drawn_value in zip(*line.get_data(), strict=True):
        values = [
            r.trace[r.verdict.onset_epoch + int(offset) - 1]["val/fosc"]
            for r in with_onset
            if 1 <= r.verdict.onset_epoch + offset <= len(r.trace)
        ]
        assert len(values) >= len(with_onset) / 2
        assert drawn_value == pytest.approx(np.median(values))


def test_a_metric_that_few_methods_have_is_drawn_over_the_trials_that_have_it(records):
    onset = [record for record in records if record.verdict.onset]
    others = [
        record.model_copy(update={"seed": 100 + i, "trace": Rows({**row, "train/gap": None} for row in record.trace)})
        for i, record in enumerate(onset * 3)
    ]
    alone, together = (drawn(aligned(some, "train/gap")).axes[0] for some in (records, [*records, *others]))
    np.testing.assert_array_equal(alone.lines[0].get_xydata(), together.lines[0].get_xydata())
    assert alone.get_xlabel() == together.get_xlabel() == f"epochs from onset ({len(onset)} trials)"


def test_survival_without_censoring_is_the_share_of_onsets_so_far(make_sweep):
    records = make_sweep(betas=(1,), batch_sizes=(64,), seeds=12)
    patience = records[0].protocol["fosc_patience"]
    (draw,) = onset_panels(onset_survival(records))
    line = drawn(draw).axes[0].lines[0]
    for epoch, estimate in zip(*line.get_data(), strict=True):
        if epoch <= 50 - patience + 1 and np.isfinite(estimate):
            onsets = [r.verdict.onset_epoch for r in records if r.verdict.onset_epoch]
            assert estimate == pytest.approx(sum(o <= epoch for o in onsets) / len(records))


def test_missing_metrics_become_gaps(make_trial):
    trial = make_trial(Cell.from_flat({"epochs": 5}), 0, epochs=5)
    rows = list(trial.trace)
    rows[2]["val/fosc"] = None
    del rows[3]["val/fosc"]
    trial = trial.model_copy(update={"trace": Rows(rows)})
    found = series(trial, "val/fosc")
    assert np.isnan(found.values).tolist() == [False, False, True, True, False]
    assert np.isnan(series(trial, "grad/w_norm").values).all()


def test_contrast_prefers_one_cell_and_the_longest_trace(records):
    pair = contrast(records)
    assert (pair.first.verdict.outcome, pair.second.verdict.outcome) == ("stable", "unstable")
    stable_cells = {r.cell_id for r in records if r.verdict.outcome == "stable"}
    rivals = [r.epochs_run for r in records if r.verdict.outcome == "unstable" and r.cell_id in stable_cells]
    assert pair.first.cell_id == pair.second.cell_id
    assert pair.second.epochs_run == max(rivals)
    assert contrast([r for r in records if r.verdict.outcome != "unstable"]) is None


def test_twins_share_seed_and_everything_but_healing(make_trial):
    plain, healing, other = (
        Cell.from_flat({"beta": 1, "epochs": 50, **options})
        for options in ({}, {"heal": "fosc"}, {"heal": "fosc", "lr": 0.05})
    )
    unstable = [make_trial(plain, seed, probability=1, audit=True) for seed in (3, 4)]
    healed = make_trial(healing, 4, heal=True)
    pair = heal_pair([*unstable, make_trial(other, 3, heal=True), healed])
    assert (pair.first.key, pair.second.key) == (unstable[1].key, healed.key)
    assert heal_pair(unstable) is None
    assert self_healed([*unstable, healed]) is None, "a trial that was healed did not heal itself"
    by_itself = make_trial(plain, 5, heal=True)
    assert self_healed([*unstable, healed, by_itself]) is by_itself


def test_the_twin_of_a_healed_trial_may_be_in_the_earlier_sweep(make_trial):
    plain = Cell.from_flat({"epochs": 50})
    healing, other = Cell.from_flat({**plain.flat(), "heal": "fosc"}), Cell.from_flat({**plain.flat(), "beta": 1.0})
    earlier = [make_trial(cell, seed, probability=1) for cell in (plain, other) for seed in (1, 2, 3)]
    again = [
        make_trial(healing, 1, probability=1),
        make_trial(healing, 2, heal=True),
        make_trial(healing, 4, heal=True),
    ]
    before = EarlierRecords("first", earlier, {healing.id: plain.id})
    pair = heal_pair(again, before)
    assert [(r.cell_id, r.seed, outcome(r)) for r in pair] == [(plain.id, 2, "unstable"), (healing.id, 2, "healed")]
    assert heal_pair(again, EarlierRecords("first", [make_trial(plain, 2, probability=0)], before.counterparts)) is None
    (panel,) = [panel for panel in paper_panels(again, before) if panel.figure == 6]
    assert panel.description == "With and without healing, seed=2: at the end unstable without, healed with"
    drawn_fosc = drawn(panel.draw).axes[0].lines[:2]
    for line, trial in zip(drawn_fosc, pair, strict=True):
        assert list(line.get_ydata()) == [row["val/fosc"] for row in trial.trace]


def test_paper_figures_are_written_as_files(records, tmp_path):
    grid = np.linspace(-0.1, 0.1, 9)
    loss = 1 + np.add.outer(grid, np.abs(grid))
    panels = paper_panels(records) + landscape_panels(
        grid, {"stable": loss[None], "unstable": 3 * loss[None]}, {"stable": "seed=0", "unstable": "seed=1"}
    )
    paths = write_figures(panels, tmp_path, "png")
    assert [path.name for path in paths] == [f"figure-{n}.png" for n in ("1-contour", "1-surface", 2, 3, 4, 5)]
    for path in paths:
        assert np.std(imread(path)[..., :3]) > 0.01, "not an empty picture"
    with pytest.raises(ValueError, match="'gif' must be one of svg, pdf, png"):
        write_figures(panels, tmp_path, "gif")


def test_a_figure_s_file_is_the_same_twice(records, tmp_path):
    panels = [panel for panel in paper_panels(records) if panel.figure == 2]
    first, second = (write_figures(panels, tmp_path)[0].read_bytes() for _ in range(2))
    assert first == second


def test_landscape_axes_follow_the_probe_s_indices():
    offsets = np.linspace(-1, 1, 11)
    loss = np.repeat(
        offsets[:, None] + 1, 11, axis=1
    )  # It increases along the first index, which is the gradient's sign.
    bands, lines = drawn(landscape_panels(offsets, {"x": loss[None]}, {"x": "seed=0"})[1].draw).axes[0].collections
    for path in lines.get_paths():
        for line in path.to_polygons(closed_only=False):
            assert np.ptp(line[:, 0]) < 1e-9, "equal loss at equal offset along x"
    for path in bands.get_paths():
        assert not len(path) or np.ptp(path.vertices[:, 0]) < 0.25, "a band of loss is narrow along x"


def test_the_landscapes_of_one_image_share_their_scale():
    grid = np.linspace(-1, 1, 5)
    flat, steep = np.ones((2, 5, 5)), np.full((2, 5, 5), 3.0) * np.array([1, 2])[:, None, None]
    names = {"stable": "seed=0", "unstable": "seed=1"}
    panels = [p for p in landscape_panels(grid, {"stable": flat, "unstable": steep}, names) if p.part == "contour"]
    # of each panel the ends of the colour bar; the order is image by image
    ends = [tuple(drawn(panel.draw).axes[0].collections[0].get_clim()) for panel in panels]
    assert ends[0] == ends[1]
    assert ends[2] == ends[3]
    assert ends[0][1] >= 3
    assert ends[2][1] >= 6


def svg_of(text):
    def draw(figure):
        ax = figure.subplots()
        ax.plot([0, 1], [0.123456789, 1])
        ax.set_title(text)

    return inline_svg(compose([draw]), f"about {text}")


@pytest.mark.parametrize("text", ["lr 0.0125678", "a $x_1$ b", "$\\frac{", "#0072b2 stays", 'id="axes_1"'])
def test_svg_keeps_texts_as_they_are(text):
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", svg_of(text))
    assert text.replace('"', "&quot;") in [s.replace('"', "&quot;") for s in shown]


def test_svg_escapes_names_and_refers_to_nothing_outside():
    svg = svg_of("<script>alert(1)</script>")
    assert "<script" not in svg
    assert svg.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
    assert "http" not in svg
    assert 'role="img"' in svg


def test_svg_colours_follow_the_page():
    svg = svg_of("x")
    assert "var(--ink)" in svg
    assert not re.search(r"#(22262b|6a7079|dfe2e6)", svg)


@pytest.mark.slow
def test_many_trials_cost_a_bounded_picture(make_sweep):
    records = make_sweep(seeds=12)
    assert len(records) > VECTOR_LINES
    sizes = [len(inline_svg(compose([trajectories(records, metric)]), metric)) for metric in METRICS]
    assert max(sizes) < 60_000
