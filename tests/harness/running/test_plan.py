"""Which conversations of which checkpoint a run needs, and how their scores come back as matrices."""

from pathlib import Path

import numpy as np
import pytest
from cdr_eval.harness.rendering.chat import ChatRenderer, Rendering
from cdr_eval.harness.running.plan import BlockRenderer, CheckpointPlan, RenderedBlock, plan_checkpoint, wanted_rows
from cdr_eval.harness.running.store import ScoreStore
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.model_registry.checkpoint_files import LocalCheckpoint
from cdr_eval.model_registry.schema import Checkpoint
from cdr_eval.tasks.criteria import Criteria, load_criteria
from cdr_eval.tasks.item import Item
from cdr_eval.tasks.preference import load_preferences
from cdr_eval.tasks.variants import declare_variants

from tests.checkpoints import byte_level_tokenizer

LOCAL = LocalCheckpoint(Checkpoint(name="m", model="/m", label="m"), Path("/m"), "weights", 4096)
ROUTES = {"oracle": ["identity", "criteria:safety", "criteria:safety", "criteria:code-math"]}


@pytest.fixture(scope="module")
def criteria(criteria_file: Path) -> Criteria:
    return load_criteria(criteria_file)


@pytest.fixture(scope="module")
def items(items_file: Path) -> tuple[Item, ...]:
    return load_preferences(str(items_file))


@pytest.mark.parametrize("backwards", [False, True])
def test_a_conditioning_is_wanted_for_the_items_of_every_variant_that_uses_it(criteria: Criteria, backwards: bool):
    declared = declare_variants(criteria)
    names = ["cdr-safety", "cdr-adaptive-oracle"]
    variants = [declared[name] for name in (reversed(names) if backwards else names)]
    wanted = wanted_rows(variants, ["weak"], ROUTES, 4)
    assert {name: rows.tolist() for name, rows in wanted.items()} == {
        "criteria:safety": [0, 1, 2, 3],
        "identity": [0],
        "criteria:code-math": [3],
    }


def test_only_the_roles_that_a_checkpoint_plays_are_asked_of_it(criteria: Criteria):
    declared = declare_variants(criteria)
    variants = [declared["pmi-safety"], declared["judge-safety"], declared["likelihood"]]
    everything = {"criteria:safety", "empty"}
    assert wanted_rows(variants, ["weak"], ROUTES, 4).keys() == everything
    alone = {"judge-first:safety", "judge-second:safety", "identity"}
    assert wanted_rows(variants, ["strong"], ROUTES, 4).keys() == everything | alone
    assert wanted_rows(variants, ["strong", "weak"], ROUTES, 4).keys() == everything | alone
    assert wanted_rows(variants, [], ROUTES, 4) == {}


def plan_of(values: list[float | None], truncated: int = -1) -> tuple[CheckpointPlan, dict[bytes, float]]:
    """A plan of items 0 and 2 of three, two responses each, and a score for each key; None does not fit."""
    renderings = [
        Rendering(None if value is None else ScoringRequest((0, i, 9), (1, 2)), i == truncated, i != 3)
        for i, value in enumerate(values)
    ]
    block = RenderedBlock("identity", np.array([0, 2]), 2, tuple(renderings))
    plan = plan_checkpoint(LOCAL, [block], "float32", "reference")
    scores = {key: value for key, value in zip(plan.keys[0], values, strict=True) if key and value is not None}
    return plan, scores


def stored(folder: Path, scores: dict[bytes, float]) -> ScoreStore:
    store = ScoreStore(folder)
    store.append(list(scores), list(scores.values()), [2] * len(scores), "m")
    return store


def test_scores_come_back_in_their_places_and_nothing_else_does(tmp_path: Path):
    plan, scores = plan_of([-1.0, -2.0, -3.0, -4.0])
    assert plan.missing(ScoreStore(tmp_path / "empty")).keys() == scores.keys()
    store = stored(tmp_path / "full", scores)
    assert plan.missing(store) == {}
    nan = np.nan
    found = plan.scores(store, 3, mean=False)["identity"]
    assert np.array_equal(found, [[-1, -2], [nan, nan], [-3, -4]], equal_nan=True)
    found = plan.scores(store, 3, mean=True)["identity"]
    assert np.array_equal(found, [[-0.5, -1], [nan, nan], [-1.5, -2]], equal_nan=True)
    assert plan.counts(store) == {"truncated": 0, "unscored": 0, "non_finite": 0, "no_end_of_turn": 1}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_counted_and_no_score(tmp_path: Path, bad: float):
    plan, scores = plan_of([-1.0, bad, -3.0, -4.0])
    store = stored(tmp_path, scores)
    assert plan.missing(store) == {}  # it was scored, and is not scored again
    found = plan.scores(store, 3, mean=False)["identity"]
    assert np.array_equal(found[0], [-1, np.nan], equal_nan=True)
    assert plan.counts(store)["non_finite"] == 1


def test_what_does_not_fit_is_counted_and_never_asked(tmp_path: Path):
    plan, scores = plan_of([-1.0, -2.0, None, None], truncated=0)
    assert len(plan.requests()) == len(scores) == 2
    store = stored(tmp_path, scores)
    assert np.isnan(plan.scores(store, 3, mean=True)["identity"][2]).all()
    assert plan.counts(store) == {"truncated": 1, "unscored": 1, "non_finite": 0, "no_end_of_turn": 1}


def test_one_conversation_in_two_blocks_is_asked_once():
    rendering = Rendering(ScoringRequest((0, 1), (1,)), False, True)
    blocks = [RenderedBlock(name, np.array([0]), 2, (rendering, rendering)) for name in ("identity", "empty")]
    assert len(plan_checkpoint(LOCAL, blocks, "float32", "reference").requests()) == 1


def test_checkpoints_that_share_a_tokenizer_share_its_renderings(criteria: Criteria, items: tuple[Item, ...]):
    blocks = BlockRenderer(items, criteria, 0)
    first, second = (ChatRenderer(byte_level_tokenizer("chatml"), max_length=64) for _ in range(2))
    rows = np.arange(5)
    block = blocks.conditioned(first, "criteria:safety", rows)
    assert blocks.conditioned(second, "criteria:safety", rows) is block
    assert len(block.renderings) == 10
    assert blocks.conditioned(first, "criteria:safety", rows[:4]) is not block
    assert blocks.conditioned(first, "criteria:code-math", rows).renderings != block.renderings
    longer = ChatRenderer(byte_level_tokenizer("chatml"), max_length=4096)
    assert blocks.conditioned(longer, "criteria:safety", rows).renderings != block.renderings
    other = ChatRenderer(byte_level_tokenizer("zephyr"), max_length=64)
    assert blocks.conditioned(other, "criteria:safety", rows).renderings != block.renderings
    assert len(blocks.routing(first).renderings) == 3 * len(items)
