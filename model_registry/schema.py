"""The registry's records: what a YAML file may say about checkpoints, families, scores and their sources."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _check_text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if not text.isprintable():
        raise ValueError("must not hold control characters or line breaks")
    return text


def _check_name(name: str) -> str:
    _check_text(name)
    if name in {".", ".."} or "/" in name or "\\" in name:
        raise ValueError("must not be '.' or '..' and must not hold '/' or '\\'")
    if name != name.strip():
        raise ValueError("must not begin or end with a space")
    return name


Text = Annotated[str, AfterValidator(_check_text)]
"""One line of printable text."""

Name = Annotated[str, AfterValidator(_check_name)]
"""A line that may also stand as a file name or in a column name."""

PerCent = Annotated[float, Field(ge=0, le=100, strict=True)]
"""A finite number from 0 to 100."""


class Record(BaseModel):
    """Immutable; a key that the record does not declare is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Record):
    """Where scores come from."""

    title: Text
    """What a reader may look for: a paper's table, a leaderboard, a file."""
    url: Text | None = None
    note: Text | None = None


class BenchmarkScore(Record):
    """One printed or measured score of one checkpoint."""

    benchmark: Name
    """"arena_hard", "alpaca_eval_2_lc", "alpaca_eval_2_wr", or any other name."""
    value: PerCent
    source: Name
    """A key of the registry's sources."""
    ci_low: PerCent | None = None
    """Lower end of the 95% interval, where the source gives one."""
    ci_high: PerCent | None = None
    note: Text | None = None
    """What a reader must know before using the number."""

    @model_validator(mode="after")
    def _interval_is_whole(self) -> Self:
        low, high = self.ci_low, self.ci_high
        if (low is None) != (high is None):
            raise ValueError("needs both ci_low and ci_high, or neither")
        if low is not None and high is not None and low > high:
            raise ValueError("has a ci_low above its ci_high")
        return self


class Checkpoint(Record):
    """One model, with its place in training and its benchmark scores."""

    name: Name
    """Unique; for a hub model the last component of its hub id."""
    model: Text
    """Hub id or path; "./" and "../" in a YAML file are relative to that file's folder."""
    revision: Text | None = None
    """Commit, tag or branch on the hub."""
    aliases: tuple[Text, ...] = ()
    """Other hub ids or names under which a source lists the same checkpoint."""
    label: Text
    """Short name for figures."""
    base: Text | None = None
    """The pretrained model underneath, in the registry or not."""
    stage: Literal["base", "sft", "preference"] | None = None
    """None for a checkpoint that the user named by its folder or hub id alone."""
    objective: Text | None = None
    """The preference objective in lower case: "dpo", "simpo", ..."""
    trained_from: Name | None = None
    """Name of the checkpoint that training started from: its own reference model."""
    quantised_from: Name | None = None
    """Name of the checkpoint whose weights these are, rounded."""
    parameters: Annotated[int, Field(gt=0, strict=True)] | None = None
    """How many."""
    scores: tuple[BenchmarkScore, ...] = ()

    @model_validator(mode="after")
    def _one_score_a_source(self) -> Self:
        keys = [(score.benchmark, score.source) for score in self.scores]
        for benchmark, source in keys:
            if keys.count((benchmark, source)) > 1:
                raise ValueError(f"has two scores on {benchmark!r} from {source!r}")
        return self


class Family(Record):
    """Checkpoints that share a base model and are scored under one chat template."""

    name: Name
    description: Text
    members: tuple[Name, ...]
    """Names of checkpoints, in the order of tables and heatmaps."""
    chat_template: str | None = None
    """Jinja text as transformers takes it."""
    end_of_turn: str | None = None
    """The marker that ends an assistant turn in that template, e.g. "</s>"."""
    default_task: Name = "rewardbench"
    default_benchmark: Name = "arena_hard"
    """The benchmark whose gap is reported first."""

    @model_validator(mode="after")
    def _members_differ(self) -> Self:
        for member in self.members:
            if self.members.count(member) > 1:
                raise ValueError(f"names the member {member!r} twice")
        return self
