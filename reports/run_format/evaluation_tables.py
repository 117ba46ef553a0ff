"""The tables of a pair or grid run: a record a row, whose fields are its columns with types, units and meaning."""

from typing import Annotated, Literal

from pydantic import Field

from .columns import (
    Characters,
    Checkpoint,
    Count,
    Credit,
    CreditPercent,
    Difference,
    Extended,
    Gaps,
    Logits,
    Name,
    Nats,
    Number,
    OneOf,
    Parameters,
    Points,
    PValue,
    Record,
    Share,
    Text,
    Truth,
)

Strong = Annotated[Checkpoint, Field(description="strong checkpoint of the pair")]
Weak = Annotated[Checkpoint, Field(description="weak checkpoint of the pair; empty for a reward of one checkpoint")]
Variant = Annotated[Name, Field(description="reward variant")]
Family = Annotated[Name, Field(description="family that the pairs were formed in; `pooled` is all families together")]
Scope = Annotated[Name, Field(description="`overall`, or the section that the accuracies are of")]
Benchmark = Annotated[Name, Field(description="benchmark whose gap is analysed; empty where none is")]
Items = Annotated[Count, Field(description="scored items that the row rests on")]
Accuracy = Annotated[Credit, Field(description="mean credit of the items")]
Low = Annotated[Credit, Field(description="lower end of the 95% interval")]
High = Annotated[Credit, Field(description="upper end of the 95% interval")]
LowShare = Annotated[Share, Field(description="lower end of the 95% interval")]
HighShare = Annotated[Share, Field(description="upper end of the 95% interval")]
LowNumber = Annotated[Number, Field(description="lower end of the 95% interval, in the unit of the value")]
HighNumber = Annotated[Number, Field(description="upper end of the 95% interval, in the unit of the value")]


class ItemRow(Record):
    """The items of the task, in its order."""

    item: Text = Field(description="id of the item")
    subset: Name = Field(description="subset that the item belongs to")
    section: Name = Field(description="section that the subset belongs to; empty for none")
    problem: Name = Field(
        description="problem that several items share, else `group …` or, of equal prompts, `item …` with the id of "
        "the first: resampling draws such items together; or empty"
    )
    domain_oracle: Name = Field(description="criteria domain by the item's section; empty for none")
    domain_routed: Name = Field(description="criteria domain as one checkpoint routed the item for all pairs; or empty")
    responses: Count = Field(description="responses of the item, N")
    acceptable_chars: Characters = Field(description="mean length of the acceptable (chosen) responses")
    other_chars: Characters = Field(description="mean length of the other (rejected) responses")


class MarginRow(Record):
    """One margin for each reward and item."""

    strong: Strong
    weak: Weak
    variant: Variant
    item: Name = Field(description="id of the item")
    margin: Nats = Field(description="best reward of an acceptable response minus best of the others; NaN if unscored")


class ResponseRewardRow(Record):
    """One reward for each response of each item."""

    item: Name = Field(description="id of the item")
    response: Count = Field(description="which response of the item, from 0")
    strong: Strong
    weak: Weak
    variant: Variant
    reward: Nats = Field(description="reward of the response; NaN where it is unscored")


class RewardRow(Record):
    """A row that belongs to a reward: a pair under a variant."""

    strong: Strong
    weak: Weak
    variant: Variant


class AccuracyRow(RewardRow):
    """Accuracy of every reward in every scope, and of always taking the longer or the shorter response."""

    scope: Annotated[Literal["subset", "section", "level", "overall", "length"], OneOf] = Field(
        description="what `name` names"
    )
    name: Name = Field(description="subset, section, level or group by length; `overall`")
    n: Items
    ties: Count = Field(description="items on which rewards that decide the credit are equal")
    accuracy: Accuracy
    chance: Credit = Field(description="accuracy of a reward that says nothing, by the task's rule")
    ci_low: Low
    ci_high: High
    note: Text = Field(description="what a reader must know of the row: missing subsets, unscored items")


class ComparisonRow(Record):
    """Reward a against reward b, paired over the items that both scored, overall."""

    strong_a: Strong
    weak_a: Weak
    variant_a: Variant
    strong_b: Strong
    weak_b: Weak
    variant_b: Variant
    n: Items
    difference: Difference = Field(description="overall accuracy of a minus that of b")
    ci_low: Difference = Field(description="lower end of the 95% interval")
    ci_high: Difference = Field(description="upper end of the 95% interval")
    p_value: PValue = Field(description="of a paired test by flipping signs of clusters of items; not adjusted")


