"""Figures: the files that are written, that they repeat, and that no text lies on another."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import pytest
from cdr_eval.reports.colours import OKABE_ITO, RAMP, ink_on, ramp_colour
from cdr_eval.reports.figure_heatmap import draw_heatmap
from cdr_eval.reports.figure_scatter import draw_scatter
from cdr_eval.reports.figure_style import in_style
from cdr_eval.reports.figures import draw_figures
from cdr_eval.reports.pair_figures import LABEL_LENGTH, families, list_heatmaps, list_scatters, members, short_labels
from cdr_eval.reports.run_format.reading import Run, read_run
from cdr_eval.reports.scores import collect_scores
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

pytestmark = pytest.mark.filterwarnings("ignore:Glyph .* missing from font")

EXPECTED = {
    "pair": {"accuracy", "selection", "calibration"},
    "unscored": {"accuracy", "selection", "calibration"},
    "single": set(),
    "couple": {"selection", "calibration"},
    "families": {"heatmap-mine-vanilla", "heatmap-other-vanilla", "gap-my-bench", "selection", "calibration"},
    "grid": {
        *("heatmap-minilab-vanilla", "gap-minilab-judge", "gap-minilab-judge-sampled", "chain-minilab"),
        *("selection", "calibration"),
    },
    "hostile": {"heatmap-script-alert-1-vanilla", "gap-b-i-x", "selection", "calibration"},
}


@pytest.mark.parametrize("name", list(EXPECTED))
def test_each_figure_is_written_as_svg_and_png(make_run: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    pictures = draw_figures(read_run(make_run(name)), tmp_path)
    assert {picture.stem for picture in pictures} == EXPECTED[name]
    assert {path.name for path in tmp_path.iterdir()} == {f"{s}.{x}" for s in EXPECTED[name] for x in ("svg", "png")}
    for path in tmp_path.glob("*.svg"):
        root = ET.fromstring(path.read_text(encoding="utf-8"))
        assert root.tag.endswith("svg")
        assert not [node for node in root.iter() if node.tag.endswith(("script", "foreignObject"))]
    for path in tmp_path.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_figures_repeat_byte_for_byte(make_run: Callable[[str], Path], tmp_path: Path) -> None:
    run = read_run(make_run("families"))
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        draw_figures(run, tmp_path / folder)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name


def boxes_of(figure: Figure, texts: Sequence[Text]) -> list[Bbox]:
    """The boxes of texts in pixels; of an annotation the text's alone, without its leader line."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    return [Text.get_window_extent(text, canvas.get_renderer()) for text in texts]


def overlapping(boxes: Sequence[Bbox]) -> list[tuple[Bbox, Bbox]]:
    return [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]


def axes_of(figure: Figure) -> Axes:
    figure.canvas.draw()
    return figure.axes[0]


@pytest.fixture(params=["grid", "families", "hostile"])
def grid(request: pytest.FixtureRequest, make_run: Callable[[str], Path]) -> Run:
    return read_run(make_run(request.param))


def test_scatter_labels_overlap_neither_each_other_nor_points(grid: Run) -> None:
    labels = {family: short_labels(grid, members(grid, family)) for family in families(grid)}
    for scatter in list_scatters(grid, collect_scores(grid)):
        with in_style():
            figure = draw_scatter(scatter, labels)
            axes = axes_of(figure)
            notes = [t for t in axes.texts if isinstance(t, Annotation) and t.arrow_patch is not None]
            boxes = boxes_of(figure, notes)
        assert boxes
        assert not overlapping(boxes)
        points = [(p.gap, 100 * (p.row.accuracy or 0)) for series in scatter.series for p in series.points]
        dots = [axes.transData.transform(point) for point in points]
        assert not [dot for dot in dots for box in boxes if box.contains(*dot)]


def test_heatmap_texts_fit_their_cells_and_ticks_do_not_overlap(grid: Run) -> None:
    for heatmap in list_heatmaps(grid, collect_scores(grid)):
        with in_style():
            figure = draw_heatmap(heatmap, short_labels(grid, heatmap.checkpoints))
            axes = axes_of(figure)
            cells = boxes_of(figure, axes.texts)
            rows = boxes_of(figure, axes.get_yticklabels())
        assert len(cells) == len(heatmap.checkpoints) ** 2
        assert not overlapping(cells)
        assert not overlapping(rows)


def test_heatmap_is_in_the_runs_order(make_run: Callable[[str], Path]) -> None:
    run = read_run(make_run("families"))
    heatmap = list_heatmaps(run, collect_scores(run))[1]
    assert heatmap.checkpoints == ("other-base", "other-kto", "other-ipo")


def test_scatter_shows_each_pair_once_at_a_positive_gap(make_run: Callable[[str], Path]) -> None:
    run = read_run(make_run("grid"))
    scatter = list_scatters(run, collect_scores(run))[0]
    pairs = [frozenset((p.strong, p.weak)) for series in scatter.series for p in series.points]
    assert len(pairs) == len(set(pairs)) == 65, "of 66 pairs, two checkpoints have the same score"


def test_labels_of_different_checkpoints_differ(make_run: Callable[[str], Path]) -> None:
    run = read_run(make_run("hostile"))
    labels = short_labels(run, [c.name for c in run.info.checkpoints])
    assert len(set(labels.values())) == 9
    assert max(map(len, labels.values())) <= LABEL_LENGTH


def luma(colour: str) -> float:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_colours_keep_apart_in_grey() -> None:
    """The ramp's ends differ in grey, and ink on any of its colours has contrast."""
    assert abs(luma(RAMP[0]) - luma(RAMP[-1])) > 50
    assert ramp_colour(50, 50, 30) == ramp_colour(25, 25, 10) == RAMP[2]
    for percent in range(101):
        background = ramp_colour(percent, 50, 40)
        ink = 255 if ink_on(background) == "white" else 0
        assert abs(luma(background) - ink) > 110
    assert len(set(OKABE_ITO)) == 7
