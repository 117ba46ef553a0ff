"""Texts that share their beginnings have the tokens that each has by itself."""

from typing import Any

import pytest
from cdr_eval.harness.rendering.shared_texts import SharedTexts
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

from tests.checkpoints import TEMPLATES, TOKENIZERS, byte_level_tokenizer
from tests.harness.rendering.test_chat import RESPONSES, STYLES, TEXTS, renderer_of

PLAIN = {style: {template: make(template) for template in TEMPLATES} for style, make in TOKENIZERS.items()}
SHARED = {style: {name: SharedTexts(tokenizer) for name, tokenizer in made.items()} for style, made in PLAIN.items()}


def check_alike(tokenizer: Any, shared: SharedTexts, texts: list[str], ends: list[int]) -> list[int]:
    """Tokens and offsets are those of each whole text; returns how many each shares."""
    whole = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    found = shared.encode(texts, ends)
    assert [e.ids for e in found] == whole["input_ids"]
    assert [e.offsets for e in found] == [o[e.shared :] for e, o in zip(found, whole["offset_mapping"], strict=True)]
    for end, each, offsets in zip(ends, found, whole["offset_mapping"], strict=True):
        assert all(right <= end for _, right in offsets[: each.shared])
    return [e.shared for e in found]


@pytest.mark.parametrize(("style", "template"), STYLES)
@settings(max_examples=40, deadline=None)
@given(prompts=st.lists(TEXTS, min_size=1, max_size=3), responses=st.lists(RESPONSES, min_size=1, max_size=3))
@example(prompts=["x", "</s> y", "<|im_start|>"], responses=["<|im_end|> a", " a"])
def test_any_texts(style: str, template: str, prompts: list[str], responses: list[str]):
    renderer, tokenizer = renderer_of(style, template), PLAIN[style][template]
    heads = [renderer._render([[{"role": "user", "content": p}]], generation_prompt=True)[0] for p in prompts]
    texts = [head + response for head in heads for response in responses]
    ends = [len(head) for head in heads for _ in responses]
    check_alike(tokenizer, SHARED[style][template], texts, ends)


@pytest.mark.parametrize("style", TOKENIZERS)
@pytest.mark.parametrize("template", sorted({*TEMPLATES} - {"mistral"}))  # without a special token between the turns
def test_what_comes_before_the_last_special_token_is_shared(style: str, template: str):
    head = renderer_of(style, template)._render(
        [[{"role": "user", "content": "What is it? " * 9}]], generation_prompt=True
    )[0]
    tokenizer = PLAIN[style][template]
    shared = check_alike(tokenizer, SharedTexts(tokenizer), [head + "Yes.", head + "No."], [len(head)] * 2)
    assert shared[0] == shared[1] > len(tokenizer(head, add_special_tokens=False)["input_ids"]) // 2


@pytest.mark.parametrize(
    "added",
    [
        [AddedToken("<|cut|>", special=True, normalized=False, lstrip=True)],
        [AddedToken("<|cut|>", special=True, normalized=True)],
        [AddedToken("<|cut|>", special=False, normalized=False)],
        [AddedToken("<|cut|>", special=True, normalized=False), AddedToken("t <|cut", normalized=False)],
        [AddedToken("<|cut|>", special=True, normalized=False), AddedToken("t <|cut|>", normalized=False)],
        [AddedToken("cut|>", special=True, normalized=False), AddedToken("text <|", single_word=True)],
    ],
)
def test_texts_are_not_cut_at_a_token_that_looks_around_itself(added: list[AddedToken]):
    tokenizer: Any = byte_level_tokenizer("zephyr")
    tokenizer.add_tokens(added)
    texts = [f"some text <|cut|>{ending}" for ending in ("a", " b")]
    assert check_alike(tokenizer, SharedTexts(tokenizer), texts, [17, 17]) == [0, 0]


def test_special_tokens_that_are_split_like_any_text_are_no_boundary():
    tokenizer = byte_level_tokenizer("chatml")
    tokenizer.split_special_tokens = True
    texts = ["a<|im_start|>b", "a<|im_start|>c"]
    assert check_alike(tokenizer, SharedTexts(tokenizer), texts, [13, 13]) == [0, 0]


def test_a_tokenizer_that_differs_on_whole_texts_cuts_none():
    tokenizer = byte_level_tokenizer("chatml")

    class Marked:
        """Writes a mark in front of every text."""

        split_special_tokens = False
        added_tokens_decoder = tokenizer.added_tokens_decoder

        def __call__(self, texts: list[str], **options: Any) -> Any:
            return tokenizer([f"^{text}" for text in texts], **options)

    texts = ["a<|im_start|>b", "a<|im_start|>c"]
    found = SharedTexts(Marked()).encode(texts, [13, 13])
    assert [e.ids for e in found] == Marked()(texts, add_special_tokens=False)["input_ids"]
