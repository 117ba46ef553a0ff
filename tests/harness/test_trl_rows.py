"""What TRL's own trainer computes for its reference is what the export says."""

import json
import shutil
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, evaluate_pair
from cdr_eval.harness.trl_rows import export_trl
from cdr_eval.model_registry.registry import load_registry


@pytest.fixture(scope="module")
def run(no_bars: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trl")
    options = Options(store=folder / "store", limit=24, resamples=50)
    result = evaluate_pair("minilab-sft", "minilab-base", variants=("vanilla", "likelihood"), options=options)
    return result.save(folder / "run")


def test_the_columns_are_those_that_dpo_trainer_computes(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    path = export_trl(run, tmp_path / "out", None)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    columns = ("ref_chosen_logps", "ref_rejected_logps")
    ours = {name: [row.pop(name) for row in rows] for name in columns}
    model = load_registry().find("minilab-sft").model
    config = DPOConfig(
        output_dir=str(tmp_path), precompute_ref_log_probs=True, report_to=[], use_cpu=True, bf16=False, max_length=None
    )
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype="float32"),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model),
    )
    for name in columns:
        assert list(trainer.train_dataset[name]) == pytest.approx(ours[name], abs=2e-3)


def test_the_chosen_is_the_better_response_wherever_it_stands(no_bars: None, tmp_path: Path) -> None:
    rows = [
        {"question": "the red ogre", "response_A": "grumpy", "response_B": "the ogre", "label": label}
        for label in ("B>A", "A>B")
    ]
    (tmp_path / "letters.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    options = Options(store=tmp_path / "store", resamples=50)
    task, variants = str(tmp_path / "letters.jsonl"), ("likelihood",)
    result = evaluate_pair("minilab-sft", "minilab-sft", task=task, variants=variants, options=options)
    path = export_trl(result.save(tmp_path / "run"), tmp_path / "out", None)
    first, second = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["chosen"][0]["content"] for row in (first, second)] == ["the ogre", "grumpy"]
    assert (first["ref_chosen_logps"], first["ref_rejected_logps"]) == pytest.approx(
        (second["ref_rejected_logps"], second["ref_chosen_logps"])
    )
    assert first["ref_chosen_logps"] - first["ref_rejected_logps"] == pytest.approx(result.margins["margin"][0])


def test_an_adapter_may_have_its_base_s_tokenizer(no_bars: None, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    from tests.adapters import save_adapter

    adapter = save_adapter(tmp_path / "adapter", Path(load_registry().find("minilab-sft").model))
    options = Options(store=tmp_path / "store", limit=8, resamples=50)
    result = evaluate_pair(str(adapter), task="minilab", variants=("likelihood",), options=options)
    path = export_trl(result.save(tmp_path / "run"), tmp_path / "out", None)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 8


def test_a_run_without_likelihoods_or_whole_rows_is_a_sentence(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="likelihoods of minilab-sft"):
        export_trl(run, tmp_path, "minilab-base")
    options = Options(store=tmp_path / "store", limit=8, resamples=50)
    vanilla = evaluate_pair("minilab-sft", "minilab-base", variants=("vanilla",), options=options)
    with pytest.raises(UserError, match="no likelihoods"):
        export_trl(vanilla.save(tmp_path / "vanilla"), tmp_path, None)


def test_a_template_that_goes_on_after_the_end_of_turn_is_refused(run: Path, tmp_path: Path) -> None:
    model = tmp_path / "chatty"
    shutil.copytree(load_registry().find("minilab-sft").model, model)
    config = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["chat_template"] = config["chat_template"].replace("'<end>' }}", "'<end> . ' }}")
    (model / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    options = Options(store=tmp_path / "store", limit=8, resamples=50)
    result = evaluate_pair(str(model), str(model), task="minilab", variants=("likelihood",), options=options)
    with pytest.raises(UserError, match="TRL would see other tokens"):
        export_trl(result.save(tmp_path / "run"), tmp_path, None)
