"""The records of a run directory, as they are read back: run.json and one class for the rows of each CSV table."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

FORMAT = 1
"""The run-directory format that this version reads."""

_NEUTRALISED = ("=", "+", "-", "@", "\t", "\r", "'")


def _plain_text(value: object) -> object:
    """Undo the apostrophe that keeps a spreadsheet from reading a name as a formula."""
    if isinstance(value, str) and value.startswith("'") and value[1:].startswith(_NEUTRALISED):
        return value[1:]
    return value


def _finite_or_none(value: object) -> object:
    """Empty cells and non-finite numbers are missing values."""
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = float(value)
        except ValueError:
            return value  # pydantic refuses it, with the column's name
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number_or_none(value: object) -> object:
    """As `_finite_or_none`, but infinity is a value."""
    return value if value in {"inf", "-inf"} else _finite_or_none(value)


Text = Annotated[str, BeforeValidator(_plain_text)]
Number = Annotated[float | None, BeforeValidator(_finite_or_none)]
Extended = Annotated[float | None, BeforeValidator(_number_or_none)]
Share = Annotated[Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(_finite_or_none)]
Percent = Annotated[Annotated[float, Field(ge=0, le=100)] | None, BeforeValidator(_finite_or_none)]
Count = Annotated[int, Field(ge=0)]


class Record(BaseModel):
    """Read-only; keys that this version does not know are left aside."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class UsedScore(Record):
    """A benchmark score that the registry holds for a checkpoint, in per cent."""

    benchmark: str
    value: Number
    source: str = ""


class CheckpointInfo(Record):
    """One model of the run."""

    name: str
    label: str
    model: str
    revision: str | None = None
    family: str | None = None
    stage: str | None = None
    objective: str | None = None
    trained_from: str | None = None
    parameters: int | None = None
    weights: str | None = None
    dtype: str | None = None
    scores: tuple[UsedScore, ...] = ()
    scores_used: dict[str, Number] = Field(default_factory=dict[str, Number])


class TaskInfo(Record):
    """What the checkpoints were asked."""

    name: str
    source: str
    content_hash: str
    items: Count
    sections: dict[str, dict[str, float]] = Field(default_factory=dict[str, dict[str, float]])
    missing_subsets: tuple[str, ...] = ()


class PairInfo(Record):
    """An ordered pair of checkpoints and the family it was formed in."""

    strong: str
    weak: str
    family: str | None = None


class Counts(Record):
    """What went another way than planned, by checkpoint."""

    truncated: dict[str, Count] = Field(default_factory=dict[str, int])
    unscored: dict[str, Count] = Field(default_factory=dict[str, int])
    non_finite: dict[str, Count] = Field(default_factory=dict[str, int])
    no_end_of_turn: dict[str, Count] = Field(default_factory=dict[str, int])
    ties: Count = 0


class RunInfo(Record):
    """run.json."""

    format: Literal[1]
    kind: Literal["pair", "grid"]
    versions: dict[str, JsonValue]
    seed: int
    mean_per_token: bool
    task: TaskInfo
    family: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    checkpoints: tuple[CheckpointInfo, ...]
    pairs: tuple[PairInfo, ...]
    variants: tuple[str, ...]
    counts: Counts
    score_source: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    resamples: Count
    notes: tuple[str, ...] = ()


class RewardRow(Record):
    """A row that belongs to a reward: a pair (`weak` empty for single-model rewards) under a variant."""

    strong: Text
    weak: Text
    variant: Text


class AccuracyRow(RewardRow):
    """accuracy.csv: accuracies in [0, 1]."""

    scope: Literal["subset", "section", "overall", "length"]
    name: Text
    n: Count
    ties: Count
    accuracy: Share
    ci_low: Share
    ci_high: Share
    note: Text


class ComparisonRow(Record):
    """comparisons.csv: overall accuracy of reward a minus that of reward b, paired over items, in [-1, 1]."""

    strong_a: Text
    weak_a: Text
    variant_a: Text
    strong_b: Text
    weak_b: Text
    variant_b: Text
    n: Count
    difference: Number
    ci_low: Number
    ci_high: Number
    p_value: Number


class PairRow(RewardRow):
    """pairs.csv: accuracy in per cent; `gaps` maps a benchmark to strong minus weak, in points."""

    family: Text
    gaps: dict[str, Number]
    n: Count
    accuracy: Percent
    ci_low: Percent
    ci_high: Percent


class GapStatistic(Record):
    """gap_analysis.csv."""

    pair_set: Text
    family: Text
    scope: Text
    benchmark: Text
    statistic: Text
    value: Number
    ci_low: Number
    ci_high: Number
    p_permutation: Number
    p_naive: Number


class FixedRow(Record):
    """gap_fixed.csv: a correlation with one side of the pair held fixed."""

    family: Text
    scope: Text
    benchmark: Text
    role: Literal["strong", "weak"]
    checkpoint: Text
    statistic: Text
    n: Count
    value: Number
    ci_low: Number
    ci_high: Number


class EffectRow(Record):
    """effects.csv: additive effects on the logit of accuracy."""

    family: Text
    scope: Text
    role: Literal["strong", "weak"]
    checkpoint: Text
    objective: Text
    effect: Number
    ci_low: Number
    ci_high: Number


class ChainRow(Record):
    """chain.csv: a checkpoint over its own reference and over weaker ones, in [0, 1]."""

    family: Text
    scope: Text
    checkpoint: Text
    reference: Text
    weak: Text
    relation: Literal["own reference", "weaker"]
    accuracy: Share
    ci_low: Share
    ci_high: Share
    difference: Number
    diff_low: Number
    diff_high: Number
    p_value: Number


class SaturationRow(Record):
    """saturation.csv: accuracy against gap, observed and fitted, in [0, 1]."""

    family: Text
    scope: Text
    benchmark: Text
    gap: Number
    observed: Number
    fitted: Number
    ci_low: Number
    ci_high: Number
    isotonic: Number


class RecommendationRow(RewardRow):
    """recommendation.csv: rewards ranked within a scope, in [0, 1]."""

    scope: Literal["section", "overall"]
    name: Text
    rank: Count
    accuracy: Share
    ci_low: Share
    ci_high: Share
    difference_from_best: Number
    p_value: Number
    tied: bool
    parameters: Annotated[int | None, BeforeValidator(_finite_or_none)]
    cheapest: bool


class SelectionRow(RewardRow):
    """selection.csv: accuracy among the share of items with the largest |margin|."""

    fraction: Share
    n: Count
    accuracy: Share
    ci_low: Share
    ci_high: Share


class CalibrationRow(RewardRow):
    """calibration.csv: mean confidence and accuracy of a bin of items."""

    bin: Text
    n: Count
    confidence: Share
    accuracy: Share
    ci_low: Share
    ci_high: Share


class ConfidenceRow(RewardRow):
    """confidence.csv: tau (infinite where margins say nothing), calibration error, area under the selection curve."""

    statistic: Text
    value: Extended
    ci_low: Extended
    ci_high: Extended


class LengthRow(RewardRow):
    """length.csv: what margins and correctness share with the difference in length."""

    statistic: Text
    value: Number
    ci_low: Number
    ci_high: Number
