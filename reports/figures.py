"""Every figure of a run: which there are, how they are called, and writing them as SVG and PNG."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .annotation_rows import read_lengths
from .charts.accuracy import draw_chain, draw_variants
from .charts.annotation import draw_lengths, draw_shares
from .charts.curves import draw_best_of, draw_calibration, draw_selection
from .charts.fits import draw_estimates, draw_learning_curve
from .charts.look import Chart, save
from .charts.pairs import draw_heatmap, draw_scatter
from .common_sections import reward_name
from .document import Picture
from .escaping import file_stem
from .pair_figures import families, list_heatmaps, list_scatters, measured_pair, members, short_labels, sizes
from .pair_report import pair_lines
from .run_format.evaluation_tables import RewardRow
from .run_format.reading import Run
from .run_format.run_info import ANNOTATOR, FITTED
from .scores import Reward, Scores, chance_of, collect_scores, ranked, reward_of, scored

CURVES = 6
"""Rewards of a grid whose selection and calibration curves are drawn: the most accurate ones."""

R = TypeVar("R", bound=RewardRow)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure to be drawn."""

    picture: Picture
    draw: Callable[[], Chart]


def draw_figures(run: Run, folder: Path) -> tuple[Picture, ...]:
    """Draw every figure that the run has data for into `folder`, and say what was drawn."""
    drawings = tuple(_plan(run))
    for drawing in drawings:
        save(drawing.draw(), folder, drawing.picture.stem)
    return tuple(drawing.picture for drawing in drawings)


def _plan(run: Run) -> Iterable[Drawing]:
    scores = collect_scores(run)
    labels = short_labels(run, [c.name for c in run.info.checkpoints])
    taken: set[str] = set()
    yield from _best_of_figure(run, labels, taken)
    if run.info.kind == "annotation":
        yield from _annotation_figures(run, taken)
    elif run.info.kind == "pair":
        yield from _pair_figures(run, scores, taken)
    elif run.info.kind == "grid":
        yield from _grid_figures(run, scores, taken)
    yield from _fit_figures(run, taken)
    yield from _curve_figures(run, scores, labels, taken)


def _pair_figures(run: Run, scores: Scores, taken: set[str]) -> Iterable[Drawing]:
    known = set(scored(scores))
    lines = [line for line in pair_lines(run, scores) if line.reward in known]
    if lines:
        title = f"Reward accuracy on {run.info.task.name}"
        picture = Picture(
            "accuracy", file_stem("accuracy", taken), f"{title}: every reward by section, with 95% intervals"
        )
        yield Drawing(picture, lambda: draw_variants(scores, lines, title))


def _best_of_figure(run: Run, labels: Mapping[str, str], taken: set[str]) -> Iterable[Drawing]:
    if run.best_of:
        curves = _by_reward(run.best_of)
        names = {reward: _curve_name(run, reward, labels) if reward[0] else reward[2] for reward in curves}
        alt = "Mean grade of the response picked of k, for every reward, with 95% intervals"
        yield Drawing(Picture("best-of", file_stem("best of n", taken), alt), lambda: draw_best_of(curves, names))


def _annotation_figures(run: Run, taken: set[str]) -> Iterable[Drawing]:
    """Confidences, lengths and sample indices of an annotation."""
    shares = [row for row in run.statistics if row.statistic == "share of pairs" and row.topic == "confidence"]
    if shares:
        picture = Picture("histogram", file_stem("confidence", taken), "Histogram of the pairs' confidences")
        yield Drawing(picture, lambda: draw_shares(shares, "confidence C = 2σ(m / τ) − 1", "share of pairs (%)"))
    indices = [row for row in run.statistics if row.statistic == "share of chosen" and row.topic == "index"]
    if len(indices) > 1:
        picture = Picture("index", file_stem("sample index", taken), "Share of the chosen by sample index")
        yield Drawing(picture, lambda: draw_shares(indices, "sample index", "share of chosen (%)", level=True))
    lengths = read_lengths(run)
    if len(lengths):
        alt = "Length of the chosen against that of the rejected response, a dot a prompt"
        picture = Picture("length", file_stem("length", taken), alt)
        unit = run.info.annotation.length_unit if run.info.annotation else ""
        yield Drawing(picture, lambda: draw_lengths(lengths, unit))


