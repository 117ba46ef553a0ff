"""The runner: fixed units, nothing scored twice, and what an interrupted pass leaves."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from cdr_eval.errors import CheckpointError
from cdr_eval.harness.rendering.chat import ChatRenderer
from cdr_eval.harness.rendering.tokenizers import load_tokenizer
from cdr_eval.harness.running import runner as runner_module
from cdr_eval.harness.running import work_units
from cdr_eval.harness.running.answers import Answers
from cdr_eval.harness.running.claims import Claims
from cdr_eval.harness.running.packed import pack
from cdr_eval.harness.running.parts import PartRenderer, RenderedPart
from cdr_eval.harness.running.runner import CheckpointPlan, Runner, claim_name, distinct_units
from cdr_eval.harness.running.store import ScorerReport, ScoreStore
from cdr_eval.harness.running.tensor_parallel import TensorParallel
from cdr_eval.harness.running.this_process import ThisProcess
from cdr_eval.harness.running.work_units import CheckpointWork, ScoredUnit, ScorerSettings, WorkUnit, cut_units
from cdr_eval.harness.scoring.load_options import load_options
from cdr_eval.harness.scoring.loading import load_model
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.harness.scoring.reference import ReferenceScorer
from cdr_eval.model_registry.checkpoint_files import LocalCheckpoint, localise
from cdr_eval.model_registry.schema import Checkpoint
from cdr_eval.tasks.conditioning import EMPTY, IDENTITY
from cdr_eval.tasks.criteria import DEFAULT_CRITERIA, load_criteria
from cdr_eval.tasks.item import Item, Turn
from cdr_eval.tasks.items import Items
from hypothesis import given
from hypothesis import strategies as st

LOAD = load_options("cpu", "float32", False, False)
SETTINGS = ScorerSettings("reference", "reference", LOAD, None, None)
TOKENS = st.lists(st.integers(0, 3), min_size=2, max_size=12).map(tuple)
UNIT_TOKENS = 60


def last_scored(tokens: list[tuple[int, ...]]) -> list[ScoringRequest]:
    return [ScoringRequest(ids, (len(ids) - 1,)) for ids in tokens]


@given(tokens=st.lists(TOKENS, unique=True, max_size=12), size=st.integers(1, 30), data=st.data())
def test_units_hold_each_request_once_in_the_order_of_their_prefixes(
    tokens: list[tuple[int, ...]], size: int, data: st.DataObject
):
    wanted = data.draw(st.permutations(range(len(tokens))))[: data.draw(st.integers(0, len(tokens)))]
    units = list(cut_units(pack(last_scored(tokens)), wanted, size))
    assert sorted(index for unit in units for index in unit) == sorted(wanted)
    assert all(units)
    ordered = [tokens[index] for unit in units for index in unit]
    assert ordered == sorted(ordered)
    for unit in units:
        trie = {tokens[index][:end] for index in unit for end in range(1, len(tokens[index]) + 1)}
        assert len(trie) <= size or len(unit) == 1
    for unit, following in pairwise(units):
        both = [tokens[index] for index in (*unit, following[0])]
        assert len({ids[:end] for ids in both for end in range(1, len(ids) + 1)}) > size


@given(
    tokens=st.lists(st.none() | st.lists(st.integers(0, 1), min_size=2, max_size=3).map(tuple), max_size=12),
    size=st.integers(1, 30),
)
def test_of_equal_requests_one_is_scored_and_of_what_does_not_fit_none(tokens: list[tuple[int, ...] | None], size: int):
    requests = [None if ids is None else ScoringRequest(ids, (len(ids) - 1,)) for ids in tokens]
    keys = [None if ids is None else bytes(ids).rjust(16, b"k") for ids in tokens]
    lengths = np.array([0 if ids is None else 1 for ids in tokens], dtype=np.int64)
    numbers, no = np.arange(len(tokens)), np.zeros(len(tokens), dtype=bool)
    rendered = RenderedPart(pack(requests), numbers, numbers, lengths, no, ~no)
    scored = [tokens[index] for unit in distinct_units(rendered, keys, size) for index in unit]
    assert sorted(ids for ids in scored if ids) == sorted({ids for ids in tokens if ids})
    assert None not in scored


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(work_units.UNIT_TOKENS, "cpu", UNIT_TOKENS)
    monkeypatch.setattr(runner_module, "POLL_SECONDS", 0.01)


@pytest.fixture(scope="module")
def renderer() -> PartRenderer:
    items = Items(
        Item.preference(str(i), "s", (Turn(role="user", content=f"Count to {i}."),), "One, two." * (i + 1), f"{i}!")
        for i in range(5)
    )
    return PartRenderer(items, load_criteria(DEFAULT_CRITERIA), 0)


def plan_of(folder: Path, renderer: PartRenderer, parts: int = 1) -> CheckpointPlan:
    local = localise(Checkpoint(name=folder.name, model=str(folder), label=folder.name))
    everything = np.ones(5, dtype=bool)
    wanted = renderer.parts(dict.fromkeys((IDENTITY, EMPTY)[:parts], everything))
    return CheckpointPlan(local, ChatRenderer(load_tokenizer(local.path, LOAD)), wanted)


@pytest.fixture(scope="module")
def plan(llamas: Path, renderer: PartRenderer) -> CheckpointPlan:
    return plan_of(llamas / "dpo", renderer)


class StoppedError(Exception):
    pass


class Watched:
    """Scores in this process, with something done before each unit's answer is given."""

    def __init__(self, before: Callable[[int], object] = bool, ahead: bool = False) -> None:
        self.before, self.ahead = before, ahead
        self.opened: list[str] = []
        self.units = 0
        self.settings, self.status, self.place = SETTINGS, "", ""

    def release(self) -> None:
        """Holds nothing between passes."""

    def run(self, work: Iterator[CheckpointWork]) -> Iterator[ScoredUnit]:
        """With `ahead` all units are taken before one is answered, the last first."""
        for asked in work:
            yield from self.score(asked.local, asked.units)

    def score(self, local: LocalCheckpoint, units: Iterator[WorkUnit]) -> Iterator[ScoredUnit]:
        taken = iter(list(units)[::-1]) if self.ahead else units
        for scored in ThisProcess(SETTINGS).score(local, taken, None):
            if local.name not in self.opened[-1:]:
                self.opened.append(local.name)
            self.before(self.units)
            self.units += 1
            yield replace(scored, report=ScorerReport([f"opened {local.name}"]))


