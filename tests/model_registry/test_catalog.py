"""The built-in catalog against the tables it was typed from."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cdr_eval.model_registry.checks import check
from cdr_eval.model_registry.registry import Registry, load_registry
from transformers.utils.chat_template_utils import render_jinja_template

REFERENCE = Path(__file__).parents[3] / "shared" / "REFERENCE.md"
NUMBER = r"\d+(?:\.\d+)?"
OBJECTIVE = re.compile(r"-(?:RRHF|SLiC-HF|DPO|IPO|CPO|KTO|ORPO|RDPO|SimPO)$")

PrintedScore = tuple[str, str, float, str]
"""Hub id, benchmark, value, source."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def printed_scores(text: str) -> Iterator[PrintedScore]:
    """Every score of the section "Registry tables", read with regular expressions from its Markdown."""
    section = text.partition("## Registry tables")[2].partition("\n## ")[0]
    c1, rest = section.split("[P] C.2, diverse objectives")
    c2, rest = rest.split("[S] AlpacaEval 2 LC")
    yield from c1_scores(c1)
    yield from c2_scores(" ".join(c2.split()))
    yield from simpo_scores(rest)
    hermes = re.search(rf"over weak (\S+)\s+\(AlpacaEval 2 LC ({NUMBER}), WR ({NUMBER})", rest)
    assert hermes is not None
    yield hermes[1], "alpaca_eval_2_lc", float(hermes[2]), "alpaca-eval"
    yield hermes[1], "alpaca_eval_2_wr", float(hermes[3]), "alpaca-eval"
    start = re.search(rf"start ({NUMBER})/({NUMBER})/\d+ · ({NUMBER})/", text)
    assert start is not None
    for benchmark, value in zip(("alpaca_eval_2_lc", "alpaca_eval_2_wr", "arena_hard"), start.groups(), strict=True):
        yield "meta-llama/Meta-Llama-3-8B-Instruct", benchmark, float(value), "paper-t2"


LEADERBOARD = {
    "HuggingFaceH4/zephyr-7b-beta": (13.203198493136666, 10.992885755354038),
    "kaist-ai/mistral-orpo-beta": (14.716749430705242, 12.565408794559003),
    "mistralai/Mistral-7B-Instruct-v0.2": (17.111251846021165, 14.722772657714286),
    "meta-llama/Meta-Llama-3-8B-Instruct": (22.91878467313347, 22.56990260931677),
    "princeton-nlp/Llama-3-Instruct-8B-SimPO": (44.65131348921881, 40.52977498461182),
    "teknium/OpenHermes-2.5-Mistral-7B": (16.248577696674843, 10.340415705751552),
}
"""Length-controlled and plain win rate, from tatsu-lab's weighted_alpaca_eval_gpt4_turbo_leaderboard.csv."""


def test_alpaca_eval_scores_are_those_of_its_leaderboard(registry: Registry) -> None:
    catalog = {
        (c.model, s.benchmark): s.value
        for c in registry.checkpoints.values()
        for s in c.scores
        if s.source == "alpaca-eval"
    }
    benchmarks = ("alpaca_eval_2_lc", "alpaca_eval_2_wr")
    assert catalog == {
        (hub_id, benchmark): round(value, 1)
        for hub_id, values in LEADERBOARD.items()
        for benchmark, value in zip(benchmarks, values, strict=True)
    }


def c1_scores(text: str) -> Iterator[PrintedScore]:
    for hub_id, value in re.findall(rf"\| (\S+/\S+) \| ({NUMBER}) \|", text):
        yield hub_id, "arena_hard", float(value), "paper-c1"


def c2_scores(text: str) -> Iterator[PrintedScore]:
    for part in re.split(r"(?=Mistral: Base)|(?=Llama 3: Base)", text)[1:]:
        prefix = re.search(r"\(all of (\S+?)<objective>\)|\(all (\S+?)<objective>\)", part)
        assert prefix is not None
        for entry in part.split(" · "):
            found = re.search(rf"^(.*?)\s*({NUMBER})/({NUMBER})", entry)
            assert found is not None, entry
            words = found[1].split()
            hub_id = words[-1] if "/" in words[-1] else (prefix[1] or prefix[2]) + words[-1]
            yield hub_id, "alpaca_eval_2_lc", float(found[2]), "paper-c2"
            yield hub_id, "arena_hard", float(found[3]), "paper-c2"


