"""The HTML page, in a real headless Chromium: sorting, filtering, hovering, hostile names, no scripts, no network."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cdr_eval.reports.write import write_reports

from tests.reports.browsers import browser_only


@pytest.fixture(scope="module")
def pages(make_run: Callable[[str], Path]) -> Callable[[str], Path]:
    """Path of the page of a synthetic run, written once."""
    written: dict[str, Path] = {}

    def page(name: str) -> Path:
        if name not in written:
            written[name] = write_reports(make_run(name)).with_name("report.html")
        return written[name]

    return page


class Page(HTMLParser):
    """What a parser that runs no scripts sees."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.rows += tag == "tr"
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action"}]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


@pytest.mark.parametrize("name", ["pair", "families", "hostile", "unscored", "unscored_grid", "single"])
def test_page_is_whole_in_itself(pages: Callable[[str], Path], name: str) -> None:
    text = pages(name).read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.scripts == 1
    assert page.handlers == []
    assert page.addresses == ["items.html"]
    assert not re.search(r"url\((?!#)|@import|<link", text)
    assert "default-src 'none'" in text


def visible(browser, column: int) -> list[str]:
    """Texts of a column of the table's rows that are not filtered out."""
    script = (
        "return [...document.querySelectorAll('#explorer-table tbody tr')].filter(r => !r.hidden)"
        ".map(r => r.cells[arguments[0]].textContent)"
    )
    return browser.execute_script(script, column)


def choose(browser, name: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("name", name)).select_by_visible_text(value)


def accuracies(texts: list[str]) -> list[float]:
    return [float(text.split()[0]) for text in texts]


@browser_only
def test_filters_keep_the_rows_asked_for(pages: Callable[[str], Path], browser) -> None:
    browser.get(pages("families").as_uri())
    assert browser.find_element("id", "shown").text == "24 of 120 rows"
    choose(browser, "section", "Safety")
    choose(browser, "family", "mine")
    assert set(visible(browser, 4)) == {"Safety"}
    assert set(visible(browser, 2)) == {"mine"}
    assert len(visible(browser, 0)) == 12
    browser.find_element("name", "words").send_keys("SFT base")
    assert {frozenset(pair) for pair in zip(visible(browser, 0), visible(browser, 1), strict=True)} == {
        frozenset({"mine-sft", "mine-base"})
    }
    assert browser.find_element("id", "shown").text == "2 of 120 rows"
    choose(browser, "section", "all")
    assert len(visible(browser, 0)) == 10


@browser_only
def test_headings_sort_by_number_and_by_name(pages: Callable[[str], Path], browser) -> None:
    browser.get(pages("families").as_uri())
    headings = browser.find_elements("css selector", "#explorer-table th button")
    accuracy, gap, strong = headings[5], headings[8], headings[0]
    accuracy.click()
    falling = accuracies(visible(browser, 5))
    assert falling == sorted(falling, reverse=True)
    accuracy.click()
    assert accuracies(visible(browser, 5)) == sorted(falling)
    assert browser.find_elements("css selector", "#explorer-table th")[5].get_attribute("aria-sort") == "ascending"
    gap.click()
    gaps = [text.replace("−", "-") for text in visible(browser, 8)]
    known = [float(text) for text in gaps if text != "–"]
    assert known == sorted(known, reverse=True)
    assert gaps[len(known) :] == ["–"] * (len(gaps) - len(known)), "missing ones last"
    strong.click()
    strong.click()
    names = visible(browser, 0)
    assert names[0].startswith("mine")
    assert names[-1].startswith("other")


@browser_only
def test_hover_shows_a_pairs_numbers(pages: Callable[[str], Path], browser) -> None:
    from selenium.webdriver import ActionChains

    browser.get(pages("grid").as_uri())
    tip = browser.find_element("id", "tip")
    assert not tip.is_displayed()
    for selector in (".heatmap .mark-rect path", ".gap .mark-symbol path[aria-roledescription='point']"):
        mark = browser.find_elements("css selector", selector)[1]
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
        ActionChains(browser).move_to_element(mark).perform()
        assert tip.is_displayed()
        lines = tip.text.splitlines()
        assert " over minilab-" in lines[0]
        assert re.fullmatch(r"vanilla: [\d.]+ \[[\d.]+, [\d.]+\] %", lines[1])
        assert re.fullmatch(r"n = 96, ties \d+", lines[2])
        assert lines[3].startswith("gap in minilab_judge: ")
    ActionChains(browser).move_to_element(browser.find_element("tag name", "h1")).perform()
    assert not tip.is_displayed()


@browser_only
def test_hostile_names_are_text_and_nothing_is_fetched(pages: Callable[[str], Path], browser) -> None:
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(pages("hostile").as_uri())
    assert browser.execute_script("return document.querySelectorAll('script').length") == 1
    assert browser.execute_script("return document.querySelectorAll('img:not([src^=\"data:\"])').length") == 0
    assert "<script>alert(1)" in browser.find_element("css selector", "#explorer-table").text
    choose(browser, "family", "<script>alert(1)")
    assert len(visible(browser, 0)) == 81
    assert browser.get_log("browser") == []
    requests = [entry["message"] for entry in browser.get_log("performance") if "requestWillBeSent" in entry["message"]]
    fetched = re.findall(r'"url":"(\w+):', " ".join(requests))
    assert set(fetched) <= {"file", "data"}


@browser_only
def test_without_scripts_everything_is_still_there(pages: Callable[[str], Path], browser) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(pages("grid").as_uri())
        assert not browser.find_element("id", "controls").is_displayed()
        assert len(browser.find_elements("css selector", "#explorer-table tbody tr")) == 484 * 5
        marks = browser.find_elements("css selector", ".heatmap .mark-rect path[aria-label]")
        assert len([mark for mark in marks if " over " in mark.get_attribute("aria-label")]) == 484
        assert browser.find_element("css selector", ".heatmap svg").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@browser_only
def test_pair_page_shows_its_figures(pages: Callable[[str], Path], browser) -> None:
    browser.get(pages("pair").as_uri())
    widths = [figure.size["width"] for figure in browser.find_elements("css selector", "figure > svg")]
    assert len(widths) == 3
    assert all(width > 100 for width in widths)
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


OVERLAPS = """
const boxes = (nodes) => [...nodes].map((node) => [node.textContent || node.outerHTML, node.getBoundingClientRect()]);
const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
const [labels, dots] = [...arguments].map((selector) => boxes(document.querySelectorAll(selector)));
const found = [];
labels.forEach(([text, box], i) => {
  for (const [other, its] of labels.slice(i + 1)) if (!apart(box, its)) found.push([text, other]);
  for (const [dot, its] of dots) {
    const [x, y] = [(its.left + its.right) / 2, (its.top + its.bottom) / 2];
    if (box.left < x && x < box.right && box.top < y && y < box.bottom) found.push([text, dot]);
  }
});
return [labels.length, found];
"""


@browser_only
@pytest.mark.parametrize("name", ["grid", "families", "hostile"])
def test_texts_of_figures_lie_on_nothing(pages: Callable[[str], Path], browser, name: str) -> None:
    browser.get(pages(name).as_uri())
    labels = ".gap .layer_3_layer_2_marks text, .gap .layer_4_layer_2_marks text"
    for texts, dots in (
        (labels, ".gap .mark-symbol path[aria-roledescription='point']"),
        (".heatmap .mark-text.role-mark text", "none"),
        (".heatmap .role-axis-label text:not([transform*=rotate])", "none"),
    ):
        number, found = browser.execute_script(OVERLAPS, texts, dots)
        assert number
        assert found == []
