"""Preference data from sampled responses and a reward: the steps in order, and the Python API."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UserError
from ..model_registry.registry import Registry, load_registry
from ..tasks.criteria import DEFAULT_CRITERIA, load_criteria
from ..tasks.minilab.judge import TrainingJudge
from .annotation.candidates import Candidates, read_candidates
from .annotation.choosing import Pairs, Pool, choose_pairs, most_confident
from .annotation.dataset import test_prompts
from .annotation.rewarding import (
    AnnotatorReward,
    ColumnReward,
    CombinedReward,
    PairReward,
    Reward,
    Rewarded,
)
from .annotation.settings import Annotating, settings_record
from .fitted_file import read_fitted
from .options import Options
from .question import Question, asked_of
from .tuning.overlap import read_record

if TYPE_CHECKING:
    from ..reports.run_format.results import RunResult
    from .annotation.dataset import PreferenceData
    from .annotation.temperature import Temperature

ROUTED = "cdr-adaptive-router"
MOST_CUT = 0.5
"""Share of responses cut at their length limit above which the data are refused."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """Preference data, and the run that made them."""

    result: "RunResult"
    """run.json and the tables of the run directory."""
    data: "PreferenceData"
    card: str
    """README.md of the data set."""

    def save(
        self, out: Path, add_reports: Callable[[Path], object] = lambda _: None, *, overwrite: bool = False
    ) -> Path:
        """Write run directory and data set into one folder, whole or not at all. Raises UserError."""

        def add(made: Path) -> None:
            self.data.write(made)
            (made / "README.md").write_text(self.card, encoding="utf-8")
            add_reports(made)

        return self.result.save(out, add, overwrite=overwrite)


def annotate(
    data: str,
    *,
    strong: str | None = None,
    weak: str | None = None,
    scores: str | None = None,
    annotator: Path | None = None,
    fitted: Path | None = None,
    variant: str = ROUTED,
    compare: Sequence[str] = (),
    minilab_judge: bool = False,
    settings: Annotating | None = None,
    registry: Sequence[Path] = (),
    options: Options | None = None,
    asked: Callable[[Mapping[str, Any]], object] = lambda _: None,
) -> Annotation:
    """Make preference data of prompts with N responses each.

    Args:
        data: a file, folder or hub dataset of prompts with responses, such as `cdr-eval sample` writes.
        strong, weak: the pair of checkpoints whose reward it is; or
        scores: the column of `data` that holds the rewards; or
        annotator: the folder of a reward head that `annotator train` wrote; or
        fitted: a fitted.yaml that `cdr-eval fit` wrote.
        variant: the pair's reward; `compare` are variants whose choices are set beside it.
        minilab_judge: take labels from the judge of the minilab's world.
        asked: is told what run.json will say of the question before anything is scored, and may raise.

    Raises UserError for everything that the caller can mend.
    """
    started = time.monotonic()
    settings, options = settings or Annotating(), options or Options()
    known = load_registry(registry)
    reward = _reward(strong, weak, scores, annotator, fitted, variant, compare, known, options)
    if settings.format == "text" and not isinstance(reward, PairReward):
        raise UserError("--format text is rendered by the template of --strong and --weak: pass them, or another.")
    judge = TrainingJudge() if minilab_judge else None
    seen = () if annotator is None or options.allow_overlap else read_record(annotator)["training_prompts"]
    candidates = read_candidates(data, options, scores=scores, judge=judge, seen=seen)
    _check_cut(candidates, keep=settings.choice.keep_truncated)
    labelled = _read_labelled(settings.temperature, scores, judge, options)
    if isinstance(reward, CombinedReward):
        reward.opened(candidates)
    whole = _asked(candidates, reward, labelled, settings, known, options, judged=minilab_judge)
    asked(whole)
    # All that a user can mend in the data is said before torch is imported.
    from .annotation.result import Made

    rewarded = reward.rewards(candidates)
    pairs = _kept(candidates, rewarded, settings)
    temperature = _temperature(settings, pairs, reward, labelled, set(candidates.prompt_ids))
    made = Made(candidates, rewarded, pairs, temperature, settings, options, known, whole)
    return Annotation(made.result(time.monotonic() - started), made.data, made.card())


def score_shard(
    data: str,
    strong: str,
    weak: str,
    variant: str,
    compare: Sequence[str],
    registry: Sequence[Path],
    options: Options,
    shard: tuple[int, int],
) -> list[str]:
    """Score shard (i, n) of an annotation into the store and stop there; returns its checkpoints. Raises UserError."""
    reward = PairReward.of(strong, weak, variant, compare, load_registry(registry), options)
    return reward.score_shard(read_candidates(data, options), shard)


def _reward(
    strong: str | None,
    weak: str | None,
    scores: str | None,
    annotator: Path | None,
    fitted: Path | None,
    variant: str,
    compare: Sequence[str],
    registry: Registry,
    options: Options,
) -> Reward:
    given = [strong is not None or weak is not None, scores is not None, annotator is not None, fitted is not None]
    if options.executor is not None and not (given[0] or given[3]):
        raise UserError("--executor scores checkpoints: pass --strong and --weak or --reward, or leave it out.")
    if sum(given) == 1 and not given[0]:
        if compare:
            raise UserError("--compare sets variants of a pair side by side: pass --strong and --weak instead.")
        if fitted is not None:
            return CombinedReward(fitted, read_fitted(fitted), registry, options)
        return ColumnReward(scores) if scores is not None else AnnotatorReward(annotator or Path(), options)
    if sum(given) != 1 or strong is None or weak is None:
        raise UserError(
            "Pass --strong and --weak for the reward of a pair, or --scores COLUMN, --annotator DIR or --reward FILE."
        )
    return PairReward.of(strong, weak, variant, compare, registry, options)


def _asked(
    candidates: Candidates,
    reward: Reward,
    labelled: Candidates | None,
    settings: Annotating,
    registry: Registry,
    options: Options,
    *,
    judged: bool,
) -> dict[str, Any]:
    """What run.json will say of the question; `judged`: the labels are those of the minilab's judge."""
    criteria, comparisons, column = options.criteria or DEFAULT_CRITERIA, [], ""
    question = Question(replace(candidates.task, criteria=criteria), load_criteria(criteria), ())
    match reward:
        case PairReward():
            question, comparisons = reward.question(candidates.task), [reward.comparison]
        case ColumnReward():
            column = f"{reward.column} {_column_hash(candidates)}"
        case CombinedReward():
            options = replace(options, fitted=(reward.path,))
        case AnnotatorReward():
            options = replace(options, annotators=(reward.folder,))
    return {
        **asked_of("annotation", question, comparisons, registry, options),
        **settings_record(settings),
        "temperature": settings.temperature,
        "temperature_labels": labelled and [labelled.task.items.content_hash, _column_hash(labelled)],
        "test": settings.test,
        "scores": column,
        "minilab_judge": judged,
    }


