"""What gives the responses their rewards: a pair of checkpoints, a column of the source, or a trained annotator."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from ...model_registry.registry import Registry
from ...tasks.conditioning import Conditioning
from ...tasks.criteria import DEFAULT_CRITERIA, load_criteria
from ...tasks.item import Turn
from ...tasks.items import Items
from ...tasks.task import Task
from ...tasks.variants import ROUTER, Role, Variant, declare_variants, select_variants
from ..annotators import annotator_rewards, open_annotators
from ..comparisons import Comparison, pair_of
from ..fitted import FittedRow, open_fitted
from ..fitted_file import FittedFile
from ..options import Options
from ..question import Question, own_criteria
from ..rewards import Routing, Scores, rewards
from ..statistics.arrays import Floats
from .candidates import Candidates

if TYPE_CHECKING:
    from ..rendering.groups import Group
    from ..running.scoring_run import GroupScores
    from ..session import Session

Label = tuple[str, str, str]
"""Strong checkpoint, weak checkpoint, variant; those empty that a reward does not have."""


def reward_text(label: Label) -> str:
    """A reward as run.json names it."""
    strong, weak, variant = label
    return f"{variant}, {strong} over {weak}" if weak else " ".join(filter(None, (variant, strong)))


@dataclass(frozen=True, slots=True, eq=False)
class Rewarded:
    """R responses with their rewards."""

    label: Label
    rewards: Floats
    """(R,) NaN where unscored."""
    lengths: Floats
    """(R,)"""
    unit: str
    """Of the lengths: tokens or characters."""
    strong: Floats
    """(R,) what the strong checkpoint adds to the reward; NaN where there is none."""
    weak: Floats
    """(R,)"""
    domains: Sequence[str]
    """(n,) the criteria's domain of each prompt; empty where its own text was scored."""
    others: Mapping[Label, Floats] = field(default_factory=dict["Label", "Floats"])
    """Variants to be compared with, (R,) each."""
    session: "Session | None" = None
    scored: "Sequence[GroupScores]" = ()
    annotator: Mapping[str, Any] | None = None
    """As run.json has it, where a reward head gave the rewards."""
    fitted: Mapping[str, Any] | None = None
    """As run.json has it, where a fitted reward did."""
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PairReward:
    """The reward of a pair of checkpoints under a variant; `compared` are variants to set beside it."""

    comparison: Comparison
    variant: str
    compared: tuple[str, ...]
    registry: Registry
    options: Options

    @classmethod
    def of(
        cls, strong: str, weak: str, variant: str, compared: Sequence[str], registry: Registry, options: Options
    ) -> "PairReward":
        """Raises UserError for a checkpoint over itself, and for variants that there are not."""
        (comparison,) = pair_of(strong, weak, registry)
        if len(comparison.checkpoints) == 1:
            raise UserError("The strong and the weak checkpoint are one: every reward would be 0, so pass two.")
        found = cls(comparison, variant, tuple(compared), registry, options)
        found.question(Task("", "", Items(()), (), DEFAULT_CRITERIA))
        return found

    def question(self, task: Task) -> Question:
        """What is asked about the task's items."""
        path = self.options.criteria or own_criteria(self.comparison.family)
        criteria = load_criteria(path)
        declared = declare_variants(criteria)
        by_section = [name for name in (self.variant, *self.compared) if name.startswith("cdr-adaptive-oracle")]
        if by_section:
            raise UserError(
                f"{by_section[0]} takes each domain from a benchmark's sections, which prompts of your own do not "
                "have: use cdr-adaptive-router, or one domain's variant."
            )
        select_variants((self.variant, *self.compared), declared)
        asked = {name: declared[name] for name in (self.variant, *self.compared)}
        return Question(replace(task, criteria=path), criteria, tuple(asked.values()))

    def rewards(self, candidates: Candidates) -> Rewarded:
        """Score what the store lacks. Raises UserError where the checkpoints cannot be compared."""
        from ..executors import open_executor
        from ..running.scoring_run import score
        from ..session import open_session

        question = self.question(candidates.task)
        with open_executor(self.options) as executor:
            session = open_session(question, [self.comparison], self.registry, self.options, executor)
            _check_templates(session.groups[0], self.options)
            renderer = session.groups[0].members[0].renderer
            for item in candidates.items:
                renderer.check_unrendered(item.prompt[0]["content"], f"The prompt of {item.id!r}")
            scored = score(session.groups, session.router, session.planner, session.runner)
        return _rewarded(question, scored, session)

    def score_shard(self, candidates: Candidates, shard: tuple[int, int]) -> list[str]:
        """Score shard (i, n) into the store; returns its checkpoints."""
        from ..executors import open_executor
        from ..running import scoring_run
        from ..session import open_session

        question = self.question(candidates.task)
        with open_executor(self.options) as executor:
            session = open_session(question, [self.comparison], self.registry, self.options, executor)
            _check_templates(session.groups[0], self.options)
            return scoring_run.score_shard(session.groups, session.router, session.planner, session.runner, *shard)


@dataclass(frozen=True, slots=True)
class ColumnReward:
    """Rewards that a column of the source holds."""

    column: str

    def rewards(self, candidates: Candidates) -> Rewarded:
        """The column's; lengths are characters."""
        assert candidates.rewards is not None
        return _alone(("", "", self.column), candidates.rewards, candidates.items)


