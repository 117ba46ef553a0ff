"""run.json, the tables and the files of a fitted reward."""

from typing import Any

import numpy as np
import pandas as pd

from ...reports.run_format.frames import make_frame
from ...reports.run_format.results import RunResult
from ...reports.run_format.run_info import FITTED
from ..fitted import fitted_terms
from ..fitted_file import FITTED_FORMAT, FittedFile, problem_hashes
from ..fitting.bradley_terry import STRENGTHS, Fit, coefficient_interval
from ..fitting.compared import FOLDS
from ..fitting.cross_fitting import best_pair, learning_curve
from ..question import criteria_hash
from ..statistics.arrays import Floats
from .accuracy import accuracy_table, comparison_table
from .item_tables import ItemData, analyse_pair
from .judged_fit import GAIN_SHARE, Fitting
from .run_record import RunFacts, items_table, left_out_table, run_record
from .run_result import margins_table, rewards_table
from .sample import Label
from .texts import prompts_stream, texts_stream

ALL, SPARSE, PAIR = "fitted", "fitted-sparse", "pair chosen on the labels"


def fitted_files(fitting: Fitting) -> tuple[FittedFile, FittedFile]:
    """fitted.yaml and fitted-sparse.yaml."""
    return _file(fitting, ALL, fitting.whole), _file(fitting, SPARSE, fitting.sparse)


def fit_result(fitting: Fitting, seconds: float) -> RunResult:
    """run.json and all tables."""
    labels, rewards = _rows(fitting)
    sample, items = fitting.sample, fitting.question.task.items
    margins = sample.margins(rewards)
    data = ItemData(
        dict(enumerate(labels)), margins, sample.credits(rewards), sample.clusters, sample.length_difference
    )
    # The fits against the choice and against the gap's; the choice against the gap's.
    against = [(a, b) for b in range(2, len(labels)) for a in range(b)]
    tables = {
        "items": items_table(fitting.question, fitting.scored, sample.mean_chars),
        "margins": margins_table(labels, margins, items.ids),
        "rewards": rewards_table(labels, rewards, items.ids, items.counts),
        "prompts": prompts_stream(items),
        "texts": texts_stream(items),
        "accuracy": accuracy_table(labels, rewards, sample),
        "comparisons": comparison_table(labels, rewards, against, sample),
        **analyse_pair(data, seed=fitting.options.seed),
        "coefficients": _coefficients(fitting),
        "sparse_path": _path(fitting),
        "learning_curve": _curve(fitting),
    }
    if fitting.question.task.reading.left_out:
        tables["left_out"] = left_out_table(fitting.question.task)
    facts = _facts(fitting, seconds)
    run = {**run_record(facts, int((margins == 0).sum())), "fit": _info(fitting)}
    return RunResult(run, tables)


def _rows(fitting: Fitting) -> tuple[list[Label], Floats]:
    """What is judged: the fits and the choice out of fold, and the gap's choice."""
    judged = fitting.judged
    found: dict[Label, Floats] = {
        (ALL, "", FITTED): fitting.rewards(judged.fitted),
        (SPARSE, "", FITTED): fitting.rewards(fitting.sparse_judged),
        (PAIR, "", FITTED): fitting.rewards(judged.pair),
    }
    if fitting.gap_choice:
        place = fitting.pairs.index(fitting.gap_choice)
        found[*fitting.gap_choice, "vanilla"] = fitting.contrasts[place] @ fitting.table.scores
    return list(found), np.stack(list(found.values()))


def _coefficients(fitting: Fitting) -> pd.DataFrame:
    rows: list[list[object]] = []
    for reward, found in ((ALL, fitting.whole), (SPARSE, fitting.sparse)):
        numbers = np.stack([found.coefficients, *coefficient_interval(found, fitting.data)], axis=1).tolist()
        for k in found.terms:
            name, asked = fitting.table.terms[int(k)]
            rows.append([reward, name, str(asked), *numbers[int(k)]])
    return make_frame("coefficients", rows)


