"""The runner: fixed units, nothing scored twice, and what an interrupted pass leaves."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from cdr_eval.harness.rendering.chat import ChatRenderer
from cdr_eval.harness.running import runner as runner_module
from cdr_eval.harness.running.claims import Claims
from cdr_eval.harness.running.plan import BlockRenderer, CheckpointPlan, plan_checkpoint
from cdr_eval.harness.running.runner import Runner, work_units
from cdr_eval.harness.running.store import ScoreStore
from cdr_eval.harness.scoring.loading import load_model, load_options, load_tokenizer
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.harness.scoring.reference import ReferenceScorer
from cdr_eval.model_registry.checkpoint_files import LocalCheckpoint, localise
from cdr_eval.model_registry.schema import Checkpoint
from cdr_eval.tasks.criteria import DEFAULT_CRITERIA, load_criteria
from cdr_eval.tasks.item import Item, Turn
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

LOAD = load_options("cpu", "float32", False, False)
TOKENS = st.lists(st.integers(0, 3), min_size=2, max_size=12).map(tuple)


@given(tokens=st.lists(TOKENS, unique=True, max_size=12), size=st.integers(1, 30))
def test_units_hold_each_request_once_in_the_order_of_their_prefixes(tokens: list[tuple[int, ...]], size: int):
    requests = {bytes([i]) * 16: ScoringRequest(ids, (len(ids) - 1,)) for i, ids in enumerate(tokens)}
    units = list(work_units(requests, size))
    assert sorted(key for unit in units for key in unit) == sorted(requests)
    assert all(units)
    ordered = [requests[key].token_ids for unit in units for key in unit]
    assert ordered == sorted(ordered)
    for unit in units:
        trie = {requests[key].token_ids[:end] for key in unit for end in range(1, len(requests[key].token_ids) + 1)}
        assert len(trie) <= size or len(unit) == 1
    for unit, following in pairwise(units):
        both = [requests[key].token_ids for key in (*unit, following[0])]
        assert len({ids[:end] for ids in both for end in range(1, len(ids) + 1)}) > size


def opener(local: LocalCheckpoint) -> ReferenceScorer:
    return ReferenceScorer(load_model(local.path, LOAD))


@pytest.fixture(scope="module")
def plan(llamas: Path) -> CheckpointPlan:
    items = tuple(
        Item.preference(
            id=str(i),
            subset="s",
            prompt=(Turn(role="user", content=f"Count to {i}."),),
            chosen="One, two." * (i + 1),
            rejected=f"{i}!",
            problem=None,
        )
        for i in range(5)
    )
    local = localise(Checkpoint(name="dpo", model=str(llamas / "dpo"), label="DPO"))
    renderer = ChatRenderer(load_tokenizer(local.path, LOAD))
    block = BlockRenderer(items, load_criteria(DEFAULT_CRITERIA), 0).conditioned(renderer, "identity", np.arange(5))
    return plan_checkpoint(local, [block], "float32", "reference")


def contents(store: ScoreStore, plan: CheckpointPlan) -> list[float]:
    values, found = store.lookup(sorted(plan.requests()))
    assert found.all()
    return values.tolist()


def test_a_pass_scores_everything_and_the_next_nothing(plan: CheckpointPlan, tmp_path: Path):
    first = Runner(ScoreStore(tmp_path), opener, 200, quiet=True)
    first.run([plan])
    assert first.scored == {"dpo": 10}
    assert plan.missing(first.store) == {}
    second = Runner(ScoreStore(tmp_path), opener, 200, quiet=True)
    second.run([plan])
    assert second.scored == {}
    requests = plan.requests()
    expected = dict(zip(sorted(requests), contents(first.store, plan), strict=True))
    scorer = opener(plan.local)
    for key, request in requests.items():
        ((_, [value]),) = scorer.score([request])
        assert value == expected[key]


@pytest.mark.parametrize("batches", range(1, 10, 3))
def test_a_pass_that_stops_midway_keeps_whole_units_and_continues_to_the_same_bits(
    plan: CheckpointPlan, tmp_path: Path, batches: int
):
    whole = Runner(ScoreStore(tmp_path / "whole"), opener, 200, quiet=True)
    whole.run([plan])
    stopped = Runner(ScoreStore(tmp_path / "stopped"), opener, 200, quiet=True)
    with closing(stopped.score(plan, opener(plan.local))) as passed:
        for _ in range(batches):
            next(passed)
    left = set(plan.missing(stopped.store))
    units = [set(unit) for unit in work_units(plan.requests(), 200)]
    assert left
    assert all(unit <= left or not unit & left for unit in units)
    again = Runner(ScoreStore(tmp_path / "stopped"), opener, 200, quiet=True)
    again.run([plan])
    assert again.scored == {"dpo": len(left)}
    assert contents(again.store, plan) == contents(whole.store, plan)


def test_a_pass_whose_claim_is_lost_stops_and_tries_again(
    plan: CheckpointPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As after a suspension: another process took the checkpoint over, so it is left to it until it is free."""
    monkeypatch.setattr(runner_module, "POLL_SECONDS", 0.01)
    claim_file = tmp_path / "claims" / f"{plan.local.weights}.claim"
    opened: list[int] = []

    class Interrupted(ReferenceScorer):
        def score(self, requests: Sequence[ScoringRequest]) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
            for batch in super().score(requests):
                if len(opened) == 1:
                    claim_file.unlink(missing_ok=True)
                yield batch

    def open_scorer(local: LocalCheckpoint) -> ReferenceScorer:
        opened.append(len(opened))
        return Interrupted(load_model(local.path, LOAD))

    run = Runner(ScoreStore(tmp_path), open_scorer, 200, quiet=True)
    run.run([plan])
    assert len(opened) == 2
    assert plan.missing(run.store) == {}
    assert Claims(tmp_path).living() == []
