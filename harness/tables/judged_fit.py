"""From a table of scores and labels to a fitted reward, and to what judges it; nothing is computed twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd

from ...errors import UserError
from ..fitting.bradley_terry import Fit, fit
from ..fitting.compared import FOLDS, Compared, compared
from ..fitting.cross_fitting import Candidates, OutOfFold, chosen_sizes, out_of_fold
from ..fitting.sparse import forward_order, sizes_enough, terms_of
from ..options import Options
from ..question import Question
from ..running.scoring_run import GroupScores
from ..session import Session
from ..statistics.arrays import Codes, Floats
from ..term_scores import TermScores
from .accuracy import accuracy_table
from .sample import Label, Sample

MOST_SPARSE: Final = 12
"""Checkpoints of the longest sparse fit."""
GAIN_SHARE: Final = 0.99


@dataclass(frozen=True, eq=False)
class Fitting:
    """A labelled task with its scores, and all that is fitted to them; nothing is computed twice."""

    question: Question
    """Its variant is that of the pairs."""
    table: TermScores
    scored: Sequence[GroupScores]
    session: Session
    options: Options
    asked: Mapping[str, Any]
    """As run.json has it."""

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

    @property
    def labels(self) -> int:
        """How many labelled items are fitted."""
        return len(np.unique(self.data.item))

    @property
    def checkpoints(self) -> list[str]:
        """Their names, in the order of the terms."""
        return list(dict.fromkeys(name for name, _ in self.table.terms))

    @cached_property
    def owner(self) -> Codes:
        """(K,) the checkpoint of each term, as its place among `checkpoints`."""
        return np.array([self.checkpoints.index(name) for name, _ in self.table.terms], dtype=np.intp)

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

    @property
    def candidates(self) -> Candidates:
        """Terms and pairs."""
        return Candidates(self.owner, self.contrasts)

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
        return out_of_fold(self.data, self.sample.clusters, self.candidates, MOST_SPARSE, self.options.seed)

    @cached_property
    def sparse_accuracy(self) -> dict[int, pd.DataFrame]:
        """Out-of-fold accuracies of each size of a sparse fit, with those of the pair beside."""
        rewards = np.stack([self.rewards(rows) for rows in (self.judged.pair, *self.judged.sparse.values())])
        labels: list[Label] = [("", "", str(number)) for number in range(len(rewards))]
        whole = accuracy_table(labels, rewards, self.sample)
        overall = whole[whole["scope"] == "overall"].set_index("variant")
        return {size: overall.loc[["0", str(row + 1)]] for row, size in enumerate(self.judged.sparse)}

    @cached_property
    def enough(self) -> int:
        """Checkpoints of the smallest sparse fit that has GAIN_SHARE of the gain of the longest."""
        gains = np.array([self.gain(size) for size in self.judged.sparse])
        return list(self.judged.sparse)[sizes_enough(gains, GAIN_SHARE)]

    @cached_property
    def sparse_judged(self) -> Floats:
        """(folds, K) what judges the sparse fit: for each fold the size that the other folds ask for by themselves."""
        judged, seed = self.judged, self.options.seed
        sizes = chosen_sizes(self.data, judged, self.candidates, MOST_SPARSE, GAIN_SHARE, seed)
        return np.stack([judged.sparse[size][fold] for fold, size in enumerate(sizes)])

    @cached_property
    def sparse(self) -> Fit:
        """The sparse fit of that size on all labels."""
        return fit(self.data, self.options.seed, terms_of(self.owner, self.order[: self.enough]))

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

    def rewards(self, coefficients: Floats) -> Floats:
        """(responses,) those of each fold's coefficients, (folds, K), over its own items."""
        return self.judged.rewards(coefficients, self.table.scores, self.question.task.items.owners)

    def gain(self, size: int) -> float:
        """Out-of-fold accuracy of a sparse fit less that of the chosen pair, a share."""
        accuracy = self.sparse_accuracy[size]["accuracy"]
        return float(accuracy.iloc[1] - accuracy.iloc[0])
