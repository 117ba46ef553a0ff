"""A much smaller family, trained from scratch: alignment grows stage by stage, and the build repeats."""

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness.minilab import build as family_build
from cdr_eval.harness.minilab.benchmark import benchmark_prompts, win_rate
from cdr_eval.harness.minilab.build import build
from cdr_eval.harness.minilab.manifest import MANIFEST, REGISTRY, hash_files
from cdr_eval.harness.minilab.recipe import SHIPPED, NextToken, Preference, Recipe
from cdr_eval.harness.tuning.losses import LOSSES
from cdr_eval.model_registry.registry import load_registry
from cdr_eval.tasks.minilab.world import load_minilab
from safetensors.torch import load_file

SMALL = Recipe(
    checkpoints=(
        NextToken("minilab-base", "Base", None, 250, 4e-3),
        NextToken("minilab-sft", "SFT", "minilab-base", 120, 1e-3),
        Preference("minilab-dpo-1", "DPO-1", "minilab-sft", "dpo", 1e-4, 0.1),
    ),
    subsets=("hard-exclude",),
    width=64,
    layers=2,
    preference_prompts=600,
    benchmark_prompts=150,
)
TINY = Recipe(
    checkpoints=(
        NextToken("minilab-base", "Base", None, 8, 4e-3),
        NextToken("minilab-sft", "SFT", "minilab-base", 8, 1e-3),
    ),
    width=16,
    layers=1,
    benchmark_prompts=12,
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "family"
    return folder, build(folder, seed=1, recipe=SMALL)


def test_sft_beats_base_and_dpo_beats_sft_by_the_judge(small):
    _, judged = small
    assert (
        judged["minilab-base"].sampled.value
        < judged["minilab-sft"].sampled.value
        < judged["minilab-dpo-1"].sampled.value
    )
    assert judged["minilab-sft"].greedy.value == 50


def test_registry_of_a_build_replaces_the_shipped_family(small):
    folder, judged = small
    registry = load_registry((folder / "minilab.yaml",))
    for name, judgement in judged.items():
        checkpoint = registry.find(name)
        assert Path(checkpoint.model) == folder / name
        score = registry.score(checkpoint, "minilab_judge_sampled")
        assert score is not None
        assert score.value == pytest.approx(judgement.sampled.value, abs=0.01)
    assert registry.find("minilab-dpo-1").trained_from == "minilab-sft"


def test_a_build_repeats(tmp_path):
    """Same seed, same machine: the same weights to the last bit, and so the same scores."""
    first, second = (build(tmp_path / name, seed=5, recipe=TINY) for name in ("one", "two"))
    assert {n: asdict(j) for n, j in first.items()} == {n: asdict(j) for n, j in second.items()}
    for name in first:
        one, two = (load_file(tmp_path / run / name / "model.safetensors") for run in ("one", "two"))
        assert all(torch.equal(one[key], two[key]) for key in one)
    other = load_file(tmp_path / "one" / "minilab-base" / "model.safetensors")
    build(tmp_path / "three", seed=6, recipe=TINY)
    changed = load_file(tmp_path / "three" / "minilab-base" / "model.safetensors")
    assert not all(torch.equal(other[key], changed[key]) for key in other)


def test_an_interrupted_build_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    """The second attempt trains only what the first did not finish."""
    whole = build(tmp_path / "whole", seed=5, recipe=TINY)
    train, started = vars(family_build)["train_next_token"], []

    def interrupted(model, tokenizer, draw, stage, *rest):
        started.append(stage.name)
        if started == ["minilab-base", "minilab-sft"]:
            raise KeyboardInterrupt
        return train(model, tokenizer, draw, stage, *rest)

    monkeypatch.setattr(family_build, "train_next_token", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "halved", seed=5, recipe=TINY)
    with pytest.raises(UserError, match="seed"):
        build(tmp_path / "halved", seed=6, recipe=TINY)
    assert build(tmp_path / "halved", seed=5, recipe=TINY) == whole
    assert started == ["minilab-base", "minilab-sft", "minilab-sft"]
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert names == {path.name for path in (tmp_path / "halved").iterdir()} == {*TINY.names, MANIFEST, REGISTRY}
    assert hash_files(tmp_path / "whole", TINY.names) == hash_files(tmp_path / "halved", TINY.names)


def test_build_refuses_a_folder_that_holds_something(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="--out"):
        build(tmp_path, recipe=TINY)


def test_win_rate_counts_ties_half():
    good, baseline = np.array([1.0, 1, 0, 0]), np.array([1.0, 0, 0, 1])
    assert win_rate(good, baseline).value == 50
    rate = win_rate(np.ones(200), np.repeat([0.0, 1.0], 100))
    assert rate.value == 75
    # The bootstrap's interval is close to the normal one: 75 ± 1.96 · 25 / √200.
    assert rate.ci_low == pytest.approx(75 - 3.46, abs=0.8)
    assert rate.ci_high == pytest.approx(75 + 3.46, abs=0.8)


def test_benchmark_prompts_are_not_test_items():
    asked = {prompt.text for prompt in benchmark_prompts(SHIPPED.benchmark_prompts)}
    assert len(asked) == 4 * SHIPPED.benchmark_prompts
    assert not asked & {item.prompt[-1]["content"] for item in load_minilab().items}


def test_the_shipped_recipe_is_in_an_order_that_can_be_trained():
    """Each after its start; every set of pairs and every base has facts of its own."""
    assert len(set(SHIPPED.names)) == len(SHIPPED.names)
    before: set[str | None] = {None}
    for checkpoint in SHIPPED.checkpoints:
        assert checkpoint.start in before
        before.add(checkpoint.name)
    assert {c.loss for c in SHIPPED.checkpoints if isinstance(c, Preference)} <= set(LOSSES)


def test_build_without_trl_names_the_extra_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(UserError, match=r"pip install 'cdr-eval\[train\]'"):
        build(tmp_path / "family", recipe=TINY)