def simpo_scores(text: str) -> Iterator[PrintedScore]:
    stems = {0: "", 1: ""}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 9 or not re.fullmatch(NUMBER, cells[1]):
            continue
        for side, (name, *values) in enumerate((cells[:4], cells[5:])):
            if not name.startswith("…"):
                hub_id = name
                if OBJECTIVE.search(name):
                    stems[side] = OBJECTIVE.sub("", name)
            else:
                hub_id = stems[side] + name.removeprefix("…")
            for benchmark, value in zip(("alpaca_eval_2_lc", "alpaca_eval_2_wr", "arena_hard"), values, strict=True):
                yield hub_id, benchmark, float(value), "simpo"


def test_every_printed_score_is_in_the_catalog_and_no_other(registry: Registry) -> None:
    if not REFERENCE.exists():
        pytest.skip(f"the tables to compare with are not at {REFERENCE}")
    printed = {
        (registry.find(hub_id).name, benchmark, value, source)
        for hub_id, benchmark, value, source in printed_scores(REFERENCE.read_text(encoding="utf-8"))
    }
    catalog = {
        (c.name, s.benchmark, s.value, s.source)
        for c in registry.checkpoints.values()
        for s in c.scores
        if s.source in {"paper-c1", "paper-c2", "paper-t2", "simpo"}
    }
    of_leaderboard = {score for score in printed if score[3] == "alpaca-eval"}
    assert len(printed) == 10 + 2 * 21 + 3 * 40 + 2 + 3
    assert printed - of_leaderboard == catalog


@pytest.mark.parametrize(
    ("hub_id", "benchmark", "source", "value"),
    [
        ("princeton-nlp/Mistral-7B-Base-SFT-CPO", "alpaca_eval_2_wr", "simpo", 8.9),
        ("princeton-nlp/Llama-3-Instruct-8B-SimPO", "arena_hard", "simpo", 33.8),
        ("princeton-nlp/Llama-3-Base-8B-SFT-SimPO", "arena_hard", "paper-c2", 20.3),
        ("princeton-nlp/Llama-3-Base-8B-SFT-SimPO", "arena_hard", None, 23.4),
        ("princeton-nlp/Llama-3-Base-8B-RRHF", "arena_hard", None, 6.6),
        ("alignment-handbook/zephyr-7b-sft-full", "arena_hard", "paper-c1", 6.2),
        ("alignment-handbook/zephyr-7b-sft-full", "arena_hard", None, 1.3),
        ("HuggingFaceH4/zephyr-7b-beta", "arena_hard", None, 12.5),
        ("mistralai/Mistral-7B-v0.1", "arena_hard", None, 0.0),
        ("teknium/OpenHermes-2.5-Mistral-7B", "alpaca_eval_2_lc", None, 16.2),
        ("sail/Llama-3-Base-8B-DICE-Iter2", "arena_hard", None, 41.2),
    ],
)
def test_scores_typed_by_hand(
    registry: Registry, hub_id: str, benchmark: str, source: str | None, value: float
) -> None:
    score = registry.score(registry.find(hub_id), benchmark, source)
    assert score is not None
    assert score.value == value


def test_a_source_without_the_score_gives_none(registry: Registry) -> None:
    assert registry.score(registry.find("Mistral-7B-Base-SFT-DPO"), "arena_hard", "paper-c1") is None
    assert registry.score(registry.find("Nous-Hermes-2-Mistral-7B-DPO"), "arena_hard") is None


