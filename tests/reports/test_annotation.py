"""The report of an annotation: made from its folder alone, safe to show, with prompts to read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness import Options
from cdr_eval.harness.annotate import annotate
from cdr_eval.reports.markdown import render_markdown
from cdr_eval.reports.summary import summary
from cdr_eval.reports.write import write_reports

from tests.reports.browsers import browser_only

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def folder(no_bars: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An annotation by a column of scores, with labels of its own and hostile texts."""
    where = tmp_path_factory.mktemp("annotation")
    rows = [
        {
            "id": f"{HOSTILE}{k}",
            "prompt": f"{HOSTILE} | `{k}`?",
            "responses": [f"{HOSTILE} {n}" for n in range(5)],
            "scores": [float((n * k) % 5) for n in range(5)],
            "subset": "a|b" if k % 2 else "[x](y)",
        }
        for k in range(1, 140)
    ]
    data = where / "scored.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return annotate(str(data), scores="scores", options=Options(resamples=100)).save(where / "out", write_reports)


def test_the_page_shows_prompts_with_their_responses_in_the_order_of_their_rewards(folder: Path):
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('<details class="prompt"') == 100
    assert "100 of 139 prompts, evenly spread" in page
    assert page.count('<tr class="chosen">') + page.count('<tr class="">') + page.count('<tr class="rejected">') == 500
    assert HOSTILE not in page
    assert "https://" not in page and "http://" not in page.replace("http://www.w3.org", "")


def test_the_report_is_made_again_from_the_folder_alone(folder: Path):
    before = {name: (folder / name).read_bytes() for name in ("report.md", "report.html")}
    assert write_reports(folder) == folder / "report.md"
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert HOSTILE not in before["report.md"].decode()


def test_pictures_in_the_report_exist(folder: Path):
    text = (folder / "report.md").read_text(encoding="utf-8")
    links = [part.split(")")[0] for part in text.split("](figures/")[1:]]
    assert links
    assert all((folder / "figures" / link).is_file() for link in links)


@browser_only
def test_the_page_fits_a_phone(folder: Path, browser: Any):
    """Tables and figures scroll by themselves; the page does not."""
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    browser.get((folder / "report.html").as_uri())
    width = browser.execute_script("return document.documentElement.scrollWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width == 390


def test_the_terminal_shows_pairs_and_that_nothing_judges_them(folder: Path):
    assert "There are no labels to judge the pairs by." in render_markdown(summary(folder))


@pytest.mark.parametrize("name", ["prompts.parquet", "responses.parquet"])
def test_a_missing_table_is_a_sentence(name: str, folder: Path, tmp_path: Path, make_copy: Callable[[Path], Path]):
    copy = make_copy(folder)
    (copy / name).unlink()
    (copy / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        write_reports(copy)


@pytest.fixture
def make_copy(tmp_path: Path) -> Callable[[Path], Path]:
    """A copy of a folder for a test that damages it."""
    import shutil

    return lambda folder: shutil.copytree(folder, tmp_path / "copy")


def test_a_damaged_prompt_is_a_sentence(folder: Path, make_copy: Callable[[Path], Path]):
    copy = make_copy(folder)
    (copy / "SHA256SUMS").unlink()
    table = pd.read_parquet(copy / "prompts.parquet")
    table.loc[0, "prompt"] = "{"
    table.to_parquet(copy / "prompts.parquet")
    with pytest.raises(UserError, match="cannot be read"):
        write_reports(copy)