def _column_hash(candidates: Candidates) -> str:
    """SHA-256 of the rewards that a column holds; empty where none does."""
    return "" if candidates.rewards is None else sha256(candidates.rewards.tobytes()).hexdigest()


def _kept(candidates: Candidates, rewarded: Rewarded, settings: Annotating) -> Pairs:
    """The chosen pairs. Raises UserError where there are none, or none to train on."""
    pairs = choose_pairs(_pool(candidates, rewarded), settings.choice)
    if not len(pairs.margin):
        raise UserError(f"No prompt of {candidates.task.source} gives a pair; most often: {_most_often(pairs)}.")
    pairs = most_confident(pairs, settings.top)
    _check_test(settings.test, candidates, pairs)
    return pairs


def _check_cut(candidates: Candidates, *, keep: bool) -> None:
    cut, n = int(candidates.cut.sum()), len(candidates.cut)
    if cut > MOST_CUT * n and not keep:
        raise UserError(
            f"{cut:,} of {n:,} responses were cut at their length limit, more than half: sample them again with a "
            "larger --max-new-tokens, or pass --keep-truncated."
        )


def _check_test(test: int, candidates: Candidates, pairs: Pairs) -> None:
    items: set[int] = set(pairs.item.tolist())
    kept = {candidates.prompt_ids[item] for item in items}
    if kept <= test_prompts(candidates.prompt_ids, test):
        raise UserError(
            f"--test {test:,} takes all of the {len(kept):,} prompts that give a pair, and leaves nothing to train on: "
            "pass a smaller one."
        )