@dataclass(frozen=True, slots=True)
class AnnotatorReward:
    """The rewards of a reward head that `annotator train` wrote, for prompts that it has not seen."""

    folder: Path
    options: Options

    def rewards(self, candidates: Candidates) -> Rewarded:
        """Lengths are characters. Raises UserError for prompts that it was trained on."""
        allow = self.options.allow_overlap
        (row,) = open_annotators([self.folder], candidates.items, allow_overlap=allow)
        found, notes = annotator_rewards([row], candidates.items, self.options.device)
        return replace(_alone(row.label, found[0], candidates.items), annotator=row.info, notes=notes)


@dataclass(frozen=True, slots=True)
class CombinedReward:
    """The reward of a fitted.yaml: a logit, for prompts whose labels it was not fitted on."""

    path: Path
    file: FittedFile
    registry: Registry
    options: Options

    def opened(self, candidates: Candidates) -> FittedRow:
        """Raises UserError for prompts that it was fitted on, and for checkpoints that the registry lacks."""
        criteria = self.options.criteria or self._criteria()
        question = Question(replace(candidates.task, criteria=criteria), load_criteria(criteria), ())
        (row,) = open_fitted([self.path], question, self.registry, self.options)
        return row

    def rewards(self, candidates: Candidates) -> Rewarded:
        """Score what the store lacks; lengths are tokens of the first checkpoint that has them. Raises UserError."""
        from ..executors import open_executor

        row = self.opened(candidates)
        with open_executor(self.options) as executor:
            found, session, scored = row.rewards(self.registry, self.options, executor)
        lengths, unit = _lengths(next(iter(scored[0].tokens.values()), None), candidates.items)
        alone = replace(_alone(row.label, found, candidates.items), lengths=lengths, unit=unit)
        return replace(alone, session=session, scored=scored, fitted=row.info, notes=row.notes)

    def _criteria(self) -> Path:
        members = [found for name in self.file.checkpoints if (found := self.registry.lookup(name)) is not None]
        return own_criteria(self.registry.common_family(members))


Reward = PairReward | ColumnReward | AnnotatorReward | CombinedReward


def text_renderer(session: "Session") -> Callable[[Sequence[Turn], str], tuple[str, str]]:
    """Prompt and response as the template writes them, less the BOS where a tokenizer would add a second one."""
    from ...tasks.conditioning import Conversation
    from ..rendering.tokenizers import load_tokenizer

    member = session.groups[0].members[0]
    tokenizer: Any = load_tokenizer(member.local.tokenizer, session.load)
    adds_bos = tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id

    def render(turns: Sequence[Turn], response: str) -> tuple[str, str]:
        conversation = Conversation(tuple(turns), response)
        whole = member.renderer.text(conversation)
        text = member.renderer.text_without_bos(conversation) if adds_bos else whole.text
        start = whole.response[0] - (len(whole.text) - len(text))
        return text[:start], text[start:]

    return render


def _check_templates(group: "Group", options: Options) -> None:
    """Refuse a pair whose own templates differ, and no family declares one: which was meant is the user's to say."""
    own = [note for note in group.notes if "has a chat template of its own" in note]
    if own and options.chat_template is None:
        raise UserError(
            "The chat templates of the strong and the weak checkpoint differ: pass one for both with "
            "--chat-template FILE, or declare a family with a template in a registry file."
        )


def _rewarded(question: Question, scored: "Sequence[GroupScores]", session: "Session") -> Rewarded:
    (group,) = scored
    ((strong, weak),) = group.group.pairs
    owners = question.task.items.owners
    roles: Mapping[Role, Mapping[Conditioning, Scores]]
    roles = {"strong": group.scores[strong], "weak": group.scores[weak]}
    routes = group.routes[strong]

    def reward(variant: Variant) -> Floats:
        return rewards(variant, roles, routes, owners)

    first, *others = question.variants
    lengths, unit = _lengths(group.tokens.get(strong), question.task.items)
    return Rewarded(
        (strong, weak if first.uses_weak else "", first.name),
        reward(first),
        lengths,
        unit,
        _of_role(first, "strong", reward, lengths),
        _of_role(first, "weak", reward, lengths),
        _domains(first, routes.get(ROUTER), len(question.task.items)),
        {(strong, weak if v.uses_weak else "", v.name): reward(v) for v in others},
        session=session,
        scored=scored,
    )


def _lengths(tokens: NDArray[np.int32] | None, items: Items) -> tuple[Floats, str]:
    """How long the responses are, (R,), and in what: characters where their tokens were not scored, as by a judge."""
    return (items.chars.astype(np.float64), "characters") if tokens is None else (tokens.astype(np.float64), "tokens")


def _of_role(variant: Variant, role: Role, reward: Callable[[Variant], Floats], like: Floats) -> Floats:
    """What one checkpoint adds to a reward, (R,)."""
    terms = tuple(term for term in variant.terms if term.role == role)
    return reward(replace(variant, terms=terms)) if terms else np.full(len(like), np.nan)


def _domains(variant: Variant, routed: Routing | None, n: int) -> Sequence[str]:
    if variant.uses_router and routed is not None:
        codes: list[int] = routed.codes.tolist()
        return [routed.choices[code].domain for code in codes]
    named = {term.conditioning.domain for term in variant.terms if isinstance(term.conditioning, Conditioning)} - {""}
    return [next(iter(named), "")] * n


def _alone(label: Label, found: Floats, items: Items) -> Rewarded:
    nothing = np.full(len(found), np.nan)
    return Rewarded(label, found, *_lengths(None, items), nothing, nothing, [""] * len(items))