def runner_of(folder: Path, renderer: PartRenderer, executor: Watched | None = None, mean: bool = False) -> Runner:
    return Runner(ScoreStore(folder), renderer, SETTINGS, executor or Watched(), mean)


def keys_of(run: Runner, plan: CheckpointPlan, part: int = 0) -> list[bytes | None]:
    return run.keys(plan.local, run.renderer.render(plan.renderer, plan.parts[part]))


def same(first: Answers, second: Answers) -> bool:
    return first.scores.keys() == second.scores.keys() and all(
        np.array_equal(values, second.scores[c], equal_nan=True) for c, values in first.scores.items()
    )


def test_a_pass_scores_everything_and_the_next_nothing(plan: CheckpointPlan, renderer: PartRenderer, tmp_path: Path):
    first = runner_of(tmp_path, renderer)
    (answers,) = first.run([plan])
    assert first.scored == {"dpo": 10}
    assert first.missing(keys_of(first, plan)) == set()
    assert Claims(tmp_path).living() == []
    executor = Watched()
    second = runner_of(tmp_path, renderer, executor)
    (again,) = second.run([plan])
    assert second.scored == {} and executor.opened == []
    assert same(answers, again)
    assert first.reports == second.reports == {"dpo": ScorerReport(["opened dpo"])}
    requests = renderer.render(plan.renderer, plan.parts[0]).requests.unpacked()
    scorer = ReferenceScorer(load_model(plan.local.path, LOAD))
    for request, value in zip(requests, answers.scores[IDENTITY].tolist(), strict=True):
        ((_, [expected]),) = scorer.score([request])
        assert value == expected


