"""What annotate writes is read by TRL's own trainers as it is, and they take a step on it."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cdr_eval.harness.annotate import Annotation
from cdr_eval.harness.annotation.settings import Annotating
from cdr_eval.model_registry.registry import load_registry
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

pytest.importorskip("trl")
MODEL = str(load_registry().find("minilab-sft").model)
STEP: dict[str, Any] = {
    "max_steps": 1,
    "per_device_train_batch_size": 4,
    "report_to": [],
    "use_cpu": True,
    "bf16": False,
    "save_strategy": "no",
    "gradient_checkpointing": False,
}
CASES = [
    ("preference", "trl", "DPO"),
    ("preference", "trl", "KTO"),
    ("preference", "trl", "Reward"),
    ("preference", "trl.experimental.cpo", "CPO"),
    ("unpaired", "trl", "KTO"),
    ("text", "trl", "DPO"),
    ("simpo", "trl", "DPO"),
    ("reward", "trl", "Reward"),
]


@pytest.fixture
def tokenizer() -> Any:
    """The minilab's, with the family's template and a padding token."""
    loaded: Any = AutoTokenizer.from_pretrained(MODEL)
    loaded.chat_template = load_registry().family("minilab").chat_template or loaded.chat_template
    loaded.pad_token = loaded.pad_token or loaded.eos_token
    return loaded


@pytest.mark.parametrize(("form", "module", "name"), CASES)
def test_a_trainer_takes_a_step(
    form: str, module: str, name: str, annotated: Callable[..., Annotation], tokenizer: Any, tmp_path: Path
):
    out = annotated(settings=Annotating(format=form)).save(tmp_path / "data")  # type: ignore[arg-type]
    data = load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    trl: Any = import_module(module)
    config = getattr(trl, f"{name}Config")(output_dir=str(tmp_path / "run"), **STEP)
    kind: Any = AutoModelForSequenceClassification if name == "Reward" else AutoModelForCausalLM
    model = kind.from_pretrained(MODEL, **({"num_labels": 1} if name == "Reward" else {}))
    model.config.pad_token_id = tokenizer.pad_token_id
    trainer = getattr(trl, f"{name}Trainer")(model=model, args=config, train_dataset=data, processing_class=tokenizer)
    assert trainer.train().training_loss > 0


def test_text_rows_have_the_tokens_of_conversational_rows(
    annotated: Callable[..., Annotation], tokenizer: Any, tmp_path: Path
):
    trl: Any = import_module("trl")
    ids: dict[str, list[Any]] = {}
    for form in ("preference", "text"):
        out = annotated(settings=Annotating(format=form)).save(tmp_path / form)  # type: ignore[arg-type]
        data = load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
        config = trl.DPOConfig(output_dir=str(tmp_path / "run"), **STEP)
        model = AutoModelForCausalLM.from_pretrained(MODEL)
        trainer = trl.DPOTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)
        columns = ("prompt_ids", "chosen_ids")
        ids[form] = [[row[name] for name in columns] for row in trainer.train_dataset]
    for (prompt, chosen), (other_prompt, other_chosen) in zip(ids["preference"], ids["text"], strict=True):
        assert prompt == other_prompt
        shorter = min(len(chosen), len(other_chosen))
        assert chosen[:shorter] == other_chosen[:shorter]
