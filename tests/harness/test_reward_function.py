"""A density ratio as a function: the rewards of a run, and a trainer that takes it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate.utils.deepspeed import HfDeepSpeedConfig
from cdr_eval.errors import UserError
from cdr_eval.harness import evaluate_pair
from cdr_eval.harness.reward_function import DensityRatioReward
from cdr_eval.tasks.catalog import load_task
from transformers.integrations.deepspeed import set_hf_deepspeed_config, unset_hf_deepspeed_config


@pytest.mark.parametrize("variant", ["vanilla", "likelihood", "pmi-safety"])
def test_rewards_are_those_of_a_run(llamas, items_file, options, variant):
    strong, weak = str(llamas / "dpo"), str(llamas / "sft")
    result = evaluate_pair(strong, weak, task=str(items_file), variants=[variant], options=options)
    frames: Any = result.tables["rewards"]
    table = next(iter(frames()))
    reward = DensityRatioReward(strong, weak, variant=variant, options=options)
    items = load_task(str(items_file)).items
    pairs = [(item.prompt, text) for item in items for text in item.responses]
    turns = [[{"role": "assistant", "content": text}] for _, text in pairs]
    found = reward([list(prompt) for prompt, _ in pairs], turns, completion_ids=None)
    if variant == "pmi-safety":  # demonstrations go by the prompt's own id there and by its hash here
        assert np.isfinite(np.array(found, dtype=float)).all()
        assert found == reward([prompt[0]["content"] for prompt, _ in pairs], [text for _, text in pairs])
        return
    assert np.allclose(np.array(found, dtype=float), table["reward"], atol=1e-5)


def test_means_are_per_token_and_what_cannot_be_scored_is_none(llamas, options):
    strong, weak = str(llamas / "dpo"), str(llamas / "sft")
    total = DensityRatioReward(strong, weak, options=replace(options, max_length=64))
    mean = DensityRatioReward(strong, weak, options=replace(options, max_length=64, mean=True))
    prompts, texts = ["Why?"] * 3, ["So.", " ", "So. " * 400]
    assert total(prompts, texts)[1:] == [None, None]
    ratio = float(total(prompts, texts)[0] or 0) / float(mean(prompts, texts)[0] or 0)
    assert ratio == pytest.approx(round(ratio)) and ratio > 1
    assert total.__name__.startswith("vanilla of")


def test_variants_that_need_more_and_rendered_prompts_are_refused(llamas, options):
    pair = str(llamas / "dpo"), str(llamas / "sft")
    for variant in ("cdr-adaptive-router", "judge-safety"):
        with pytest.raises(UserError, match="needs a route or other responses"):
            DensityRatioReward(*pair, variant=variant, options=options)
    with pytest.raises(UserError, match="is rendered already"):
        DensityRatioReward(*pair, options=options)(["<|im_start|>user\nWhy?"], ["So."])


@pytest.mark.parametrize("kind", [str, Path])
def test_its_registry_may_be_one_file(kind: Any, tmp_path, options):
    registry = tmp_path / "mine.yaml"
    registry.write_text("checkpoints: {mine: {model: nowhere/at-all, weak: 3}}\n")
    with pytest.raises(UserError, match=r"mine\.yaml"):
        DensityRatioReward("mine", "minilab-base", registry=kind(registry), options=options)


def test_models_that_zero_3_would_take_apart_are_refused():
    config = HfDeepSpeedConfig({"zero_optimization": {"stage": 3}})
    set_hf_deepspeed_config(config)
    try:
        with pytest.raises(UserError, match="make the reward before the trainer's configuration"):
            DensityRatioReward("minilab-dpo-3", "minilab-sft")
    finally:
        unset_hf_deepspeed_config()


def test_a_grpo_trainer_takes_it(llamas, options, tmp_path):
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    rows = [{"prompt": [{"role": "user", "content": f"What is {k}?"}]} for k in range(4)]
    settings = trl.GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_generations=2,
        max_completion_length=6,
        max_steps=2,
        use_cpu=True,
        bf16=False,
        report_to="none",
        logging_steps=1,
        learning_rate=1e-3,
    )
    trainer = trl.GRPOTrainer(
        model=str(llamas / "sft"),
        args=settings,
        train_dataset=datasets.Dataset.from_list(rows),
        reward_funcs=DensityRatioReward(str(llamas / "dpo"), str(llamas / "base"), options=options),
    )
    trainer.train()
    logged = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
    assert len(logged) == 2
    assert np.isfinite(logged).all()
    assert any(logged)
