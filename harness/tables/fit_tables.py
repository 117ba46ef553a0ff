"""From a table of scores to a fitted reward, the tables that judge it, and its file."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd

from ...errors import UserError
from ...reports.run_format.frames import make_frame
from ...reports.run_format.results import RunResult
from ...reports.run_format.run_info import FITTED
from ..fitted import criteria_hash, fitted_terms
from ..fitted_file import FITTED_FORMAT, FittedFile, problem_hashes
from ..fitting.bradley_terry import STRENGTHS, Fit, coefficient_interval, fit
from ..fitting.compared import FOLDS, Compared, compared
from ..fitting.cross_fitting import Candidates, OutOfFold, best_pair, learning_curve, out_of_fold
from ..fitting.sparse import forward_order, sizes_enough, terms_of
from ..options import Options
from ..question import Question
from ..running.scoring_run import GroupScores
from ..session import Session
from ..statistics.arrays import Codes, Floats
from ..term_scores import TermScores
from .accuracy import accuracy_table, comparison_table
from .item_tables import ItemData, analyse_pair
from .run_record import RunFacts, items_table, left_out_table, run_record
from .run_result import margins_table, rewards_table
from .sample import Label, Sample
from .texts import prompts_stream, texts_stream

MOST_SPARSE: Final = 12
"""Checkpoints of the longest sparse fit."""
GAIN_SHARE: Final = 0.99
ALL, SPARSE, PAIR = "fitted", "fitted-sparse", "pair chosen on the labels"


@dataclass(frozen=True, eq=False)
class Fitting:
    """A labelled task with its scores, and all that is fitted to them; nothing is computed twice."""

    question: Question
    """Its variant is that of the pairs."""
    table: TermScores
    scored: Sequence[GroupScores]
    session: Session
    options: Options

    @cached_property
    def sample(self) -> Sample:
        """The items."""
        return Sample.of(self.question.task, self.options.resamples, self.options.seed)

    @cached_property
    def data(self) -> Compared:
        """The comparisons. Raises UserError where too few are scored or all checkpoints say the same."""
        data, _ = compared(self.table.scores, self.sample.responses, self.sample.clusters, self.options.seed)
        if len(np.unique(data.cluster)) < FOLDS:
            raise UserError(
                "Nearly all labelled items have a response that does not fit into the context: pass shorter ones, or "
                "checkpoints that read more."
            )
        if not np.ptp(data.difference, axis=1).any():
            raise UserError("All checkpoints give every response the same score, so that there is nothing to fit.")
        return data

    @cached_property
    def owner(self) -> Codes:
        """(K,) the checkpoint of each term, in the order of the registry."""
        names = list(dict.fromkeys(name for name, _ in self.table.terms))
        return np.array([names.index(name) for name, _ in self.table.terms], dtype=np.intp)

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """The ordered pairs that may be chosen instead, under the first conditioning."""
        ((group,),) = (tuple(self.scored),)
        return [pair for pair in group.group.pairs if pair[0] != pair[1]]

    @cached_property
    def contrasts(self) -> Floats:
        """(P, K) the coefficients of those pairs."""
        place = {name: k for k, (name, _) in reversed(list(enumerate(self.table.terms)))}
        unit = np.eye(len(self.table.terms))
        return np.stack([unit[place[strong]] - unit[place[weak]] for strong, weak in self.pairs])

    @cached_property
    def whole(self) -> Fit:
        """The fit on all labels."""
        return fit(self.data, self.options.seed)

    @cached_property
    def order(self) -> list[int]:
        """Checkpoints as the sparse fit on all labels takes them."""
        return forward_order(self.data, self.owner, MOST_SPARSE)

    @cached_property
    def judged(self) -> OutOfFold:
        """What each item is judged by."""
        candidates = Candidates(self.owner, self.contrasts)
        return out_of_fold(self.data, self.sample.clusters, candidates, MOST_SPARSE, self.options.seed)

    @cached_property
    def sparse_accuracy(self) -> dict[int, pd.DataFrame]:
        """Out-of-fold accuracies of each size of a sparse fit, with those of the pair beside."""
        rewards = np.stack([self._rewards(rows) for rows in (self.judged.pair, *self.judged.sparse.values())])
        labels: list[Label] = [("", "", str(number)) for number in range(len(rewards))]
        whole = accuracy_table(labels, rewards, self.sample)
        overall = whole[whole["scope"] == "overall"].set_index("variant")
        return {size: overall.loc[["0", str(row + 1)]] for row, size in enumerate(self.judged.sparse)}

    @cached_property
    def enough(self) -> int:
        """Checkpoints of the smallest sparse fit that has GAIN_SHARE of the gain of the longest, or of the full fit."""
        gains = np.array([self._gain(size) for size in self.judged.sparse])
        return list(self.judged.sparse)[sizes_enough(gains, GAIN_SHARE)]

    @cached_property
    def sparse_judged(self) -> Floats:
        """(folds, K) what judges the sparse fit: for each fold the size that the other folds' items ask for."""
        judged = self.judged
        rows = np.stack([self._rewards(rows) for rows in (judged.pair, *judged.sparse.values())])
        credits, sizes = self.sample.credits(rows), list(judged.sparse)
        chosen: list[Floats] = []
        for number in range(len(judged.fitted)):
            mean = np.nanmean(credits[:, judged.fold != number], axis=1)
            chosen.append(judged.sparse[sizes[sizes_enough(mean[1:] - mean[0], GAIN_SHARE)]][number])
        return np.stack(chosen)

    @cached_property
    def sparse(self) -> Fit:
        """The sparse fit of that size on all labels."""
        return fit(self.data, self.options.seed, terms_of(self.owner, self.order[: self.enough]))

    @property
    def files(self) -> tuple[FittedFile, FittedFile]:
        """fitted.yaml and fitted-sparse.yaml."""
        return self._file(ALL, self.whole), self._file(SPARSE, self.sparse)

    def result(self, seconds: float) -> RunResult:
        """run.json and all tables."""
        labels, rewards = self._rows()
        sample, items = self.sample, self.question.task.items
        margins = sample.margins(rewards)
        data = ItemData(
            dict(enumerate(labels)), margins, sample.credits(rewards), sample.clusters, sample.length_difference
        )
        tables = {
            "items": items_table(self.question, self.scored, sample.mean_chars),
            "margins": margins_table(labels, margins, items.ids),
            "rewards": rewards_table(labels, rewards, items.ids, items.counts),
            "prompts": prompts_stream(items),
            "texts": texts_stream(items),
            "accuracy": accuracy_table(labels, rewards, sample),
            "comparisons": comparison_table(labels, rewards, self._against(labels), sample),
            **analyse_pair(data, seed=self.options.seed),
            "coefficients": self._coefficients(),
            "sparse_path": self._path(),
            "learning_curve": self._curve(),
        }
        if self.question.task.reading.left_out:
            tables["left_out"] = left_out_table(self.question.task)
        facts = self._facts(seconds)
        run = {**run_record(facts, int((margins == 0).sum())), "fit": self._info()}
        return RunResult(run, tables)

    def _rows(self) -> tuple[list[Label], Floats]:
        """What is judged: the fits and the choice out of fold, and the gap's choice."""
        judged = self.judged
        found: dict[Label, Floats] = {
            (ALL, "", FITTED): self._rewards(judged.fitted),
            (SPARSE, "", FITTED): self._rewards(self.sparse_judged),
            (PAIR, "", FITTED): self._rewards(judged.pair),
        }
        if self.gap_choice:
            place = self.pairs.index(self.gap_choice)
            found[*self.gap_choice, "vanilla"] = self.contrasts[place] @ self.table.scores
        return list(found), np.stack(list(found.values()))

    def _rewards(self, coefficients: Floats) -> Floats:
        return self.judged.rewards(coefficients, self.table.scores, self.question.task.items.owners)

    @cached_property
    def gap_choice(self) -> tuple[str, str] | tuple[()]:
        """The pair of the largest gap in benchmark score, of equals the first; nothing without two scores."""
        registry = self.session.registry
        benchmark = self.options.benchmark or registry.default_benchmark(self.scored[0].group.family)
        names = list(dict.fromkeys(name for pair in self.pairs for name in pair))
        used = {name: registry.used_scores(name, self.options.score_source, names).get(benchmark) for name in names}
        score = {name: found.value for name, found in used.items() if found is not None}
        gaps = {(s, w): score[s] - score[w] for s, w in self.pairs if s in score and w in score}
        return max(gaps, key=lambda pair: gaps[pair]) if gaps else ()

    def _against(self, labels: Sequence[Label]) -> list[tuple[int, int]]:
        """The fits against the choice and against the gap's; the choice against the gap's."""
        return [(a, b) for b in range(2, len(labels)) for a in range(b)]

    def _gain(self, size: int) -> float:
        accuracy = self.sparse_accuracy[size]["accuracy"]
        return float(accuracy.iloc[1] - accuracy.iloc[0])

    def _coefficients(self) -> pd.DataFrame:
        rows: list[list[object]] = []
        for reward, made in ((ALL, self.whole), (SPARSE, self.sparse)):
            numbers = np.stack([made.coefficients, *coefficient_interval(made, self.data)], axis=1).tolist()
            for k in made.terms:
                name, asked = self.table.terms[int(k)]
                rows.append([reward, name, str(asked), *numbers[int(k)]])
        return make_frame("coefficients", rows)

    def _path(self) -> pd.DataFrame:
        names = list(dict.fromkeys(name for name, _ in self.table.terms))
        rows: list[list[object]] = []
        for size, found in self.sparse_accuracy.items():
            row: Any = found.iloc[1]
            added = names[self.order[size - 1]]
            rows.append([size, added, int(row["n"]), row["accuracy"], row["ci_low"], row["ci_high"], self._gain(size)])
        return make_frame("sparse_path", rows)

    def _curve(self) -> pd.DataFrame:
        points = learning_curve(self.data, self.contrasts, self.options.seed)
        rows = [[p.labels, p.reward, p.n, p.accuracy.value, p.accuracy.low, p.accuracy.high] for p in points]
        return make_frame("learning_curve", rows)

    def _info(self) -> dict[str, Any]:
        """What run.json says of the fit."""
        logits = (self.judged.fitted[self.judged.fold[self.data.item]] * self.data.difference).sum(axis=1)
        loss = float(self.data.weight @ np.logaddexp(0, -logits) / self.data.weight.sum())
        return {
            "labels": len(np.unique(self.data.item)),
            "comparisons": len(self.data.item),
            "conditionings": list(dict.fromkeys(str(asked) for _, asked in self.table.terms)),
            "folds": FOLDS,
            "strength": float(self.whole.strength),
            "scale": self.whole.scale,
            "log_loss": loss,
            "sparse": self.enough,
            "gain_share": GAIN_SHARE,
            "gap_choice": list(self.gap_choice),
        }

    def _facts(self, seconds: float) -> RunFacts:
        runner, labels = self.session.runner, len(np.unique(self.data.item))
        best = self.pairs[best_pair(self.data, self.contrasts)]
        checkpoints = list(dict.fromkeys(name for name, _ in self.table.terms))
        told = {
            ALL: (f"the fit on all {len(checkpoints)} checkpoints, judged out of fold", checkpoints),
            SPARSE: (
                f"the fit on few checkpoints ({self.enough} on all labels), its size, too, chosen on the other folds",
                [checkpoints[k] for k in self.order][: self.enough],
            ),
            PAIR: (f"the pair that is best on each fold's other labels; on all of them {best[0]} over {best[1]}", best),
        }
        return RunFacts(
            kind="fit",
            question=self.question,
            scored=self.scored,
            registry=self.session.registry,
            options=self.options,
            load=self.session.load,
            scorer=runner.settings.kind,
            executor=runner.executor.place,
            responses_scored=runner.scored,
            trials={name: report.trial for name, report in runner.reports.items() if report.trial},
            notes=[*self.session.notes(), *self._notes()],
            seconds=seconds,
            fitted=[
                {"name": name, "told": text, "checkpoints": list(members), "labels": labels, "overlap": 0}
                for name, (text, members) in told.items()
            ],
        )

    def _notes(self) -> list[str]:
        notes: list[str] = []
        unscored = len(self.question.task.items) - len(np.unique(self.data.item))
        if unscored:
            notes.append(
                f"{unscored:,} labelled items have no two responses that every checkpoint scores; none is fitted."
            )
        if self.whole.separated:
            notes.append(
                "The fit orders all of its own labels rightly: how sure it is, and the size of its coefficients, then "
                "comes from the ridge and from the number of labels rather than from what was got wrong."
            )
        if self.whole.strength in (STRENGTHS[0], STRENGTHS[-1]):
            end = "strongest" if self.whole.strength == STRENGTHS[0] else "weakest"
            notes.append(f"Cross-validation chose the {end} ridge that is tried.")
        return notes

    def _file(self, name: str, made: Fit) -> FittedFile:
        numbers: list[float] = made.coefficients.tolist()
        terms = fitted_terms(self.scored, zip(self.table.terms, numbers, strict=True))
        under_criteria = any(term.conditioning.startswith("criteria") for term in terms)
        return FittedFile(
            format=FITTED_FORMAT,
            name=name,
            task=self.question.task.name,
            labels=len(np.unique(self.data.item)),
            mean_per_token=self.options.mean,
            criteria=criteria_hash(self.question, self.options) if under_criteria else "",
            terms=terms,
            problems=problem_hashes(self.question.task),
        )