def _pool(candidates: Candidates, rewarded: Rewarded) -> Pool:
    items = candidates.items
    whole = (rewarded.rewards, np.maximum(rewarded.lengths, 1.0), candidates.distinct, candidates.cut)
    return Pool(items.ids, items.offsets, *whole)


def _read_labelled(
    temperature: str, scores: str | None, judge: TrainingJudge | None, options: Options
) -> Candidates | None:
    """The labelled responses that the temperature is fitted on; UserError where they have no labels."""
    if not temperature.startswith("fit:"):
        return None
    if scores is not None and judge is None:
        raise UserError(
            "--scores takes no labels of a file, which --temperature fit needs: pass --temperature auto or a number."
        )
    source = temperature.removeprefix("fit:")
    asking = replace(options, columns=(), limit=None)
    found = read_candidates(source, asking, scores=scores)
    if not _labelled(found) and judge is not None:
        found = read_candidates(source, asking, scores=scores, judge=judge)
    if not _labelled(found):
        raise UserError(f"{source} has no labels that prefer one response to another, which --temperature fit needs.")
    return found


def _labelled(candidates: Candidates) -> bool:
    return any(len({grade for grade in item.grades if not math.isnan(grade)}) > 1 for item in candidates.items)


def _temperature(
    settings: Annotating, pairs: Pairs, reward: Reward, labelled: Candidates | None, prompts: set[str]
) -> "Temperature":
    from .annotation.temperature import Temperature, auto_temperature

    if labelled is not None:
        shared = len(prompts & set(labelled.prompt_ids))
        fitted = _fitted(settings, reward, labelled)
        told = f"{fitted.source}, {shared:,} of whose prompts are annotated here" if shared else fitted.source
        return replace(fitted, source=told)
    if settings.temperature == "auto" and isinstance(reward, CombinedReward) and reward.file.labels:
        return Temperature(1.0, f"of the fit on {reward.file.labels:,} labels", calibrated=True)
    if settings.temperature == "auto":
        return auto_temperature(pairs.margin)
    return Temperature(float(settings.temperature), "given", calibrated=False)


def _fitted(settings: Annotating, reward: Reward, labelled: Candidates) -> "Temperature":
    """Fitted on pairs that are chosen from the labelled responses by the same rule."""
    from .annotation.temperature import fitted_temperature

    source = labelled.task.source
    pairs = choose_pairs(_pool(labelled, reward.rewards(labelled)), settings.choice)
    grades = labelled.items.grades
    sign = np.sign(grades[pairs.chosen] - grades[pairs.rejected])
    known = np.abs(sign) == 1
    if not known.any():
        raise UserError(f"No pair chosen from {source} has unequal grades, so that no temperature can be fitted.")
    cluster = np.unique(np.array(labelled.prompt_ids)[pairs.item[known]], return_inverse=True)[1]
    return fitted_temperature((sign * pairs.margin)[known], cluster, settings.choice.seed, source)


def _most_often(pairs: Pairs) -> str:
    reasons = list(pairs.reasons)
    return max(sorted(set(reasons)), key=reasons.count)
