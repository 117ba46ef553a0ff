"""The cost that is predicted, against the tokens that models are really given."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cdr_eval.harness import Options, evaluate_grid
from cdr_eval.harness.comparisons import grid_of
from cdr_eval.harness.question import ask
from cdr_eval.harness.running import cost, work_units
from cdr_eval.harness.running.cost import Costing, RunCost
from cdr_eval.harness.running.this_process import ThisProcess
from cdr_eval.harness.session import Session, open_session
from cdr_eval.model_registry.registry import load_registry
from transformers import AutoConfig

from tests.adapters import save_adapter
from tests.harness.scoring.scoring_requests import random_model, tokens_embedded
from tests.harness.small_task import write_items

VARIANTS = ("vanilla", "cdr-safety", "pmi-code-math", "cdr-adaptive-oracle", "judge-chat-hard")


def opened(models: list[str], items_file: Path, options: Options, variants: tuple[str, ...] = VARIANTS) -> Session:
    registry = load_registry(())
    comparisons = grid_of(None, models, True, registry, ())
    question = ask(str(items_file), variants, comparisons, registry, options)
    return open_session(question, comparisons, registry, options)


def cost_of(session: Session, calibrate: bool) -> RunCost:
    return Costing(session.planner, session.runner, calibrate).run_cost(session.groups, session.router)


def test_tokens_are_predicted_exactly(
    llamas: Path, tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the store has a part already, and where a part is several units of work."""
    monkeypatch.setitem(work_units.UNIT_TOKENS, "cpu", 1_024)
    models = [str(llamas / name) for name in ("base", "dpo")]
    items = write_items(tmp_path / "items.jsonl", 60)
    evaluate_grid(models=models, task=str(items), variants=VARIANTS, options=replace(options, limit=5))
    session = opened(models, items, options)
    found = cost_of(session, calibrate=False)
    predicted = sum(row.tokens_shared for row in found.checkpoints)
    conditionings = 7
    assert predicted > 2 * len(models) * conditionings * session.runner.settings.unit_tokens
    assert all(0 < row.in_store < row.responses for row in found.checkpoints)
    assert all(row.tokens_shared < row.tokens_separate for row in found.checkpoints)

    with tokens_embedded() as in_trials:
        for group in session.groups:
            for member in group.members:
                ThisProcess(session.runner.settings).open(member.local)
    with tokens_embedded() as computed:
        evaluate_grid(models=models, task=str(items), variants=VARIANTS, options=options)
    assert sum(computed) - sum(in_trials) == predicted


def test_a_router_that_was_not_asked_yet_is_planned_by_section(
    llamas: Path, items_file: Path, options: Options
) -> None:
    models, variants = [str(llamas / "base")], ("cdr-adaptive-router",)
    before = cost_of(opened(models, items_file, options, variants), calibrate=False)
    assert before.routed_by_section
    evaluate_grid(models=models, task=str(items_file), variants=variants, options=options)
    after = cost_of(opened(models, items_file, options, variants), calibrate=False)
    assert not after.routed_by_section
    assert all(row.in_store == row.responses and row.tokens_shared == 0 for row in after.checkpoints)


def test_calibration_predicts_a_time_and_stores_nothing(llamas: Path, items_file: Path, options: Options) -> None:
    session = opened([str(llamas / "base")], items_file, options)
    (found,) = cost_of(session, calibrate=True).checkpoints
    assert found.seconds is not None and found.seconds > 0
    assert found.in_store == 0 and len(session.runner.store) == 0


def test_calibration_tells_of_a_fallback(llamas: Path, tmp_path: Path, items_file: Path, options: Options) -> None:
    recurrent = tmp_path / "recurrent"
    shutil.copytree(llamas / "base", recurrent)
    vocabulary = AutoConfig.from_pretrained(recurrent).vocab_size
    random_model("mamba", state_size=8, vocab_size=vocabulary).save_pretrained(recurrent)
    (note,) = cost_of(opened([str(recurrent)], items_file, options), calibrate=True).notes
    assert note.startswith("recurrent: Shared prefixes are computed again")


def test_an_adapter_is_timed_by_itself(
    llamas: Path, tmp_path: Path, items_file: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    monkeypatch.setattr(cost, "CALIBRATION_SECONDS", 0.0)
    adapter = save_adapter(tmp_path / "adapter", llamas / "sft")
    session = opened([str(adapter), str(llamas / "sft")], items_file, options, ("vanilla",))
    costs = cost_of(session, calibrate=True).checkpoints
    assert [row.seconds is not None and row.seconds > 0 for row in costs] == [True, True]
