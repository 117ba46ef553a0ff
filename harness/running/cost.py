"""What a run would cost: scoring passes, tokens with and without sharing, and time after a short calibration."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ...model_registry.checkpoint_files import LocalCheckpoint
from ..evaluate import Session
from ..scoring.protocol import ScoringRequest
from ..scoring.token_trie import count_tokens
from .plan import CheckpointPlan
from .runner import Runner, work_units
from .status import status

CALIBRATION_SECONDS = 4.0


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


def run_cost(session: Session, calibrate: bool) -> RunCost:
    """Plan every checkpoint's pass; with `calibrate`, score a few responses first."""
    planner = session.planner
    plans: list[CheckpointPlan] = []
    unasked = False
    for group in session.groups:
        routing = planner.routing_plans(group, session.router)
        answered = {strong: plan for strong, plan in routing.items() if not plan.missing(planner.store)}
        unasked = unasked or len(answered) < len(routing)
        plans += [plan for strong, plan in routing.items() if strong not in answered]
        plans += planner.plans(group, planner.routes(group, answered)).values()
    rates: dict[str, Rate] = {}
    costs = [_cost(plan, session.runner, rates if calibrate else None) for plan in plans]
    pairs = sum(len(group.pairs) for group in session.groups)
    return RunCost(tuple(costs), pairs, len(session.question.task.items), unasked, tuple(session.runner.notes))


def _cost(plan: CheckpointPlan, runner: Runner, rates: dict[str, Rate] | None) -> CheckpointCost:
    """`rates` holds those measured, by architecture, and learns those that it lacks."""
    shape = hashlib.sha256((plan.local.path / "config.json").read_bytes()).hexdigest()
    requests, missing = plan.requests(), plan.missing(runner.store)
    if rates is not None and shape not in rates and missing:
        with status(f"Calibrating with {plan.local.name}", runner.quiet):
            rates[shape] = _measured_rate(plan.local, list(missing.values()), runner)
    units = ([missing[key] for key in unit if key in missing] for unit in work_units(requests, runner.unit_tokens))
    shared, separate = (sum(tokens) for tokens in zip((0, 0), *map(count_tokens, units), strict=True))
    seconds = None if rates is None else rates[shape].seconds(shared, separate) if missing else 0.0
    return CheckpointCost(plan.local.name, len(requests), len(requests) - len(missing), shared, separate, seconds)


def _measured_rate(local: LocalCheckpoint, missing: Sequence[ScoringRequest], runner: Runner) -> Rate:
    """Score ever larger samples, spread over the missing responses, until one takes long enough to trust."""
    scorer = runner.open_scorer(local)
    size = 16
    while True:
        sample = missing[:: max(1, len(missing) // size)]
        started = time.perf_counter()
        for _ in scorer.score(sample):
            pass
        elapsed = time.perf_counter() - started
        if elapsed >= CALIBRATION_SECONDS or len(sample) == len(missing):
            runner.take_notes(local, scorer)
            shared, separate = count_tokens(sample)
            return Rate((shared if scorer.shares_prefixes else separate) / elapsed, scorer.shares_prefixes)
        size *= 4
