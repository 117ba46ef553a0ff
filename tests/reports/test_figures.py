"""Figures: the files that are written, that they repeat, and that no text lies on another."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from cdr_eval.reports.charts.labels import Frame, free_boxes
from cdr_eval.reports.charts.training import write_training_figure
from cdr_eval.reports.colours import OKABE_ITO, RAMP, ink_on, ramp_colour
from cdr_eval.reports.figures import draw_figures
from cdr_eval.reports.pair_figures import LABEL_LENGTH, list_heatmaps, list_scatters, short_labels
from cdr_eval.reports.run_format.reading import read_run
from cdr_eval.reports.scores import collect_scores
from hypothesis import given
from hypothesis import strategies as st

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


def test_the_text_of_figures_stays_text(make_run: Callable[[str], Path], tmp_path: Path) -> None:
    draw_figures(read_run(make_run("hostile")), tmp_path)
    root = ET.fromstring((tmp_path / "heatmap-script-alert-1-vanilla.svg").read_text(encoding="utf-8"))
    texts = ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("}text")]
    assert texts.count("<script>alert(1)") == 2, "in rows and columns"
    assert sum(bool(re.fullmatch(r"\d+\.\d", text)) for text in texts) == 81


def test_ids_of_figures_differ_so_that_one_page_can_hold_them(make_run: Callable[[str], Path], tmp_path: Path) -> None:
    draw_figures(read_run(make_run("families")), tmp_path)
    texts = [path.read_text(encoding="utf-8") for path in tmp_path.glob("*.svg")]
    ids = [found for text in texts for found in re.findall(r' id="([^"]*)"', text)]
    used = [found for text in texts for found in re.findall(r"url\(#([^)]*)\)", text)]
    assert ids and len(set(ids)) == len(ids)
    assert set(used) <= set(ids)


SPOTS = st.tuples(st.floats(0, 10), st.floats(0, 100))


@given(st.lists(SPOTS, min_size=1, max_size=40), st.integers(1, 30))
def test_placed_labels_cover_neither_each_other_nor_points(points: list[tuple[float, float]], length: int) -> None:
    frame = Frame(-0.5, 10.5, -5, 105)
    labels = [(x, y, "n" * length) for x, y in points[:10]]
    boxes = [box for box in free_boxes(labels, points, frame) if box is not None]
    assert boxes or len(points) > 5
    for a, b in combinations(boxes, 2):
        assert abs(a.x - b.x) >= a.across + b.across or abs(a.y - b.y) >= a.up + b.up
    for box in boxes:
        assert box.x - box.across >= 0 and box.x + box.across <= frame.width
        assert box.y - box.up >= 0 and box.y + box.up <= frame.height
        for spot in (frame.pixels(*point) for point in points):
            assert abs(spot[0] - box.x) >= box.across or abs(spot[1] - box.y) >= box.up


def test_heatmap_is_in_the_runs_order(make_run: Callable[[str], Path]) -> None:
    run = read_run(make_run("families"))
    heatmap = list_heatmaps(run, collect_scores(run))[1]
    assert heatmap.checkpoints == ("other-base", "other-kto", "other-ipo")


def test_scatter_shows_each_pair_once_at_a_positive_gap(make_run: Callable[[str], Path]) -> None:
    run = read_run(make_run("grid"))
    scatter = list_scatters(run, collect_scores(run))[0]
    pairs = [frozenset((p.strong, p.weak)) for series in scatter.series for p in series.points]
    assert len(pairs) == len(set(pairs)) == 229, "of 231 pairs, twice two checkpoints have the same score"


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


@pytest.mark.parametrize(("steps", "dots"), [(1, 1), (3, 3), (40, 0)])
def test_a_training_of_few_steps_shows_each(tmp_path: Path, steps: int, dots: int) -> None:
    log = tmp_path / "training_log.csv"
    log.write_text("step,loss,reward_margin\n" + "".join(f"{k},{1 / k},\n" for k in range(1, steps + 1)))
    write_training_figure(log, tmp_path)
    drawn = (tmp_path / "training.svg").read_text(encoding="utf-8")
    assert len(re.findall(r"aria-roledescription=\"point\"", drawn)) == dots
