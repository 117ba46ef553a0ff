"""Runs on the same items, side by side: paired differences, and the items that changed sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import UserError
from ..reports.run_format.compared import ChangedItem, Compared, ComparedRuns
from ..reports.run_format.results import RunResult
from ..reports.run_format.run_info import ANNOTATOR, FITTED
from ..reports.run_format.tables import AccuracyRow
from .statistics.arrays import Floats
from .statistics.intervals import percentile_interval
from .statistics.resampling import Bootstrap
from .statistics.scopes import Scopes
from .statistics.sign_flips import sign_flip_test

Label = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Opened:
    """A run with its margins as arrays."""

    folder: Path
    run: Mapping[str, Any]
    items: pd.DataFrame
    prompts: Mapping[str, str]
    """Item → hash of its prompt."""
    margins: Mapping[Label, Floats]
    """(items,) of each reward, in the order of `items`."""


def compare_runs(folders: Sequence[Path]) -> list[ComparedRuns]:
    """The first run against each of the others, over the items that both have with the same prompt.

    A reward is compared with the one of the same name; the others of two pair runs by variant, annotators and fitted
    rewards aside.
    Raises UserError for a folder that is no pair or grid run, or for runs that share no item or reward.
    """
    first, *others = [_open(folder) for folder in folders]
    return [_compared(first, other) for other in others]


def _open(folder: Path) -> _Opened:
    result = RunResult.load(folder)
    missing = next((stem for stem in ("items", "prompts", "margins") if stem not in result.tables), None)
    if missing is not None:
        raise UserError(f"{folder} has no {missing}.parquet: pass pair or grid runs, or run the same command again.")
    items = result.table("items")
    prompts = result.table("prompts")
    margins = result.margins.groupby(["strong", "weak", "variant"], observed=True, sort=False)["margin"]
    values = {(str(s), str(w), str(v)): of_one.to_numpy(dtype=np.float64) for (s, w, v), of_one in margins}
    return _Opened(folder, result.run, items, dict(zip(prompts["item"], prompts["prompt_id"], strict=True)), values)


def _compared(first: _Opened, second: _Opened) -> ComparedRuns:
    shared = [name for name in first.items["item"] if first.prompts[name] == second.prompts.get(name)]
    if not shared:
        raise UserError(f"{first.folder} and {second.folder} share no item: compare runs on the same task.")
    pairs = _matched(first, second)
    if not pairs:
        raise UserError(f"{first.folder} and {second.folder} share no reward variant: compare the same --variants.")
    rows = [pd.Index(run.items["item"]).get_indexer(pd.Index(shared)) for run in (first, second)]
    items = first.items.iloc[rows[0]]
    of_problem = _problems(items, first.prompts)
    number = {name: k for k, name in enumerate(sorted(set(of_problem)))}
    task = first.run["task"]
    scopes = Scopes.of(list(items["subset"]), task["sections"], task.get("overall") == "items")
    clusters = np.array([number[name] for name in of_problem], dtype=np.intp)
    bootstrap = Bootstrap.of(clusters, scopes.subsets, first.run["resamples"], first.run["seed"])
    rewards = [
        _one(a, b, first.margins[a][rows[0]], second.margins[b][rows[1]], items, scopes, bootstrap) for a, b in pairs
    ]
    total = len({*first.items["item"]} | {*second.items["item"]})
    return ComparedRuns(
        first=str(first.folder),
        second=str(second.folder),
        task=task["name"],
        items=len(shared),
        left_out=total - len(shared),
        by_margin=bool((items["responses"] != 2).any()),
        rewards=tuple(rewards),
        unmatched=len(first.margins) + len(second.margins) - 2 * len(pairs),
    )


def _problems(items: pd.DataFrame, prompts: Mapping[str, str]) -> list[str]:
    """What each item is drawn by: its problem, or the first item of its prompt, which earlier runs do not name."""
    first: dict[str, str] = {}
    return [
        problem or f"item {first.setdefault(prompts[name], name)}"
        for problem, name in zip(items["problem"], items["item"], strict=True)
    ]


def _matched(first: _Opened, second: _Opened) -> list[tuple[Label, Label]]:
    """Rewards of one name; where the runs are of one pair each, the others of one variant, too."""
    found = {label: label for label in first.margins if label in second.margins and label[0] != label[1]}
    if first.run["kind"] == second.run["kind"] == "pair":
        others = {label[2]: label for label in second.margins if label not in found}
        alike = others.keys() - {ANNOTATOR, FITTED}
        found |= {label: others[label[2]] for label in first.margins if label not in found and label[2] in alike}
    return [(label, found[label]) for label in first.margins if label in found]


def _one(
    a: Label, b: Label, before: Floats, after: Floats, items: pd.DataFrame, scopes: Scopes, bootstrap: Bootstrap
) -> Compared:
    both = ~np.isnan(before) & ~np.isnan(after)
    credits = np.where(both, np.stack([_credit(before), _credit(after)]), np.nan)
    rng = bootstrap.generator()
    drawn = bootstrap.accuracies(credits, scopes, rng)["overall"]
    observed = scopes.accuracies(credits)["overall"]
    lows, highs = percentile_interval(np.concatenate([drawn, drawn[1:] - drawn[:1]]), axis=1)
    contribution = np.where(both, credits[1] - credits[0], 0.0) * scopes.item_weights(both)
    difference, p_value = sign_flip_test(contribution, bootstrap.clusters, bootstrap.resamples, rng)
    rows = [
        AccuracyRow(
            strong=label[0],
            weak=label[1],
            variant=label[2],
            scope="overall",
            name="overall",
            n=int(both.sum()),
            ties=int((margins[both] == 0).sum()),
            accuracy=float(observed[k]),
            chance=None,
            ci_low=float(lows[k]),
            ci_high=float(highs[k]),
            note="",
        )
        for k, (label, margins) in enumerate(((a, before), (b, after)))
    ]
    order = np.argsort(-np.abs(np.where(both, after - before, 0.0)), kind="stable").tolist()
    changed = [
        ChangedItem(items["item"].iloc[k], items["subset"].iloc[k], float(before[k]), float(after[k]))
        for k in order
        if both[k] and before[k] * after[k] < 0
    ]
    gained, lost = (tuple(i for i in changed if (i.second > 0) == side) for side in (True, False))
    return Compared(rows[0], rows[1], difference, float(lows[2]), float(highs[2]), p_value, gained, lost)


def _credit(margins: Floats) -> Floats:
    """1 for a positive margin, ½ for none, 0 for a negative one."""
    return np.where(np.isnan(margins), np.nan, (np.sign(margins) + 1) / 2)
