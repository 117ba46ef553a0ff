"""The HTML page, in a real headless Chromium: sorting, filtering, hovering, hostile names, no scripts, no network."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cdr_eval.reports.write import write_reports

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1400,1000"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
browser_only = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (Debian: apt-get install chromium-driver)"
)


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
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.addresses)
    assert not re.search(r"url\(|@import|<link", text)
    assert "default-src 'none'" in text


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    os.environ["SE_OFFLINE"] = "true"
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


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
    for selector in (".heatmap svg rect.tip", ".scatter svg g.tip"):
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
        assert len(browser.find_elements("css selector", "#explorer-table tbody tr")) == 144 * 5
        titles = browser.find_elements("css selector", ".heatmap svg rect.tip title")
        assert len(titles) == 144
        assert browser.find_element("css selector", ".heatmap svg").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@browser_only
def test_pair_page_shows_its_figures(pages: Callable[[str], Path], browser) -> None:
    browser.get(pages("pair").as_uri())
    script = "return [...document.images].map(i => i.naturalWidth)"
    widths = browser.execute_script(script)
    assert len(widths) == 3
    assert all(width > 100 for width in widths)
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