class PairRow(RewardRow):
    """Overall accuracy of each pair beside its gap on each benchmark, both per cent."""

    family: Family
    gaps: Gaps = Field(description="score of strong minus that of weak; empty where one has none")
    n: Items
    accuracy: CreditPercent = Field(description="mean credit of the items")
    chance: CreditPercent = Field(description="accuracy of a reward that says nothing")
    ci_low: CreditPercent = Field(description="lower end of the 95% interval")
    ci_high: CreditPercent = Field(description="upper end of the 95% interval")


class GapStatistic(Record):
    """What the alignment gap has to do with accuracy: correlations, tests, saturation, shares of variance."""

    pair_set: Name = Field(description="`all ordered`, `ordered, no self` or `positive gap`")
    family: Family
    scope: Scope
    benchmark: Benchmark
    statistic: Name = Field(description="what the value is: `pearson`, `spearman`, `kendall`, `n_pairs`, …")
    value: Number = Field(description="the statistic; shares of variance and asymptotes are shares, gaps points")
    ci_low: LowNumber
    ci_high: HighNumber
    p_permutation: PValue = Field(description="from permuting checkpoints within families")
    p_naive: PValue = Field(description="as if pairs were independent, which they are not")


class FixedRow(Record):
    """Correlation of gap and accuracy with one side of the pair held fixed."""

    family: Family
    scope: Scope
    benchmark: Benchmark
    role: Annotated[Literal["strong", "weak"], OneOf] = Field(description="the side that is held fixed")
    checkpoint: Checkpoint = Field(description="the checkpoint that is held fixed")
    statistic: Name = Field(description="`pearson`, `spearman` or `kendall`")
    n: Count = Field(description="pairs")
    value: Number = Field(description="the correlation")
    ci_low: LowNumber
    ci_high: HighNumber


class EffectRow(Record):
    """Additive effects of each checkpoint on the logit of accuracy."""

    family: Family
    scope: Scope
    role: Annotated[Literal["strong", "weak"], OneOf] = Field(description="as which side of the pair")
    checkpoint: Checkpoint = Field(description="the checkpoint")
    objective: Name = Field(description="its training objective; empty where the registry has none")
    effect: Logits = Field(description="its effect, beside the others of its role")
    ci_low: Logits = Field(description="lower end of the 95% interval")
    ci_high: Logits = Field(description="upper end of the 95% interval")


class ChainRow(Record):
    """A checkpoint over the checkpoint it was trained from, and over the ancestors of that."""

    family: Family
    scope: Scope
    checkpoint: Checkpoint = Field(description="the strong checkpoint")
    reference: Checkpoint = Field(description="what it was trained from")
    weak: Checkpoint = Field(description="the weak checkpoint of the row")
    relation: Annotated[Literal["own reference", "weaker"], OneOf] = Field(description="whether weak is the reference")
    accuracy: Accuracy
    ci_low: Low
    ci_high: High
    difference: Difference = Field(description="this accuracy minus that over the reference, on the same items")
    diff_low: Difference = Field(description="lower end of the difference's 95% interval")
    diff_high: Difference = Field(description="upper end of the difference's 95% interval")
    p_value: PValue = Field(description="of the paired difference")


class SaturationRow(Record):
    """Accuracy against gap for each pair turned to a positive gap, observed and fitted."""

    family: Family
    scope: Scope
    benchmark: Benchmark
    gap: Points = Field(description="score of strong minus that of weak")
    observed: Number = Field(description="accuracy of the pair, a share")
    fitted: Number = Field(description="the saturating curve at the gap, a share")
    ci_low: LowNumber
    ci_high: HighNumber
    isotonic: Number = Field(description="the best never-falling function of the gap, a share")


class RecommendationRow(Record):
    """All pairs of two checkpoints ranked in every scope."""

    scope: Annotated[Literal["section", "overall"], OneOf] = Field(description="what `name` names")
    name: Name = Field(description="section, or `overall`")
    rank: Count = Field(description="1 is the most accurate")
    strong: Strong
    weak: Weak
    variant: Variant
    accuracy: Accuracy
    ci_low: Low
    ci_high: High
    difference_from_best: Difference = Field(description="accuracy minus that of the best pair")
    p_value: PValue = Field(description="of the paired test against the best pair, not adjusted")
    tied: Truth = Field(
        description="whether the test, Holm-adjusted for the comparisons of any two pairs, does not tell the pair from "
        "the best; the best one itself, too"
    )
    parameters: Parameters = Field(description="of strong and weak together; empty where one is unknown")
    cheapest: Truth = Field(description="whether it has the fewest parameters of the best pair and those tied")


