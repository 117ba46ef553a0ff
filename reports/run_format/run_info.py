"""run.json: what was asked, of whom, and how it went."""

from typing import Final, Literal

from pydantic import Field, JsonValue

from .columns import Count, Float, Record

RUN_FORMAT: Final = 2
"""The run-directory format that this version writes and reads."""
ANNOTATOR: Final = "annotator"
"""What stands in the place of a variant for the reward of an annotator."""
FITTED: Final = "fitted"
"""The same for a combination of several checkpoints whose coefficients come from labels."""
MEAN_FILE: Final = "mean.yaml"
"""Of a grid without labels: the mean of several pairs as a reward."""
MEAN_PAIRS: Final = 10
"""At most so many."""


class UsedScore(Record):
    """A benchmark score that the registry holds for a checkpoint, per cent."""

    benchmark: str = Field(description="the benchmark")
    value: Float = Field(description="the score")
    source: str = Field("", description="where it was printed or measured")
    ci_low: Float = Field(None, description="lower end of the 95% interval, where the source gives one")
    ci_high: Float = Field(None, description="upper end of the 95% interval")


class CheckpointInfo(Record):
    """One model of the run."""

    name: str = Field(description="its name in the registry, or of its folder or hub id")
    label: str = Field(description="short name for figures")
    model: str = Field(description="hub id or path")
    revision: str | None = Field(None, description="commit, tag or branch on the hub")
    family: str | None = Field(None, description="family whose template it was scored under")
    stage: str | None = Field(None, description="`base`, `sft` or `preference`")
    objective: str | None = Field(None, description="preference objective")
    trained_from: str | None = Field(None, description="checkpoint that training started from")
    parameters: int | None = Field(None, description="how many")
    weights: str | None = Field(None, description="SHA-256 of its weights")
    dtype: str | None = Field(None, description="type in which it was run; null where a server ran it")
    scores: tuple[UsedScore, ...] = Field((), description="every benchmark score of the registry")
    scores_used: dict[str, Float] = Field(
        default_factory=dict[str, Float], description="benchmark to the score that gaps were formed from"
    )
    score_sources: dict[str, str] = Field(
        {}, description="benchmark to the source of that score; empty in a run of an earlier version"
    )


class TaskInfo(Record):
    """What the checkpoints were asked."""

    name: str = Field(description="the task")
    source: str = Field(description="where its items came from")
    content_hash: str = Field(description="SHA-256 of its items")
    items: Count = Field(description="how many items")
    responses: Count = Field(description="how many responses of all items together")
    rule: str = Field(description="what gives an item its credit, as a clause")
    sections: dict[str, dict[str, float]] = Field(description="section to its subsets and their weights; may be empty")
    overall: Literal["sections", "items"] = Field("sections", description="what overall is the mean of")
    levels: tuple[str, ...] = Field(description="levels of difficulty that accuracies are also given for; may be empty")
    styles: tuple[str, ...] = Field(
        default=(), description="styles of responses; each pair is a level, `right over wrong`; empty for none"
    )
    missing_subsets: tuple[str, ...] = Field(description="subsets of its sections that have no item")


class PairInfo(Record):
    """An ordered pair of checkpoints."""

    strong: str = Field(description="strong checkpoint")
    weak: str = Field(description="weak checkpoint")
    family: str | None = Field(None, description="family that the pair was formed in")


class AnnotatorInfo(Record):
    """A reward head whose rewards stand beside those of the pairs."""

    name: str = Field(description="name of its folder, which stands where tables have the strong checkpoint")
    folder: str = Field(description="where it is")
    base: str = Field(description="checkpoint that it was trained from")
    training_pairs: Count = Field(description="pairs that it was trained on")
    overlap: Count = Field(description="items whose prompt is one of those")


class FittedInfo(Record):
    """A combination of checkpoints' scores whose coefficients, or whose choice, come from labels."""

    name: str = Field(description="what stands where tables have the strong checkpoint")
    told: str = Field(description="what it is, as a clause")
    checkpoints: tuple[str, ...] = Field(description="the checkpoints that it takes")
    labels: Count = Field(description="labelled items that it was made with")
    overlap: Count = Field(
        description="items of this run that are among those and were let through; fits judged out of fold have none"
    )


class FitInfo(Record):
    """How a reward was fitted."""

    labels: Count = Field(description="items with unequal grades")
    comparisons: Count = Field(description="pairs of responses compared")
    conditionings: tuple[str, ...] = Field(description="what each checkpoint was asked under")
    folds: Count = Field(description="folds of problems by which fits are judged")
    strength: float = Field(description="of the ridge, chosen by cross-validation; free of units")
    scale: float = Field(description="by which the ridge's margins are multiplied to be logits")
    log_loss: float = Field(description="mean out-of-fold −log probability of the label, nats; ln 2 says nothing")
    sparse: Count = Field(description="checkpoints of the smallest sparse fit that has the share of the gain")
    gain_share: float = Field(description="that share of the gain over the pair chosen on the same labels")
    gap_choice: tuple[str, ...] = Field(description="the pair of the largest gap; empty where no score is known")


