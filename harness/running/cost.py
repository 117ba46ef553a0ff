"""What a run would cost: scoring passes, tokens with and without sharing, and time after a short calibration."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...model_registry.checkpoint_files import LocalCheckpoint
from ..progress import status
from ..rendering.groups import Group
from ..scoring.protocol import ScoringRequest
from ..scoring.token_trie import count_tokens
from .planner import Planner
from .runner import CheckpointPlan, Runner, distinct_units
from .this_process import ThisProcess

CALIBRATION_SECONDS = 4.0
SAMPLE_RESPONSES = 4_096
"""Missing responses that calibration draws from."""


@dataclass(frozen=True, slots=True)
class CheckpointCost:
    """What one checkpoint's missing scores cost."""

    checkpoint: str
    responses: int
    """Distinct responses that the run needs."""
    in_store: int
    """How many of them the store has."""
    tokens_shared: int
    """Tokens to compute for the others by the fast scorer: a shared prefix once in every unit of work."""
    tokens_separate: int
    """Tokens to compute where every response is a sequence of its own."""
    seconds: float | None
    """Predicted time of the pass, loading apart; None without calibration."""


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run would cost."""

    checkpoints: tuple[CheckpointCost, ...]
    pairs: int
    items: int
    routed_by_section: bool
    """Whether routed variants were planned by section, because the router has not been asked yet."""
    notes: tuple[str, ...]
    """What the scorers that were calibrated had to say, such as a fallback, one sentence each."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a scorer computes tokens, and which ones it computes."""

    tokens_per_second: float
    shares_prefixes: bool

    def seconds(self, tokens_shared: int, tokens_separate: int) -> float:
        """Time for responses that have so many tokens with and without sharing."""
        return (tokens_shared if self.shares_prefixes else tokens_separate) / self.tokens_per_second


@dataclass(slots=True)
class _Counted:
    """Distinct responses of a plan, and the tokens of those that the store lacks."""

    responses: int = 0
    missing: int = 0
    shared: int = 0
    separate: int = 0
    sample: list[ScoringRequest] = field(default_factory=list[ScoringRequest])


class Costing:
    """Counts what plans would compute, and with `calibrate` times a few responses of each architecture."""

    def __init__(self, planner: Planner, runner: Runner, calibrate: bool) -> None:
        self._planner, self._runner, self._calibrate = planner, runner, calibrate
        self._rates: dict[str, Rate] = {}
        """By architecture, and the adapter on it."""
        self._notes: list[str] = []

    def run_cost(self, groups: Sequence[Group], router: Group | None) -> RunCost:
        """The cost of every checkpoint's pass."""
        plans: list[CheckpointPlan] = []
        unasked = False
        for group in groups:
            routing = self._planner.routing_plans(group, router)
            missing = {plan.local.name: plan for plan in routing.values() if self._tokens(plan).missing}
            unasked = unasked or bool(missing)
            plans += missing.values()
            asked = {plan.local.name: plan for plan in routing.values() if plan.local.name not in missing}
            answers = dict(zip(asked, self._runner.run(list(asked.values())), strict=True)) if asked else {}
            answered = {s: answers[p.local.name].routing for s, p in routing.items() if p.local.name in answers}
            plans += self._planner.plans(group, self._planner.routes(group, answered))
        costs = tuple(self._cost(plan) for plan in plans)
        pairs = sum(len(group.pairs) for group in groups)
        return RunCost(costs, pairs, len(self._planner.question.task.items), unasked, tuple(self._notes))

    def _cost(self, plan: CheckpointPlan) -> CheckpointCost:
        counted = self._tokens(plan)
        seconds: float | None = None
        if self._calibrate:
            rate = self._rate(plan.local, counted.sample) if counted.sample else None
            seconds = rate.seconds(counted.shared, counted.separate) if rate else 0.0
        found = counted.responses - counted.missing
        return CheckpointCost(plan.local.name, counted.responses, found, counted.shared, counted.separate, seconds)

    def _tokens(self, plan: CheckpointPlan) -> _Counted:
        """Count a plan's distinct responses, and the tokens of those that the store lacks, unit by unit."""
        counted = _Counted()
        seen: set[bytes] = set()
        for part in plan.parts:
            rendered = self._runner.renderer.render(plan.renderer, part)
            keys = [None if key in seen else key for key in self._runner.keys(plan.local, rendered)]
            missing = self._runner.missing(keys)
            fresh = {key for key in keys if key is not None}
            for unit in distinct_units(rendered, keys, self._runner.settings.unit_tokens):
                requests = rendered.requests.take([i for i in unit if keys[i] in missing]).unpacked()
                shared, separate = count_tokens(requests)
                counted.shared, counted.separate = counted.shared + shared, counted.separate + separate
                if len(counted.sample) < SAMPLE_RESPONSES:
                    counted.sample += requests
            counted.responses, counted.missing = counted.responses + len(fresh), counted.missing + len(missing)
            seen |= fresh
        return counted

    def _rate(self, local: LocalCheckpoint, sample: Sequence[ScoringRequest]) -> Rate:
        config = local.whole.path / "config.json"  # which need not stand beside a GGUF file
        shape = hashlib.sha256(config.read_bytes()).hexdigest() if config.is_file() else local.weights
        shape += str(local.adapter or "")
        if shape not in self._rates:
            with status(f"Calibrating with {local.name}", self._runner.quiet):
                self._rates[shape] = self._measured(local, sample)
        return self._rates[shape]

    def _measured(self, local: LocalCheckpoint, missing: Sequence[ScoringRequest]) -> Rate:
        """Score ever larger samples, spread over the missing responses, until one takes long enough to trust."""
        scorer = ThisProcess(self._runner.settings).open(local)
        size = 16
        while True:
            sample = missing[:: max(1, len(missing) // size)]
            started = time.perf_counter()
            for _ in scorer.score(sample):
                pass
            elapsed = time.perf_counter() - started
            if elapsed >= CALIBRATION_SECONDS or len(sample) == len(missing):
                self._notes += [f"{local.name}: {note}" for note in scorer.notes]
                shared, separate = count_tokens(sample)
                return Rate((shared if scorer.shares_prefixes else separate) / elapsed, scorer.shares_prefixes)
            size *= 4
