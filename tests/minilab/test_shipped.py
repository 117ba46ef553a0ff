"""The weights that are shipped: they load with plain transformers, and are the ones that the manifest describes."""

import json
import re
from dataclasses import asdict
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
import torch
from cdr_eval.harness.cli.minilab import minilab
from cdr_eval.harness.minilab.manifest import hash_files
from cdr_eval.harness.minilab.recipe import SHIPPED
from cdr_eval.harness.minilab.tokenizer import ASSISTANT, BOS, END, USER
from cdr_eval.model_registry.registry import load_registry
from cdr_eval.tasks.conditioning import IDENTITY, Conditioning, conversations, routing_conversations
from cdr_eval.tasks.criteria import load_criteria
from cdr_eval.tasks.minilab.world import CRITERIA, load_minilab
from click.testing import CliRunner
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

FOLDER = Path(str(files("cdr_eval.model_registry"))) / "minilab"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
FAMILY = load_registry().family("minilab")
OBJECTIVES = {"dpo", "kto", "ipo", "simpo", "orpo", "cpo", "hinge", "robust-dpo"}


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER / "minilab-base")


@pytest.mark.parametrize("name", FAMILY.members)
def test_checkpoint_loads_with_plain_transformers(name, tokenizer):
    model = AutoModelForCausalLM.from_pretrained(FOLDER / name)
    assert model.dtype == torch.float16
    own = AutoTokenizer.from_pretrained(FOLDER / name)
    assert own.get_vocab() == tokenizer.get_vocab()
    assert own.chat_template == FAMILY.chat_template
    text = own.apply_chat_template([{"role": "user", "content": "what is 2 plus 3?"}], return_tensors="pt")
    logits = model.float()(**text).logits
    assert logits.isfinite().all()


def test_family_is_whole():
    registry = load_registry()
    members = [registry.find(name) for name in FAMILY.members]
    assert 20 <= len(members) <= 24
    assert {member.objective for member in members if member.stage == "preference"} == OBJECTIVES
    for suffix in ("", "b"):
        chain = [registry.find(f"minilab-dpo-{k}{suffix}").trained_from for k in (1, 2, 3)]
        assert chain == ["minilab-sft", f"minilab-dpo-1{suffix}", f"minilab-dpo-2{suffix}"]
    assert all(Path(member.model).is_dir() for member in members)


def test_registry_says_what_the_recipe_made():
    registry, recipe = load_registry(), {made["name"]: made for made in MANIFEST["recipe"]["checkpoints"]}
    assert list(recipe) == list(FAMILY.members)
    for name, made in recipe.items():
        member = registry.find(name)
        assert (member.trained_from, member.objective, member.label) == (made["start"], made.get("loss"), made["label"])
        assert member.stage == ("preference" if "loss" in made else "sft" if made["start"] else "base")
        line = [name]
        while recipe[line[-1]]["start"]:
            line.append(recipe[line[-1]]["start"])
        assert member.base == line[-1]


def test_shipped_weights_are_those_of_the_shipped_recipe():
    assert MANIFEST["recipe"] == json.loads(json.dumps(asdict(SHIPPED)))


def test_scores_fill_the_range():
    """From a base that gets next to nothing right to the best, no step of the greedy score is wide."""
    scores = sorted(judged["greedy"]["value"] for judged in MANIFEST["measured"]["minilab_judge"].values())
    assert scores[-1] - scores[0] > 25
    assert max(high - low for low, high in pairwise(scores)) < 9


def test_head_size_is_one_that_serving_kernels_take():
    """vLLM's attention takes 32, 64, 96, 128, ..."""
    for name in FAMILY.members:
        assert AutoConfig.from_pretrained(FOLDER / name).head_dim == 32


def test_files_are_those_of_the_manifest():
    assert hash_files(FOLDER, FAMILY.members) == MANIFEST["sha256"]
    assert {"seed", "recipe", "versions", "training", "measured"} <= set(MANIFEST)
    assert set(MANIFEST["training"]) == set(FAMILY.members)


def test_scores_are_those_that_were_measured():
    for name, judged in MANIFEST["measured"]["minilab_judge"].items():
        scores = {score.benchmark: score for score in load_registry().find(name).scores}
        for benchmark, way in (("minilab_judge", "greedy"), ("minilab_judge_sampled", "sampled")):
            assert scores[benchmark].value == pytest.approx(judged[way]["value"], abs=0.01)
            assert scores[benchmark].ci_low == pytest.approx(judged[way]["ci_low"], abs=0.01)
            assert scores[benchmark].source == "minilab judge"


def test_everything_is_at_most_15_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 15_000_000


def test_tokenizer_gives_back_the_worlds_text(tokenizer):
    for item in load_minilab().items:
        for text in (item.prompt[-1]["content"], *item.responses):
            encoded = tokenizer(text, return_offsets_mapping=True)
            assert tokenizer.decode(encoded["input_ids"]) == text
            assert "".join(text[start:end] for start, end in encoded["offset_mapping"]) == text


def test_vocabulary_has_every_word_that_the_task_can_show(tokenizer):
    """Items, criteria, router and judge: no unknown token anywhere."""
    criteria = load_criteria(CRITERIA)
    kinds: tuple[Literal["criteria", "judge-first", "judge-second"], ...] = ("criteria", "judge-first", "judge-second")
    conditionings = [IDENTITY, *(Conditioning(kind, domain) for kind in kinds for domain in criteria.domains)]
    for item in load_minilab().items[::7]:
        shown = [c for named in conditionings for c in conversations(item, named, criteria, 1)[1]]
        assert len(shown) == len(conditionings)
        for conversation in (*shown, *routing_conversations(item, criteria).values()):
            text = f"{BOS}{USER}{conversation.messages[-1]['content']}{END}{ASSISTANT}{conversation.response}{END}"
            assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"]


def test_judge_command_measures_what_the_registry_says():
    """Other machines round differently, which may turn a generation or two of 480."""
    result = CliRunner().invoke(minilab, ["judge", "minilab-dpo-3"], env={"COLUMNS": "200"}, catch_exceptions=False)
    shown = re.search(r"minilab-dpo-3\D+?([\d.]+) \(.*?\D([\d.]+) \(", result.output)
    assert shown is not None
    judged = MANIFEST["measured"]["minilab_judge"]["minilab-dpo-3"]
    assert float(shown[1]) == pytest.approx(judged["greedy"]["value"], abs=1)
    assert float(shown[2]) == pytest.approx(judged["sampled"]["value"], abs=3)