def test_what_one_of_several_workers_had_to_say_is_kept(plan: CheckpointPlan, renderer: PartRenderer, tmp_path: Path):
    class InTurn(Watched):
        """Two workers; one says something with each of its units."""

        def run(self, work: Iterator[CheckpointWork]) -> Iterator[ScoredUnit]:
            for number, scored in enumerate(super().run(work)):
                yield scored if number % 2 == 0 else replace(scored, report=ScorerReport())

    run = runner_of(tmp_path, renderer, executor := InTurn())
    run.run([plan])
    assert executor.units % 2 == 0  # the last was the silent one's
    assert run.reports == {"dpo": ScorerReport(["opened dpo"])}


def test_memory_that_runs_out_twice_is_noted_twice():
    spread = TensorParallel(SETTINGS)
    halved = spread._halved(spread.settings, 128)
    assert spread._halved(halved, halved.batch_tokens).batch_tokens == 32
    assert [note[:22] for note in spread._notes] == ["Memory ran out at 128 ", "Memory ran out at 64 t"]


def test_means_are_made_of_the_stored_sums(plan: CheckpointPlan, renderer: PartRenderer, tmp_path: Path):
    (sums,) = runner_of(tmp_path, renderer).run([plan])
    run = runner_of(tmp_path, renderer, mean=True)
    (means,) = run.run([plan])
    lengths = renderer.render(plan.renderer, plan.parts[0]).lengths
    assert run.scored == {}
    assert (means.scores[IDENTITY] == sums.scores[IDENTITY] / lengths).all()