def _path(fitting: Fitting) -> pd.DataFrame:
    names = fitting.checkpoints
    rows: list[list[object]] = []
    for size, found in fitting.sparse_accuracy.items():
        row: Any = found.iloc[1]
        added = names[fitting.order[size - 1]]
        rows.append([size, added, int(row["n"]), row["accuracy"], row["ci_low"], row["ci_high"], fitting.gain(size)])
    return make_frame("sparse_path", rows)


def _curve(fitting: Fitting) -> pd.DataFrame:
    points = learning_curve(fitting.data, fitting.contrasts, fitting.options.seed)
    rows = [[p.labels, p.reward, p.n, p.accuracy.value, p.accuracy.low, p.accuracy.high] for p in points]
    return make_frame("learning_curve", rows)


def _info(fitting: Fitting) -> dict[str, Any]:
    """What run.json says of the fit."""
    logits = (fitting.judged.fitted[fitting.judged.fold[fitting.data.item]] * fitting.data.difference).sum(axis=1)
    loss = float(fitting.data.weight @ np.logaddexp(0, -logits) / fitting.data.weight.sum())
    return {
        "labels": fitting.labels,
        "comparisons": len(fitting.data.item),
        "conditionings": list(dict.fromkeys(str(asked) for _, asked in fitting.table.terms)),
        "folds": FOLDS,
        "strength": float(fitting.whole.strength),
        "scale": fitting.whole.scale,
        "log_loss": loss,
        "sparse": fitting.enough,
        "gain_share": GAIN_SHARE,
        "gap_choice": list(fitting.gap_choice),
    }


def _facts(fitting: Fitting, seconds: float) -> RunFacts:
    runner, labels = fitting.session.runner, fitting.labels
    best = fitting.pairs[best_pair(fitting.data, fitting.contrasts)]
    checkpoints = fitting.checkpoints
    told = {
        ALL: (f"the fit on all {len(checkpoints)} checkpoints, judged out of fold", checkpoints),
        SPARSE: (
            f"the fit on few checkpoints ({fitting.enough} on all labels), its size, too, chosen on the other folds",
            [checkpoints[k] for k in fitting.order][: fitting.enough],
        ),
        PAIR: (f"the pair that is best on each fold's other labels; on all of them {best[0]} over {best[1]}", best),
    }
    return RunFacts(
        kind="fit",
        question=fitting.question,
        scored=fitting.scored,
        registry=fitting.session.registry,
        options=fitting.options,
        asked=fitting.asked,
        load=fitting.session.load,
        scorer=runner.settings.kind,
        executor=runner.executor.place,
        responses_scored=runner.scored,
        trials={name: report.trial for name, report in runner.reports.items() if report.trial},
        notes=[*fitting.session.notes(), *_notes(fitting)],
        seconds=seconds,
        fitted=[
            {"name": name, "told": text, "checkpoints": list(members), "labels": labels, "overlap": 0}
            for name, (text, members) in told.items()
        ],
    )


def _notes(fitting: Fitting) -> list[str]:
    notes: list[str] = []
    unscored = len(fitting.question.task.items) - fitting.labels
    if unscored:
        notes.append(f"{unscored:,} labelled items have no two responses that every checkpoint scores; none is fitted.")
    if fitting.whole.separated:
        notes.append(
            "The fit orders all of its own labels rightly: how sure it is, and the size of its coefficients, then "
            "comes from the ridge and from the number of labels rather than from what was got wrong."
        )
    if fitting.whole.strength in (STRENGTHS[0], STRENGTHS[-1]):
        end = "strongest" if fitting.whole.strength == STRENGTHS[0] else "weakest"
        notes.append(f"Cross-validation chose the {end} ridge that is tried.")
    return notes


def _file(fitting: Fitting, name: str, found: Fit) -> FittedFile:
    numbers: list[float] = found.coefficients.tolist()
    terms = fitted_terms(fitting.scored, zip(fitting.table.terms, numbers, strict=True))
    under_criteria = any(term.conditioning.startswith("criteria") for term in terms)
    return FittedFile(
        format=FITTED_FORMAT,
        name=name,
        task=fitting.question.task.name,
        labels=fitting.labels,
        mean_per_token=fitting.options.mean,
        criteria=criteria_hash(fitting.question) if under_criteria else "",
        terms=terms,
        problems=problem_hashes(fitting.question.task),
    )