def _grid_figures(run: Run, scores: Scores, taken: set[str]) -> Iterable[Drawing]:
    labels = {family: short_labels(run, members(run, family)) for family in families(run)}
    gaps = {reward_of(row): row.gaps for row in run.pairs}
    for heatmap in list_heatmaps(run, scores):
        alt = f"Heatmap of accuracy, strong by weak: {heatmap.family}, {heatmap.variant}"
        stem = file_stem(f"heatmap {heatmap.family} {heatmap.variant}", taken)
        yield Drawing(
            Picture("heatmap", stem, alt), lambda heatmap=heatmap: draw_heatmap(heatmap, labels[heatmap.family], gaps)
        )
    for scatter in list_scatters(run, scores):
        alt = f"Accuracy against the alignment gap in {scatter.benchmark}, by family, with fit and 95% band"
        stem = file_stem(f"gap {scatter.benchmark}", taken)
        yield Drawing(Picture("gap", stem, alt), lambda scatter=scatter: draw_scatter(scatter, labels, gaps))
    for family in dict.fromkeys(row.family for row in run.chain):
        rows = [row for row in run.chain if row.family == family and row.scope == "overall"]
        if rows:
            found = [measured_pair(run, scores, row.checkpoint, row.weak) for row in rows]
            chance = chance_of(found)
            if chance is None:
                continue
            title = f"Iterated training, {family} ({sizes(row for row in found if row is not None)})"
            picture = Picture("chain", file_stem(f"chain {family}", taken), title)
            named = {name for row in rows for name in (row.checkpoint, row.weak)}
            names = short_labels(run, [c.name for c in run.info.checkpoints if c.name in named])
            yield Drawing(
                picture,
                lambda rows=rows, title=title, names=names, chance=chance: draw_chain(rows, names, title, chance),
            )


def _fit_figures(run: Run, taken: set[str]) -> Iterable[Drawing]:
    """The learning curve of a fit, and estimates without labels where the labels are known after all."""
    if run.learning_curve:
        alt = "Accuracy of a fitted reward and of the best pair by the number of labels, with 95% intervals"
        picture = Picture("curve", file_stem("learning curve", taken), alt)
        yield Drawing(picture, lambda: draw_learning_curve(run.learning_curve))
    if any(row.accuracy is not None for row in run.unlabelled):
        alt = "Accuracy as estimated without labels against that by the labels, a dot a pair"
        picture = Picture("unlabelled", file_stem("unlabelled", taken), alt)
        yield Drawing(picture, lambda: draw_estimates(run.unlabelled))


def _curve_figures(run: Run, scores: Scores, labels: Mapping[str, str], taken: set[str]) -> Iterable[Drawing]:
    selection = _by_reward(run.selection)
    calibration = _by_reward(run.calibration)
    shown = _shown(run, scores, dict.fromkeys([*selection, *calibration]))
    names = {reward: _curve_name(run, reward, labels) for reward in shown}
    groups = _groups({reward: selection[reward] for reward in shown if reward in selection})
    curves = {reward: calibration[reward] for reward in shown if reward in calibration}
    if groups:
        alt = "Accuracy among the items with the largest absolute margin, with 95% intervals"
        picture = Picture("confidence", file_stem("selection", taken), alt)
        subsets = (
            row for reward in shown for row in scores.by_reward.get(reward, {}).values() if row.scope == "subset"
        )
        chance = chance_of(subsets)
        yield Drawing(picture, lambda: draw_selection(groups, names, chance))
    if curves:
        alt = "Calibration: accuracy against confidence, with 95% intervals"
        picture = Picture("confidence", file_stem("calibration", taken), alt)
        yield Drawing(picture, lambda: draw_calibration(curves, names))


def _by_reward(rows: Sequence[R]) -> dict[Reward, list[R]]:
    table: dict[Reward, list[R]] = {}
    for row in rows:
        table.setdefault(reward_of(row), []).append(row)
    return table


def _shown(run: Run, scores: Scores, rewards: Iterable[Reward]) -> list[Reward]:
    """All rewards of a pair; of a grid the most accurate ones."""
    if run.info.kind != "grid":
        return list(rewards)
    wanted = set(rewards)
    return [reward for reward in ranked(scores, scores.overall) if reward in wanted][:CURVES]


def _curve_name(run: Run, reward: Reward, labels: Mapping[str, str]) -> str:
    strong, weak, variant = reward
    if run.info.kind == "fit" or variant in (ANNOTATOR, FITTED):
        return reward_name(reward)
    if run.info.kind != "grid":
        return variant
    short = reward_name((labels.get(strong, strong), labels.get(weak, weak), variant))
    return short if len(run.info.variants) > 1 else short.removeprefix(f"{variant}, ")


GROUPS = {"pmi-": "PMI", "prompt-delta-": "one model", "judge-": "one model", "likelihood": "one model"}


def _groups(curves: Mapping[Reward, T]) -> dict[str, dict[Reward, T]]:
    """Rewards by kind, so that no panel holds more curves than a reader can tell apart."""
    groups: dict[str, dict[Reward, T]] = {}
    for reward, rows in curves.items():
        kind = next((title for prefix, title in GROUPS.items() if reward[2].startswith(prefix)), "density ratio")
        groups.setdefault(kind, {})[reward] = rows
    return groups
