"""The world: its judge, its splits, and how much length and words alone give away."""

import random
from collections import Counter

import pytest
from cdr_eval.harness.minilab.baselines import measure_baselines
from cdr_eval.tasks.conditioning import Conditioning, conversations
from cdr_eval.tasks.criteria import load_criteria
from cdr_eval.tasks.minilab.chat import LENGTHS, TONES
from cdr_eval.tasks.minilab.words import ANIMALS, FACTS, PERSONS, SPLITS, THINGS, combination_split, pool
from cdr_eval.tasks.minilab.world import (
    CRITERIA,
    SECTIONS,
    SUBSETS,
    draw_prompt,
    is_good,
    load_minilab,
    preference_items,
)
from hypothesis import given
from hypothesis import strategies as st

subsets = st.sampled_from(sorted(SUBSETS))
splits = st.sampled_from(SPLITS)
seeds = st.integers(0, 2**32)


@given(subsets, splits, seeds)
def test_judge_accepts_every_good_response_and_refuses_every_bad_one(name, split, seed):
    subset, rng = SUBSETS[name], random.Random(seed)
    prompt = subset.draw(split, rng)
    assert is_good(prompt, subset.good(prompt, rng))
    assert not is_good(prompt, subset.bad(prompt, rng))


@given(subsets, seeds, st.data())
def test_judge_refuses_a_good_response_with_a_word_changed_cut_or_repeated(name, seed, data):
    subset, rng = SUBSETS[name], random.Random(seed)
    prompt = subset.draw("test", rng)
    words = subset.good(prompt, rng).split(" ")
    place = data.draw(st.integers(0, len(words) - 1))
    change = data.draw(st.sampled_from(("change", "cut", "repeat")))
    changed = {"change": ["banana"], "cut": [], "repeat": [words[place]] * 2}[change]
    assert not is_good(prompt, " ".join([*words[:place], *changed, *words[place + 1 :]]))


def test_judge_knows_python():
    """The code subsets against Python itself."""
    rng = random.Random(3)
    for name in ("code-read", "code-write"):
        for _ in range(300):
            prompt = SUBSETS[name].draw("test", rng)
            good, bad = SUBSETS[name].good(prompt, rng), SUBSETS[name].bad(prompt, rng)
            if name == "code-read":
                code = prompt.text.removeprefix("what does print(").removesuffix(") show?")
                assert eval(code) == int(good.removeprefix("it shows ").removesuffix("."))
                assert eval(code) != int(bad.removeprefix("it shows ").removesuffix("."))
            else:
                assert eval(good.removeprefix("print(").removesuffix(")")) != eval(
                    bad.removeprefix("print(").removesuffix(")")
                )


def test_arithmetic_is_right():
    rng = random.Random(4)
    for _ in range(300):
        prompt = SUBSETS["math"].draw("test", rng)
        left, right = SUBSETS["math"].good(prompt, rng).removesuffix(".").split(" is ")
        assert eval(left.replace("plus", "+").replace("minus", "-")) == int(right)


@pytest.mark.parametrize("words", [ANIMALS, PERSONS, THINGS])
def test_every_word_belongs_to_exactly_one_split(words):
    pools = [pool(words, split) for split in SPLITS]
    assert Counter(word for words_of in pools for word in words_of) == Counter(dict.fromkeys(words, 1))


@given(subsets, seeds)
def test_no_prompt_mixes_splits(name, seed):
    """A test prompt names no entity of another split, and its numbers hash to the test split."""
    rng = random.Random(seed)
    prompt = SUBSETS[name].draw("test", rng)
    entities = set(ANIMALS) | set(PERSONS) | set(THINGS)
    named = entities & set(prompt.text.replace(",", " ").replace(".", " ").replace("?", " ").split())
    assert named <= {word for words in (ANIMALS, PERSONS, THINGS) for word in pool(words, "test")}
    if "numbers" in prompt.slots:
        assert combination_split(*prompt.slots["numbers"].split()) == "test"
    if "sum" in prompt.slots:
        assert combination_split(*prompt.slots["sum"].split()) == "test"


@given(seeds, seeds)
def test_splits_share_no_prompt(first, second):
    for here in SPLITS:
        for there in SPLITS:
            if here != there:
                one, two = draw_prompt(here, random.Random(first)), draw_prompt(there, random.Random(second))
                assert one.text != two.text


def test_task_is_the_same_every_time_with_hundreds_of_distinct_prompts_a_section():
    task = load_minilab()
    assert task.items == load_minilab().items
    assert [section.name for section in task.sections] == ["Chat", "Chat Hard", "Safety", "Reasoning"]
    for section in task.sections:
        texts = {item.prompt[-1]["content"] for item in task.items if item.subset in section.counts}
        assert len(section.counts) >= 2
        assert len(texts) == sum(section.counts.values()) >= 200
    assert len({item.id for item in task.items}) == len(task.items)
    trained = {item.prompt[-1]["content"] for item in preference_items("train", 0, 5.0)}
    assert not trained & {item.prompt[-1]["content"] for item in task.items}


def test_lengths_of_good_and_bad_responses_overlap_in_every_section():
    items = load_minilab().items
    for subsets_of in SECTIONS.values():
        names = {subset.name for subset in subsets_of}
        longer = [len(i.responses[0]) - len(i.responses[1]) for i in items if i.subset in names]
        share = sum((d > 0) + 0.5 * (d == 0) for d in longer) / len(longer)
        assert 0.4 < share < 0.6


def test_length_and_words_alone_do_not_get_far():
    accuracies = measure_baselines()
    assert set(accuracies) == {"longer", "shorter", "bag of words"}
    assert accuracies["longer"] + accuracies["shorter"] == pytest.approx(100, abs=0.2)
    assert all(accuracy < 60 for accuracy in accuracies.values())


def test_cues_ask_for_each_tone_and_length_equally_often():
    for cues in (TONES, LENGTHS):
        assert len(set(Counter(cues.values()).values())) == 1


def test_demonstrations_are_true_in_the_world():
    """The criteria's examples come from the training split and state its facts."""
    criteria = load_criteria(CRITERIA)
    assert set(criteria.domains) == {"safety", "code-math", "chat-hard"}
    held_out = {w for words in (ANIMALS, PERSONS, THINGS) for s in SPLITS[1:] for w in pool(words, s)}
    for domain in criteria.domains.values():
        for example in domain.demonstrations:
            said = f"{example.query} {example.good}"
            assert not held_out & set(said.replace(",", " ").replace(".", " ").replace("?", " ").split())
    assert FACTS["owl", "food"] == "berries"


def test_criteria_render_for_every_domain():
    criteria, item = load_criteria(CRITERIA), load_minilab().items[0]
    for domain, meant in criteria.domains.items():
        text = conversations(item, Conditioning("criteria", domain), criteria, 0)[0][0].messages[-1]["content"]
        assert meant.instruction in text
        assert text.endswith(f"now: {item.prompt[-1]['content']} good:")
