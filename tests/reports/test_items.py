"""The page of items, in a real headless Chromium: what it lists, filters, compares and shows, and where it keeps it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cdr_eval.reports import items_page
from cdr_eval.reports.run_format.results import RunResult
from cdr_eval.reports.write import write_reports
from cdr_eval.tasks.criteria import load_criteria
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.reports.browsers import browser_only


@pytest.fixture(scope="module")
def written(make_run: Callable[[str], Path]) -> Callable[[str], Path]:
    """A run with its reports, written once."""
    folders: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in folders:
            folders[name] = make_run(name)
            write_reports(folders[name])
        return folders[name]

    return run


def visit(browser: Any, folder: Path) -> None:
    browser.get((folder / "items.html").as_uri())
    WebDriverWait(browser, 20).until(lambda b: b.find_element(By.ID, "controls").is_displayed())


def choose(browser: Any, **values: str) -> None:
    for name, value in values.items():
        Select(browser.find_element("name", name)).select_by_visible_text(value)


def until(browser: Any, number: int) -> None:
    """Wait until the list holds so many items."""
    state = browser.find_element(By.ID, "state")
    WebDriverWait(browser, 20).until(lambda _: state.text.startswith(f"{number} of "))


def listed(browser: Any) -> list[int]:
    script = "return [...document.querySelectorAll('#list [data-item]')].map(b => Number(b.dataset.item))"
    return browser.execute_script(script)


def margins_of(folder: Path, strong: str, weak: str, variant: str) -> "pd.Series[float]":
    rows = RunResult.load(folder).margins
    wanted = (rows["strong"] == strong) & (rows["weak"] == weak) & (rows["variant"] == variant)
    return rows[wanted]["margin"].reset_index(drop=True)


@browser_only
def test_items_are_listed_by_margin_and_filtered(written: Callable[[str], Path], browser: Any) -> None:
    folder = written("pair")
    visit(browser, folder)
    margin = margins_of(folder, "minilab-dpo-3", "minilab-sft", "vanilla")
    assert listed(browser) == margin.sort_values(kind="stable").index.tolist()
    choose(browser, verdict="wrong")
    until(browser, int((margin < 0).sum()))
    assert set(listed(browser)) == set(margin[margin < 0].index)
    choose(browser, verdict="all", section="Safety", sort="margin, highest first")
    items = RunResult.load(folder).table("items")
    safety = margin[items["section"] == "Safety"]
    until(browser, len(safety))
    assert listed(browser) == safety.sort_values(ascending=False, kind="stable").index.tolist()


def test_what_right_means_is_said_where_items_have_more_than_two_responses(written: Callable[[str], Path]) -> None:
    said = "Right is here an acceptable response of a higher reward than every other."
    several = (written("several") / "items.html").read_text(encoding="utf-8")
    assert f"{said} The task's own rule: " in several
    assert said not in (written("pair") / "items.html").read_text(encoding="utf-8")


@browser_only
def test_two_rewards_are_compared(written: Callable[[str], Path], browser: Any) -> None:
    folder = written("families")
    visit(browser, folder)
    choose(browser, pair="mine-dpo-1 over mine-base", other_pair="mine-sft over mine-base", verdict="all")
    ours, theirs = (margins_of(folder, strong, "mine-base", "vanilla") for strong in ("mine-dpo-1", "mine-sft"))
    choose(browser, verdict="right, the other wrong")
    only = (ours > 0) & (theirs < 0)
    until(browser, int(only.sum()))
    assert only.any()
    assert set(listed(browser)) == set(only[only].index)


@browser_only
def test_an_opened_item_shows_its_texts_rewards_and_lengths(written: Callable[[str], Path], browser: Any) -> None:
    folder = written("pair")
    visit(browser, folder)
    item = browser.find_elements(By.CSS_SELECTOR, "#list [data-item]")[3]
    number = int(item.get_attribute("data-item"))
    item.click()
    tables = RunResult.load(folder)
    name = tables.table("items")["item"][number]
    article = browser.find_element(By.ID, "item")
    WebDriverWait(browser, 20).until(lambda _: article.find_element(By.TAG_NAME, "h2").text == name)
    rewards = tables.rewards
    rewards = rewards[(rewards["item"] == name) & (rewards["variant"] == "vanilla")]["reward"].tolist()
    texts = tables.table("texts")
    responses = texts[texts["item"] == name]["text"].tolist()
    assert [e.text for e in article.find_elements(By.CSS_SELECTOR, ".response")] == responses
    facts = [e.text for e in article.find_elements(By.CSS_SELECTOR, ".facts")][1:]
    for fact, reward, text in zip(facts, rewards, responses, strict=True):
        assert f"{reward:+.2f}".replace("-", "−") in fact
        assert fact.endswith(f"characters {len(text)}")


@browser_only
def test_words_find_items_by_their_texts_and_what_lies_beside_the_page_is_loaded(
    make_run: Callable[[str], Path], browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items_page, "INLINE_BYTES", 0)
    monkeypatch.setattr(items_page, "BLOCK_CHARS", 2000)
    folder = make_run("pair")
    write_reports(folder)
    scripts = {path.name for path in (folder / "items").iterdir()}
    assert {"texts-0.js", "texts-1.js", "numbers-0.js", "numbers-16.js"} <= scripts
    visit(browser, folder)
    browser.find_element("name", "words").send_keys("GRUMPY ogre")
    texts = RunResult.load(folder).table("prompts")["prompt"]
    wanted = texts[texts.str.contains("grumpy") & texts.str.contains("ogre")].index
    until(browser, len(wanted))
    assert set(listed(browser)) == set(wanted)
    write_reports_again = write_reports(folder)
    monkeypatch.undo()
    assert write_reports_again.exists()
    write_reports(folder)
    assert not (folder / "items").exists(), "a page that holds all needs no folder"


@browser_only
def test_hostile_names_and_texts_are_text_and_nothing_is_fetched(written: Callable[[str], Path], browser: Any) -> None:
    for name in ("hostile", "hostile_pair"):
        folder = written(name)
        browser.get_log("performance")
        browser.get_log("browser")
        visit(browser, folder)
        assert browser.execute_script("return document.querySelectorAll('img, svg').length") == 0
        assert browser.get_log("browser") == []
        requests = [e["message"] for e in browser.get_log("performance") if "requestWillBeSent" in e["message"]]
        assert set(re.findall(r'"url":"(\w+):', " ".join(requests))) <= {"file", "blob"}


def test_a_run_without_texts_has_no_page_of_items(make_run: Callable[[str], Path]) -> None:
    folder = make_run("plain")
    for name in ("texts.parquet", "SHA256SUMS"):
        (folder / name).unlink()
    write_reports(folder)
    assert not (folder / "items.html").exists()


@browser_only
def test_a_strip_shows_what_each_token_earned(
    run_result: Callable[[str], RunResult], tmp_path: Path, browser: Any
) -> None:
    folder = run_result("tokens").save(tmp_path / "run")
    write_reports(folder)
    visit(browser, folder)
    tables = RunResult.load(folder)
    number = listed(browser)[0]
    name = tables.table("items")["item"][number]
    tokens = tables.table("tokens")
    rows = tokens[(tokens["item"] == name) & (tokens["variant"] == "vanilla") & (tokens["response"] == 0)]
    spans = browser.find_elements(By.CSS_SELECTOR, ".strip")[0].find_elements(By.TAG_NAME, "span")
    assert [float(span.get_attribute("title").split(": ")[-1].split()[0]) for span in spans] == pytest.approx(
        rows["value"].tolist(), abs=6e-4
    )
    assert [span.get_attribute("textContent") for span in spans] == rows["token"].tolist()
    choose(browser, verdict="all", sort="margin, highest first")
    browser.find_elements(By.CSS_SELECTOR, "#list [data-item]")[0].click()
    WebDriverWait(browser, 20).until(lambda b: not b.find_elements(By.CSS_SELECTOR, ".strip"))


@browser_only
def test_an_item_shows_the_criteria_that_the_reward_puts_it_under(written: Callable[[str], Path], browser: Any) -> None:
    folder = written("pair")
    visit(browser, folder)
    domains = load_criteria(Path(RunResult.load(folder).run["criteria"])).domains
    items = RunResult.load(folder).table("items")
    article = browser.find_element(By.ID, "item")
    for section in ("Safety", "Reasoning", "Chat"):
        for variant in ("vanilla", "cdr-chat-hard", "cdr-adaptive-oracle"):
            choose(browser, variant=variant, section=section)
            until(browser, int((items["section"] == section).sum()))
            WebDriverWait(browser, 20).until(lambda _, wanted=section: f"section {wanted}" in article.text)
            by_section = {"Safety": ["safety"], "Reasoning": ["code-math"], "Chat": []}[section]
            wanted = {"vanilla": [], "cdr-chat-hard": ["chat-hard"]}.get(variant, by_section)
            shown = [e.get_attribute("textContent") for e in article.find_elements(By.CSS_SELECTOR, "details .turn")]
            assert shown == [domains[name].instruction for name in wanted], (section, variant)
