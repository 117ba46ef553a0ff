"""The cost that is predicted, against the tokens that models are really given."""

import shutil
from dataclasses import replace
from pathlib import Path

from cdr_eval.harness import Options, evaluate_grid
from cdr_eval.harness.evaluate import Session, grid_of, open_session
from cdr_eval.harness.running.cost import run_cost
from cdr_eval.model_registry.registry import load_registry
from transformers import AutoConfig

from tests.harness.scoring.scoring_requests import random_model, tokens_embedded
from tests.harness.small_task import write_items

VARIANTS = ("vanilla", "cdr-safety", "pmi-code-math", "cdr-adaptive-oracle", "judge-chat-hard")


def opened(models: list[str], items_file: Path, options: Options) -> Session:
    registry = load_registry(())
    return open_session(grid_of(None, models, True, registry, ()), str(items_file), VARIANTS, registry, options)


def test_tokens_are_predicted_exactly(llamas: Path, tmp_path: Path, options: Options) -> None:
    """Also where the store has a part already, and where a run is several units of work."""
    models = [str(llamas / name) for name in ("base", "dpo")]
    items = write_items(tmp_path / "items.jsonl", 120)
    evaluate_grid(models=models, task=str(items), variants=VARIANTS, options=replace(options, limit=5))
    session = opened(models, items, options)
    cost = run_cost(session, calibrate=False)
    predicted = sum(row.tokens_shared for row in cost.checkpoints)
    assert predicted > 2 * len(models) * session.runner.unit_tokens
    assert all(0 < row.in_store < row.responses for row in cost.checkpoints)

    with tokens_embedded() as in_trials:
        for group in session.groups:
            for member in group.members:
                session.runner.open_scorer(member.local)
    with tokens_embedded() as computed:
        evaluate_grid(models=models, task=str(items), variants=VARIANTS, options=options)
    assert sum(computed) - sum(in_trials) == predicted


def test_calibration_predicts_a_time_and_stores_nothing(llamas: Path, items_file: Path, options: Options) -> None:
    session = opened([str(llamas / "base")], items_file, options)
    (cost,) = run_cost(session, calibrate=True).checkpoints
    assert cost.seconds is not None and cost.seconds > 0
    assert cost.in_store == 0 and len(session.planner.store) == 0


def test_calibration_tells_of_a_fallback(llamas: Path, tmp_path: Path, items_file: Path, options: Options) -> None:
    recurrent = tmp_path / "recurrent"
    shutil.copytree(llamas / "base", recurrent)
    vocabulary = AutoConfig.from_pretrained(recurrent).vocab_size
    random_model("mamba", state_size=8, vocab_size=vocabulary).save_pretrained(recurrent)
    cost = run_cost(opened([str(recurrent)], items_file, options), calibrate=True)
    (note,) = cost.notes
    assert note.startswith("recurrent: Shared prefixes are computed again")