class UnlabelledInfo(Record):
    """What the estimates without labels rest on."""

    variant: str = Field(description="reward variant of the pairs")
    items: Count = Field(description="items with a comparison that all pairs score")
    comparisons: Count = Field(description="pairs of responses compared")
    ties: Count = Field(description="votes of no pair for either response, over all pairs")
    explained: float = Field(description="share of the squared correlations of votes that one factor explains")
    benchmark: str = Field(description="benchmark whose gap sets the sign; empty where no score is known")
    sign_p: float = Field(
        description="how often scores dealt at random to the checkpoints would set the sign as clearly"
    )
    refused: str = Field(description="why nothing is recommended, as a clause; empty where something is")
    mean_checkpoints: Count = Field(description="checkpoints of the mean of several pairs, mean.yaml; 0: not written")
    resamples: Count = Field(0, description="resamples of problems for the intervals; 0 in a run of an earlier version")


class Counts(Record):
    """What went another way than planned: checkpoint to number of items."""

    truncated: dict[str, Count] = Field(description="prompts cut from their left")
    unscored: dict[str, Count] = Field(description="items with a response that does not fit")
    non_finite: dict[str, Count] = Field(description="items with a log-probability that is not finite")
    no_end_of_turn: dict[str, Count] = Field(description="items without an end-of-turn token after a response")
    ties: Count = Field(description="margins of exactly zero over all rewards (a number, not by checkpoint)")


class AnnotationInfo(Record):
    """How preference data were made."""

    reward: str = Field(description="what gave the rewards: a pair under a variant, a column, an annotator")
    labels: str = Field(description="where the grades that it is judged by come from; empty where there are none")
    length_unit: str = Field(description="unit of the responses' lengths: tokens or characters")
    choice: dict[str, JsonValue] = Field(description="rule by which pairs were chosen, with its settings")
    temperature: dict[str, JsonValue] = Field(description="τ in nats, how it was had, and whether labels decided it")
    weights: str = Field(description="what the column `weight` holds")
    top: float = Field(description="share of pairs kept, the most confident ones")
    format: str = Field(description="format of the rows in data/")
    splits: dict[str, Count] = Field(description="split to its rows")
    counts: dict[str, Count] = Field(description="prompts, pairs, ties, and what was merged or left out")
    dropped: dict[str, Count] = Field(description="reason to prompts that gave no pair")
    sampling: dict[str, JsonValue] = Field(description="the record of how the responses were sampled; may be empty")


class RunInfo(Record):
    """The run."""

    format: Literal[2] = Field(description="number of the run-directory format")
    kind: Literal["pair", "grid", "annotation", "fit"] = Field(description="which command wrote it")
    command: str = Field(description="the command line")
    versions: dict[str, JsonValue] = Field(description="library to version")
    created: str = Field(description="when, UTC")
    seconds: float = Field(description="how long, seconds")
    asked: dict[str, JsonValue] = Field(
        {},
        description="all that decides the numbers, by which a later run of the same question is known, files by the "
        "SHA-256 of what they hold; empty in a run of an earlier version",
    )
    seed: int = Field(description="of demonstrations, resamples and permutations")
    resamples: Count = Field(description="bootstrap resamples of items")
    mean_per_token: bool = Field(description="whether log-probabilities are means per token instead of sums")
    task: TaskInfo = Field(description="what was asked")
    criteria: str = Field(description="the criteria file")
    domains: dict[str, str] = Field({}, description="domain of the criteria to its instruction; may be empty")
    routes: dict[str, dict[str, str]] = Field(
        {}, description="`x` of cdr-adaptive-x, to the domains of the sections; may be empty"
    )
    scoring: dict[str, JsonValue] = Field(description="scorer, device, dtype, and executor: this process, or Ray")
    family: dict[str, JsonValue] = Field(description="names of the families and where their chat template came from")
    checkpoints: tuple[CheckpointInfo, ...] = Field(description="the models")
    pairs: tuple[PairInfo, ...] = Field(description="the ordered pairs")
    annotators: tuple[AnnotatorInfo, ...] = Field((), description="reward heads beside the pairs; may be empty")
    fitted: tuple[FittedInfo, ...] = Field((), description="fitted rewards beside the pairs; may be empty")
    variants: tuple[str, ...] = Field(
        description="reward variants, in order; `annotator` stands for all reward heads, `fitted` for fitted rewards"
    )
    counts: Counts = Field(description="what went another way than planned")
    responses_scored: dict[str, JsonValue] = Field(description="checkpoint to responses that this run scored anew")
    score_source: dict[str, JsonValue] = Field(description="the one source of benchmark scores, or their preference")
    left_out: dict[str, str] = Field({}, description="checkpoint that could not be loaded to why; may be empty")
    trials: tuple[dict[str, JsonValue], ...] = Field(
        description="how each checkpoint's scorer was checked, one record with figures each; may be empty"
    )
    notes: tuple[str, ...] = Field(description="what a reader must know first")
    annotation: AnnotationInfo | None = Field(None, description="of an annotation, how preference data were made")
    fit: FitInfo | None = Field(None, description="of a fit, how it was made")
    unlabelled: UnlabelledInfo | None = Field(None, description="of a grid, what estimates without labels rest on")
