"""The tables of an annotation, of a fit, and of estimates without labels; declared as those of an evaluation."""

from typing import Annotated, Literal

from pydantic import Field

from .columns import Checkpoint, Count, Difference, Name, Nats, Number, OneOf, Percent, Record, Text, Truth
from .evaluation_tables import Accuracy, High, HighNumber, Items, Low, LowNumber, RewardRow


class ResponseRow(Record):
    """The responses of an annotation, prompt by prompt; empty ones are left out."""

    item: Name = Field(description="id of the prompt")
    response: Count = Field(description="which response of its row, from 0")
    same_as: Count = Field(description="the response of the same text that stands for it; its own number if none does")
    text: Text = Field(description="the response")
    length: Number = Field(description="length, in the unit that run.json names")
    finish: Name = Field(description="why it ended; empty where that is not known")
    strong: Nats = Field(description="what the strong checkpoint adds to the reward; NaN where there is none")
    weak: Nats = Field(description="what the weak checkpoint adds to the reward; NaN where there is none")
    reward: Nats = Field(description="its reward; NaN where it is unscored")
    grade: Number = Field(description="its grade, where labels are known; NaN elsewhere")
    role: Annotated[Literal["", "chosen", "rejected", "both"], OneOf] = Field(description="as what it is in a pair")


class DroppedRow(Record):
    """Prompts that gave no pair."""

    item: Text = Field(description="id of the prompt, or file and line of a row that could not be used")
    reason: Name = Field(description="why")


class StatisticRow(Record):
    """What can be said of the rewards, the choice and the pairs of an annotation."""

    topic: Name = Field(description="`agreement`, `length`, `confidence`, `index`, `domain` or `variants`")
    statistic: Name = Field(description="what the value is")
    name: Name = Field(description="subset, domain, variant, sample index or bin that it is of; empty for all")
    n: Count = Field(description="prompts or pairs that it rests on")
    value: Number = Field(description="the statistic")
    ci_low: LowNumber
    ci_high: HighNumber


class CoefficientRow(Record):
    """The coefficients of a fitted reward: Σ coefficient · log-probability, a logit of preference."""

    reward: Name = Field(description="fitted reward")
    checkpoint: Checkpoint = Field(description="the checkpoint")
    conditioning: Name = Field(description="what its log-probability is under")
    coefficient: Number = Field(description="logits a nat; those of a reward sum to zero")
    ci_low: Number = Field(description="lower end of the 95% interval, at this strength, by clusters of items")
    ci_high: Number = Field(description="upper end")


class SparseRow(Record):
    """Out-of-fold accuracy of fits on few checkpoints, that are added one by one."""

    checkpoints: Count = Field(description="how many; each costs a pass over a model under every conditioning")
    added: Checkpoint = Field(description="the one added, in the fit on all labels; the first row has two")
    n: Items
    accuracy: Accuracy
    ci_low: Low
    ci_high: High
    gain: Difference = Field(description="accuracy less that of the pair chosen on the same labels")


class CurveRow(Record):
    """Accuracy on the items left out, of rewards made with so many labels, mean over random splits."""

    labels: Count = Field(description="labelled items")
    reward: Annotated[Literal["fitted", "pair", "difference"], OneOf] = Field(
        description="the fit, the pair best on the same labels, or the difference of the two on the same items"
    )
    n: Items
    value: Number = Field(description="accuracy or difference, a share")
    ci_low: LowNumber
    ci_high: HighNumber


class UnlabelledRow(RewardRow):
    """Accuracy of each pair as estimated from how pairs agree, without any label."""

    n: Items
    estimate: Percent = Field(description="how often the pair is right about two responses, if the factor is quality")
    ci_low: Percent = Field(
        description="lower end of the 95% interval over items; one common factor is taken for granted"
    )
    ci_high: Percent = Field(description="upper end")
    accuracy: Percent = Field(description="how often it is, where labels are known: they took no part in the estimate")
    tied: Truth = Field(description="whether it cannot be told from the best by the estimates; the best itself, too")
    cheapest: Truth = Field(description="whether it has the fewest parameters of the best pair and those tied")


class ControlRow(Record):
    """Features of the texts as further raters: do they explain how the pairs agree?"""

    control: Name = Field(description="feature of which a response may have more")
    n: Count = Field(description="comparisons of responses that differ in it")
    explained: Number = Field(
        description="share of the pairs' agreement that it explains; about 0 for one that is idle"
    )
    correlation: Number = Field(description="of a pair's estimate with how often it prefers more of the feature")