class SelectionRow(RewardRow):
    """Accuracy among the items of which a reward is surest."""

    fraction: Share = Field(description="share of items kept, those with the largest absolute margin")
    n: Items
    accuracy: Accuracy
    ci_low: Low
    ci_high: High


class CalibrationRow(RewardRow):
    """Confidence σ(|margin| / τ), τ fitted out of fold, beside accuracy."""

    bin: Count = Field(description="bin k holds confidences from 1/2 + k/20 to 1/2 + (k + 1)/20")
    n: Items
    confidence: Share = Field(description="mean confidence of the bin's items")
    accuracy: Share = Field(description="share of the items with a positive margin, a margin of zero counting one half")
    ci_low: LowShare
    ci_high: HighShare


class ConfidenceRow(RewardRow):
    """Whether a reward knows when it is right."""

    statistic: Annotated[Literal["tau", "ece", "ece_if_calibrated", "area"], OneOf] = Field(
        description="temperature (nats; infinite where margins say nothing, empty where all are right), calibration "
        "error, that error if confidences were true, area under the selection curve (shares)"
    )
    value: Extended = Field(description="the statistic")
    ci_low: Extended = Field(description="lower end of the 95% interval")
    ci_high: Extended = Field(description="upper end of the 95% interval")


class LengthRow(RewardRow):
    """What margins and correctness share with the difference in length."""

    statistic: Annotated[
        Literal["correlation", "partial_correlation", "length_controlled_accuracy", "length_slope"], OneOf
    ] = Field(
        description="correlation of margin and label, the same given length, accuracy at equal length (share), "
        "logits a standard deviation of length"
    )
    value: Number = Field(description="the statistic")
    ci_low: LowNumber
    ci_high: HighNumber


class RoundingRow(RewardRow):
    """What quantised weights change: margins against those of the full weights, on some of the items."""

    n: Count = Field(description="items scored with both")
    flipped: Share = Field(description="share of them whose margins differ in sign")
    ci_low: LowShare
    ci_high: HighShare
    predicted: Share = Field(description="arctan(noise / spread) / π: that share if both were normal with mean 0")
    noise: Nats = Field(description="standard deviation of quantised margin less full margin")
    spread: Nats = Field(description="standard deviation of the full margins")


class LeftOutRow(Record):
    """A row of the source that cannot be used, and is no item."""

    file: Name = Field(description="file that the row is in")
    line: Count = Field(description="its line, or its number in the file, from 1")
    reason: Name = Field(description="what is wrong, in the words that the notes count by")
    sentence: Text = Field(description="what is wrong with this row, and how to mend it")


class BestOfRow(RewardRow):
    """Expected grade of the response of highest reward among k drawn at random from each prompt's."""

    k: Count = Field(description="responses picked from; a prompt with fewer gives all of its")
    n: Items
    grade: Number = Field(description="mean over prompts of the expected grade, in the unit of the grades")
    ci_low: LowNumber
    ci_high: HighNumber


class PromptRow(Record):
    """The prompts of the run, in their order."""

    item: Text = Field(description="id of the item")
    prompt_id: Text = Field(description="SHA-256 of its turns")
    subset: Name = Field(description="subset that it belongs to")
    domain: Name = Field(description="criteria domain under which an annotation scored it; empty for none")
    prompt: Text = Field(description="its turns as JSON")


class TextRow(Record):
    """The responses of a pair or grid run, item by item."""

    item: Name = Field(description="id of the item")
    response: Count = Field(description="which response of the item, from 0")
    text: Text = Field(description="the response")
    grade: Number = Field(description="its grade, higher is better; NaN where it has none")


class TokenRow(Record):
    """What each token of a response earned, for the items that `--tokens` keeps."""

    item: Name = Field(description="id of the item")
    response: Count = Field(description="which response of the item, from 0")
    strong: Strong
    weak: Weak
    variant: Variant
    position: Count = Field(description="which scored token of the response, from 0; the last is its end of turn")
    token: Name = Field(description="its text; \ufffd for a part of a character")
    value: Nats = Field(description="what it adds to the response's reward")