def test_units_that_are_answered_late_and_in_any_order_give_the_same_bits(
    llamas: Path, renderer: PartRenderer, tmp_path: Path
):
    plans = [plan_of(llamas / name, renderer, parts=2) for name in ("dpo", "base")]
    in_order = runner_of(tmp_path / "a", renderer).run(plans)
    executor = Watched(ahead=True)
    for first, second in zip(in_order, runner_of(tmp_path / "b", renderer, executor).run(plans), strict=True):
        assert same(first, second)
    assert executor.opened == ["dpo", "base"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_stored_counted_and_not_scored_again(
    plan: CheckpointPlan, renderer: PartRenderer, tmp_path: Path, bad: float
):
    run = runner_of(tmp_path, renderer)
    keys = [key for key in keys_of(run, plan) if key is not None]
    run.store.append(keys, [bad, *[-2.0] * 9], [1] * 10, "dpo")
    (answers,) = run.run([plan])
    assert run.scored == {}
    assert np.array_equal(answers.scores[IDENTITY], [np.nan, *[-2.0] * 9], equal_nan=True)
    assert answers.counts["non_finite"] == 1


def test_what_does_not_fit_is_counted_and_never_asked(plan: CheckpointPlan, renderer: PartRenderer, tmp_path: Path):
    short = ChatRenderer(load_tokenizer(plan.local.path, LOAD), max_length=30)
    run = runner_of(tmp_path, renderer)
    (answers,) = run.run([CheckpointPlan(plan.local, short, plan.parts)])
    unscored = np.isnan(answers.scores[IDENTITY])
    assert 0 < unscored.sum() < 10
    assert run.scored == {"dpo": 10 - unscored.sum()}
    assert answers.counts["unscored"] == unscored.reshape(5, 2).any(axis=1).sum()


@pytest.mark.parametrize("count", range(3))
def test_a_pass_that_stops_midway_keeps_whole_units_and_continues_to_the_same_bits(
    plan: CheckpointPlan, renderer: PartRenderer, tmp_path: Path, count: int
):
    whole = runner_of(tmp_path / "whole", renderer)
    (expected,) = whole.run([plan])

    def stop(number: int) -> None:
        if number == count:
            raise StoppedError

    stopped = runner_of(tmp_path / "stopped", renderer, Watched(stop))
    with pytest.raises(StoppedError):
        stopped.run([plan])
    assert Claims(tmp_path / "stopped").living() == []
    keys = keys_of(stopped, plan)
    left = stopped.missing(keys)
    units = distinct_units(renderer.render(plan.renderer, plan.parts[0]), keys, UNIT_TOKENS)
    kept = [{keys[i] for i in unit}.isdisjoint(left) for unit in units]
    assert kept == [n < count for n in range(len(kept))]
    assert left and len(kept) > 3
    assert len(left) == sum(key in left for key in keys)
    again = runner_of(tmp_path / "stopped", renderer)
    (answers,) = again.run([plan])
    assert again.scored == {"dpo": len(left)}
    assert same(answers, expected)


def test_a_pass_whose_claim_is_lost_stops_and_tries_again(plan: CheckpointPlan, renderer: PartRenderer, tmp_path: Path):
    """As after a suspension: another process took the part over, so it is left to it until it is free."""
    (expected,) = runner_of(tmp_path / "whole", renderer).run([plan])

    def lose(number: int) -> None:
        if number == 0:
            (claim_file,) = (tmp_path / "claims").iterdir()
            claim_file.unlink()
            assert len(executor.opened) == 1

    executor = Watched(lose)
    run = runner_of(tmp_path, renderer, executor)
    passes: list[int] = []
    score = executor.score

    def counted(local: LocalCheckpoint, units: Iterator[WorkUnit]) -> Iterator[ScoredUnit]:
        passes.append(executor.units)
        return score(local, units)

    executor.score = counted
    (answers,) = run.run([plan])
    assert passes == [0, 1]
    assert run.scored == {"dpo": 10}
    assert same(answers, expected)
    assert Claims(tmp_path).living() == []


def test_a_part_that_another_process_scores_is_left_to_it(llamas: Path, renderer: PartRenderer, tmp_path: Path):
    plan = plan_of(llamas / "dpo", renderer, parts=2)
    other = ScoreStore(tmp_path)
    keys = [key for key in keys_of(runner_of(tmp_path, renderer), plan, 0) if key is not None]
    claim = Claims(tmp_path).take(claim_name(plan.local, keys))
    assert claim is not None

    def finish(number: int) -> None:
        if number == 0:
            other.append(keys, [-float(i) for i in range(10)], [1] * 10, "dpo")
            claim.close()

    run = runner_of(tmp_path, renderer, Watched(finish))
    (answers,) = run.run([plan])
    assert run.scored == {"dpo": 10}
    assert answers.scores[IDENTITY].tolist() == [-float(i) for i in range(10)]
    (alone,) = runner_of(tmp_path / "alone", renderer).run([plan])
    assert (answers.scores[EMPTY] == alone.scores[EMPTY]).all()
    assert Claims(tmp_path).living() == []


def test_a_checkpoint_that_others_score_comes_last(llamas: Path, renderer: PartRenderer, tmp_path: Path):
    plans = [plan_of(llamas / name, renderer) for name in ("dpo", "base")]
    claim = Claims(ScoreStore(tmp_path).folder).take(claim_name(plans[0].local, [b"elsewhere"]))
    assert claim is not None
    executor = Watched()
    answers = runner_of(tmp_path, renderer, executor).run(plans)
    claim.close()
    assert executor.opened == ["base", "dpo"]
    for plan, found in zip(plans, answers, strict=True):
        (alone,) = runner_of(tmp_path, renderer).run([plan])
        assert same(alone, found)


def test_a_stop_between_claiming_a_part_and_its_first_unit_leaves_no_claim(
    plan: CheckpointPlan, renderer: PartRenderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A notebook's next run would wait for it, since the process that holds it is alive."""

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner_module, "distinct_units", stopped)
        with pytest.raises(KeyboardInterrupt):
            runner_of(tmp_path, renderer).run([plan])
    assert Claims(tmp_path).living() == []
    runner_of(tmp_path, renderer).run([plan])


def test_memory_that_not_even_a_token_fits_into_is_told_in_a_sentence(
    plan: CheckpointPlan, renderer: PartRenderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    run = Runner(ScoreStore(tmp_path), renderer, SETTINGS, ThisProcess(SETTINGS))
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", full)
    with pytest.raises(CheckpointError, match=r"^Memory runs out with dpo, however short the passes: pass a smaller "):
        run.run([plan])
