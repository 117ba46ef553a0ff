"""The items of a run as a page to filter, sort, search and read; of a large run most lies in scripts beside it."""

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from .escaping import shortened
from .formatting import plural
from .html import asset, content_hash, environment
from .run_format.frames import stream_table
from .run_format.reading import Run
from .run_format.tables import TABLES

INLINE_BYTES: Final = 9_000_000
"""A page of more than this keeps its blocks in files beside it."""
BLOCK_CHARS: Final = 2_000_000
"""Characters of texts in one block."""
HEAD: Final = 90
"""Characters of a prompt in the list."""

PREFIX = ("strong", "weak", "variant")


def write_items(run: Run, folder: Path) -> bool:
    """Write items.html, and items/ where the page would grow large; False for a run that keeps no texts."""
    if not (run.path / TABLES["texts"].file).exists():
        return False
    items = _table(run, "items")
    blocks = dict(_blocks(run, items))
    whole = sum(map(len, blocks.values())) <= INLINE_BYTES
    if not whole:
        (folder / "items").mkdir()
        for name, text in blocks.items():
            script = f"block({json.dumps(name)}, {json.dumps(text)});\n"
            (folder / "items" / f"{name}.js").write_text(script, encoding="ascii", newline="\n")
    script, style = asset("items.js"), asset("items.css")
    page = (
        environment()
        .get_template("items.html.j2")
        .render(
            title=_title(run),
            task=run.info.task.name,
            criteria=run.info.criteria,
            rule="" if (items["responses"] == 2).all() else run.info.task.rule,
            blocks={name: text for name, text in blocks.items() if whole or name == "index"},
            script=Markup(script),
            style=Markup(style),
            script_hash=content_hash(script),
            style_hash=content_hash(style),
        )
    )
    (folder / "items.html").write_text(page, encoding="utf-8", newline="\n")
    return True


def _title(run: Run) -> str:
    if run.info.kind == "pair":
        return "; ".join(f"{pair.strong} over {pair.weak}" for pair in run.info.pairs) or "Rewards"
    return plural(len(run.info.pairs), "pair")


def _table(run: Run, stem: str) -> pd.DataFrame:
    return pd.concat(stream_table(run.path / TABLES[stem].file)(), ignore_index=True)


def _blocks(run: Run, items: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Names and contents: the index, the texts of some items each, the numbers of one reward each."""
    counts: NDArray[np.int64] = items["responses"].to_numpy(dtype=np.int64)
    heads: list[str] = []
    starts: list[int] = []
    for number, (start, texts) in enumerate(_texts(run)):
        starts.append(start)
        heads += [shortened(text["prompt"][-1]["content"], HEAD) for text in texts]
        yield f"texts-{number}", _packed(json.dumps(texts, ensure_ascii=False).encode())
    names: list[tuple[str, ...]] = []
    pairs = zip(_columns(run, "margins", len(items)), _columns(run, "rewards", int(counts.sum())), strict=True)
    for number, ((label, margins), (_, rewards)) in enumerate(pairs):
        names.append(label)
        yield f"numbers-{number}", _packed(np.concatenate([margins, rewards]).astype("<f4").tobytes())
    with_tokens: list[int] = []
    for label, tokens in _tokens(run):
        with_tokens.append(names.index(label))
        yield f"tokens-{with_tokens[-1]}", _packed(json.dumps(tokens, ensure_ascii=False).encode())
    index = {
        **{name: list(items[name]) for name in ("item", "subset", "section", "domain_oracle", "domain_routed")},
        "responses": counts.tolist(),
        "head": heads,
        "starts": starts,
        "rewards": names,
        "tokens": with_tokens,
        "domains": run.info.domains,
        "routes": run.info.routes,
    }
    yield "index", _packed(json.dumps(index, ensure_ascii=False).encode())


def _tokens(run: Run) -> Iterator[tuple[tuple[str, ...], dict[str, dict[str, Any]]]]:
    """A reward, and item → response → its tokens and what each of them earned."""
    if not (run.path / TABLES["tokens"].file).exists():
        return
    for label, of_label in _table(run, "tokens").groupby([*PREFIX], observed=True, sort=False):
        found: dict[str, dict[str, Any]] = {}
        for (item, response), rows in of_label.groupby(["item", "response"], observed=True, sort=False):
            values = [round(value, 4) for value in rows["value"]]
            found.setdefault(str(item), {})[str(response)] = [list(rows["token"]), values]
        yield tuple(map(str, label)), found


def _packed(data: bytes) -> str:
    """Compressed, in characters that neither HTML nor a script takes for anything else."""
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def _texts(run: Run) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Prompts and responses of some items at a time, and the number of the first."""
    responses = _by_item(run, "texts")
    block: list[dict[str, Any]] = []
    start = size = 0
    for frame in stream_table(run.path / TABLES["prompts"].file)():
        for prompt in frame["prompt"]:
            answers = next(responses)
            shown = [[row["text"], _number(row["grade"])] for row in answers]
            block.append({"prompt": json.loads(prompt), "responses": shown})
            size += len(prompt) + sum(len(row["text"]) for row in answers)
            if size >= BLOCK_CHARS:
                yield start, block
                start, block, size = start + len(block), [], 0
    if block:
        yield start, block


def _by_item(run: Run, stem: str) -> Iterator[list[dict[str, Any]]]:
    """The rows of each item, which lie together."""
    kept: list[dict[str, Any]] = []
    for frame in stream_table(run.path / TABLES[stem].file)():
        rows: list[Any] = frame.to_dict("records")
        for row in rows:
            if kept and row["response"] == 0:
                yield kept
                kept = []
            kept.append(row)
    if kept:
        yield kept


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _columns(run: Run, stem: str, size: int) -> Iterator[tuple[tuple[str, ...], NDArray[np.float64]]]:
    """The label and the last column of each reward, whose rows lie together in `stem`."""
    values: list[NDArray[np.float64]] = []
    label: tuple[str, ...] = ()
    have = 0
    for frame in stream_table(run.path / TABLES[stem].file)():
        column = frame[TABLES[stem].columns[-1].name].to_numpy(dtype=np.float64)
        at = 0
        while at < len(frame):
            if have == 0:
                label = tuple(str(frame[name].iloc[at]) for name in PREFIX)
            part = column[at : at + size - have]
            values.append(part)
            at, have = at + len(part), have + len(part)
            if have == size:
                yield label, np.concatenate(values)
                values, have = [], 0