def test_the_papers_221_pairs(registry: Registry) -> None:
    mistral, llama = registry.pairs("mistral-zephyr"), registry.pairs("llama3")
    assert (len(mistral), len(llama)) == (121, 100)
    names = {(strong.name, weak.name) for strong, weak in mistral + llama}
    assert len(names) == 221
    assert len(registry.pairs("mistral-zephyr", include_self=False)) == 110
    assert len(registry.pairs("llama3", include_self=False)) == 90
    labels = [weak.label for _, weak in mistral[:11]]
    assert labels == [
        "Base", "SFT", "SFT-CPO", "SFT-KTO", "SFT-DPO", "SFT-RDPO", "SFT-IPO", "SFT-SLiC-HF", "SFT-RRHF",
        "SFT-SimPO", "SFT-ORPO",
    ]  # fmt: skip
    labels = [weak.label for _, weak in llama[:10]]
    assert labels == [
        "Base", "SFT", "SFT-CPO", "SFT-ORPO", "SFT-KTO", "SFT-DPO", "SFT-RDPO", "SFT-IPO", "SFT-SimPO",
        "Instruct (PPO)",
    ]  # fmt: skip


def test_exactly_the_sources_known_disagreements_are_conflicts(registry: Registry) -> None:
    found = {
        (c.checkpoint.name, c.benchmark): tuple((s.value, s.source) for s in c.scores) for c in registry.conflicts()
    }
    assert found == {
        ("zephyr-7b-sft-full", "arena_hard"): ((1.3, "simpo"), (1.3, "paper-c2"), (6.2, "paper-c1")),
        ("Llama-3-Base-8B-SFT", "arena_hard"): ((3.3, "simpo"), (3.3, "paper-c2"), (3.1, "paper-c1")),
        ("Llama-3-Base-8B-SFT-SimPO", "arena_hard"): ((23.4, "simpo"), (20.3, "paper-c2")),
        ("mistral-orpo-beta", "alpaca_eval_2_wr"): ((12.2, "simpo"), (12.6, "alpaca-eval")),
        ("Meta-Llama-3-8B-Instruct", "alpaca_eval_2_lc"): (
            *((26.0, "simpo"), (22.9, "alpaca-eval")),
            *((26.0, "paper-c2"), (22.9, "paper-t2")),
        ),
        ("Meta-Llama-3-8B-Instruct", "alpaca_eval_2_wr"): (
            *((25.3, "simpo"), (22.6, "alpaca-eval")),
            *((22.6, "paper-t2"),),
        ),
    }


def test_an_inference_is_not_told_as_a_fact(registry: Registry) -> None:
    notes = [score.note for c in registry.checkpoints.values() for score in c.scores if score.note]
    assert len(notes) == 3
    assert all("from which we infer" in note for note in notes)


def test_gaps_take_both_ends_from_one_source_where_one_has_both(registry: Registry) -> None:
    def used(family: str, benchmark: str) -> list[tuple[float, str]]:
        members = registry.families[family].members
        scores = [registry.used_scores(name, among=members)[benchmark] for name in members]
        return [(score.value, score.source) for score in scores]

    for family, values in {
        "mistral-iterative-dpo": [0.0, 6.2, 12.5, 15.5, 16.7],
        "llama3-iterative-dpo": [0.0, 3.1, 15.9, 35.9, 41.2],
    }.items():
        found = used(family, "arena_hard")
        assert [value for value, _ in found] == values
        assert {source for _, source in found[1:]} == {"paper-c1"}
    assert {source for _, source in used("mistral-zephyr", "arena_hard")[1:]} == {"simpo"}
    assert {source for _, source in used("llama3", "arena_hard")[1:]} == {"simpo"}
    pair = ("zephyr-7b-sft-full", "Mistral-7B-Base-SFT-DPO")
    assert [registry.used_scores(name, among=pair)["arena_hard"].value for name in pair] == [1.3, 10.4]
    asked = registry.used_scores("zephyr-7b-sft-full", "simpo", registry.families["mistral-iterative-dpo"].members)
    assert asked["arena_hard"].value == 1.3


def test_the_misprinted_dpo_score_carries_a_note(registry: Registry) -> None:
    # No second source scores zephyr-7b-beta, so the disagreement can only be told in words.
    score = registry.score(registry.find("zephyr-7b-beta"), "arena_hard")
    assert score is not None and score.note is not None and "AlpacaEval 2 win rate" in score.note


def test_catalog_is_sound_and_every_checkpoint_has_a_family(registry: Registry) -> None:
    assert check(registry) == []
    assert [name for name in registry.checkpoints if not registry.families_of(name)] == []


def test_hub_models_are_named_by_their_last_component(registry: Registry) -> None:
    for checkpoint in registry.checkpoints.values():
        if not Path(checkpoint.model).is_absolute():
            assert checkpoint.model.split("/")[1:] == [checkpoint.name]


def test_training_chains_end_at_a_base_model(registry: Registry) -> None:
    def chain(name: str) -> list[str]:
        parent = registry.checkpoints[name].trained_from
        return [name] if parent is None else [name, *chain(parent)]

    assert chain("Llama-3-Base-8B-DICE-Iter2") == [
        "Llama-3-Base-8B-DICE-Iter2", "Llama-3-Base-8B-DICE-Iter1", "Llama-3-Base-8B-SFT-DPO",
        "Llama-3-Base-8B-SFT", "Meta-Llama-3-8B",
    ]  # fmt: skip
    assert chain("Mistral-7B-Base-SFT-SimPO")[1:] == ["zephyr-7b-sft-full", "Mistral-7B-v0.1"]
    assert chain("mistral-orpo-beta")[1:] == ["Mistral-7B-v0.1"]
    assert chain("Zephyr-7B-DICE-Iter2") == [
        "Zephyr-7B-DICE-Iter2", "Zephyr-7B-DICE-Iter1", "zephyr-7b-beta", "zephyr-7b-sft-full", "Mistral-7B-v0.1",
    ]  # fmt: skip
    assert chain("Llama-3-Instruct-8B-KTO")[1:] == ["Meta-Llama-3-8B-Instruct"]


TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi  there"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye\nnow"},
]
HEADER = "<|start_header_id|>{}<|end_header_id|>\n\n"

EXPECTED = {
    "mistral-zephyr": (
        "<|system|>\nBe brief.</s>\n<|user|>\nHi  there</s>\n<|assistant|>\nHello.</s>\n<|user|>\nBye\nnow</s>\n",
        "<|assistant|>\n",
    ),
    "llama3": (
        "<s>"
        + HEADER.format("system") + "Be brief.<|eot_id|>"
        + HEADER.format("user") + "Hi  there<|eot_id|>"
        + HEADER.format("assistant") + "Hello.<|eot_id|>"
        + HEADER.format("user") + "Bye\nnow<|eot_id|>",
        HEADER.format("assistant"),
    ),
    "hermes": (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi  there<|im_end|>\n"
        "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye\nnow<|im_end|>\n",
        "<|im_start|>assistant\n",
    ),
    "mistral-instruct-simpo": (
        "<s>[INST] Be brief.\n\nHi  there [/INST]Hello.</s>[INST] Bye\nnow [/INST]",
        "",
    ),
}  # fmt: skip


def render(registry: Registry, family: str, turns: list[dict[str, str]], add_generation_prompt: bool) -> str:
    rendered, _ = render_jinja_template(
        [turns],
        chat_template=registry.family(family).chat_template,
        add_generation_prompt=add_generation_prompt,
        bos_token="<s>",
        eos_token=registry.family(family).end_of_turn,
    )
    assert isinstance(rendered, list)
    return rendered[0]


@pytest.mark.parametrize("family", EXPECTED)
def test_templates_render_the_known_formats(registry: Registry, family: str) -> None:
    text, cue = EXPECTED[family]
    assert render(registry, family, TURNS, add_generation_prompt=False) == text
    assert render(registry, family, TURNS, add_generation_prompt=True) == text + cue


def test_every_family_ends_an_assistant_turn_with_its_marker(registry: Registry) -> None:
    for family in registry.families.values():
        rendered = render(registry, family.name, TURNS[1:3], add_generation_prompt=False)
        assert family.end_of_turn is not None
        assert rendered.rstrip("\n").endswith("Hello." + family.end_of_turn)
