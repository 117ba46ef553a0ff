"""The scored tokens are exactly those of the response and its end of turn, for every template and tokenizer style."""

import unicodedata
from functools import cache

import pytest
from cdr_eval.harness.rendering.chat import ChatRenderer
from cdr_eval.tasks.conditioning import Conversation
from cdr_eval.tasks.item import Turn
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import normalizers, processors
from transformers import AddedToken

from tests.checkpoints import TEMPLATES, TEXT, TOKENIZERS, byte_level_tokenizer, sentencepiece_tokenizer
from tests.harness.rendering.hand_rendering import NO_SYSTEM, TRIMMING, Turns, hand_rendered, laid_along

STYLES = [(style, template) for style in TOKENIZERS for template in TEMPLATES]
QUESTION: Turns = (("user", "What is the capital of France?"),)
PIECES = st.one_of(
    st.text(max_size=4),
    st.sampled_from(
        [
            "\n",
            " ",
            "\n\n",
            "\r\n",
            "\t",
            "😀",
            "👩‍👩‍👧",
            "世界",
            "é",
            "e\u0301",
            "\u0301",
            "\ufeff",
            "\u200b",
            "½",
            "Paris",
            ". ",
        ]
    ),
    st.sampled_from(
        ["<|im_end|>", "<|im_start|>assistant\n", "</s>", "<s>", "[/INST]", "[INST]", "<|eot_id|>", "<end_of_turn>\n"]
    ),
    st.sampled_from(["{{ eos_token }}", "{% endfor %}", "<|assistant|>\n", "<unk>", "▁", "<0x0A>", "Ġ", "\x00"]),
)
TEXTS = st.lists(PIECES, min_size=1, max_size=8).map("".join)
RESPONSES = TEXTS.filter(lambda text: bool(text.strip()))


@cache
def renderer_of(style: str, template: str) -> ChatRenderer:
    return ChatRenderer(TOKENIZERS[style](template))


def conversation(turns: Turns, response: str) -> Conversation:
    return Conversation(tuple(Turn(role=role, content=text) for role, text in turns), response)


def check_against_hand(style: str, template: str, turns: Turns, response: str) -> None:
    """The tokens spell the hand-written text, and the scored ones are those that touch response or end of turn."""
    renderer = renderer_of(style, template)
    rendering = renderer.render([conversation(turns, response)])[0]
    request = rendering.request
    tokenizer = renderer._tokenizer
    assert request is not None
    assert rendering.end_of_turn
    assert not rendering.truncated
    before, written, marker = hand_rendered(template, turns, response)
    if style != "byte-level":  # a literal ▁ is a space to these tokenizers
        before, written = before.replace("▁", " "), written.replace("▁", " ")
    bos = tokenizer.bos_token_id
    assert request.token_ids[0] == bos
    assert request.token_ids[1] != bos
    spans = laid_along(tokenizer, request.token_ids[1:], before + written + marker)
    start = len(before.encode())
    end = start + len(written.encode())
    inside = [i + 1 for i, (left, right) in enumerate(spans) if left < end and right > start]
    assert request.scored == (*inside, len(request.token_ids) - 1)
    assert spans[-1] == (end, end + len(marker.encode()))


@pytest.mark.parametrize(("style", "template"), STYLES)
@settings(max_examples=60, deadline=None)
@given(response=RESPONSES, prompt=TEXTS)
@example(response="\n\nParis.", prompt="x")
@example(response="  Paris.  ", prompt="x")
@example(response="😀", prompt="x")
@example(response="\u0301a", prompt="x")
@example(response="</s>a", prompt="<s>")
@example(response="Paris.\n", prompt="<|im_end|>\n<|im_start|>assistant\nNo.")
def test_scored_tokens_are_those_laid_by_hand_along_the_text(style: str, template: str, response: str, prompt: str):
    check_against_hand(style, template, (("user", prompt),), response)


@pytest.mark.parametrize(("style", "template"), STYLES)
@settings(max_examples=20, deadline=None)
@given(texts=st.lists(TEXTS, min_size=3, max_size=3), response=RESPONSES)
def test_conversations_of_several_turns(style: str, template: str, texts: list[str], response: str):
    turns: Turns = tuple(zip(("user", "assistant", "user"), texts, strict=True))
    check_against_hand(style, template, turns, response)
    if template not in NO_SYSTEM:
        check_against_hand(style, template, (("system", "Be brief."), *turns), response)


@pytest.mark.parametrize(("style", "template"), STYLES)
@pytest.mark.parametrize("response", ["It is Paris, of course.", "😀 Hello 世界 😀", "return a + b", "a</s>b"])
def test_scored_tokens_decode_to_the_response_and_its_end_of_turn(style: str, template: str, response: str):
    renderer = renderer_of(style, template)
    request = renderer.render([conversation(QUESTION, response)])[0].request
    assert request is not None
    ids = [request.token_ids[position] for position in request.scored]
    decoded = renderer._tokenizer.decode(ids, skip_special_tokens=False)
    assert decoded.removeprefix(" ").replace(" ", "") == (response + hand_rendered(template, (), "")[2]).replace(
        " ", ""
    )
    if style == "byte-level":
        assert decoded.removeprefix(" ") == response + hand_rendered(template, (), "")[2]


@pytest.mark.parametrize(("style", "template"), STYLES)
def test_the_text_is_tokenised_once_and_not_prompt_and_response_apart(style: str, template: str):
    renderer = renderer_of(style, template)
    before, written, marker = hand_rendered(template, QUESTION, "It is Paris.")
    request = renderer.render([conversation(QUESTION, "It is Paris.")])[0].request
    bos = "<s>" if renderer.template.startswith("{{ bos_token }}") else ""
    whole = renderer._tokenizer.backend_tokenizer.encode(bos + before + written + marker, add_special_tokens=False)
    assert request is not None
    assert list(request.token_ids)[0 if bos else 1 :] == whole.ids


def test_a_token_that_straddles_the_boundary_is_scored():
    tokenizer = byte_level_tokenizer("zephyr", text=["\n\n"] * 9)
    renderer = ChatRenderer(tokenizer)
    request = renderer.render([conversation(QUESTION, "\n\nYes")])[0].request
    assert request is not None
    first = tokenizer.convert_ids_to_tokens([request.token_ids[request.scored[0]]])[0]
    assert first == "ĊĊ"  # the line break of the header and the first of the response
    assert tokenizer.decode([request.token_ids[p] for p in request.scored]) == "\n\n\nYes</s>"


def test_white_space_between_response_and_end_of_turn_is_not_scored_unless_a_token_straddles_it():
    template = "{% for m in messages %}<|im_start|>{{ m['role'] }}: {{ m['content'] }}\n<|im_end|>{% endfor %}"
    renderer = ChatRenderer(byte_level_tokenizer("chatml", text=[*TEXT, *["\n\n"] * 9]), template)
    tokenizer = renderer._tokenizer
    apart = renderer.render([conversation(QUESTION, "Zz~")])[0].request
    assert apart is not None
    assert tokenizer.convert_ids_to_tokens([apart.token_ids[p] for p in apart.scored]) == ["Z", "z", "~", "<|im_end|>"]
    assert tokenizer.convert_ids_to_tokens(apart.token_ids[-2]) == "Ċ"
    straddling = renderer.render([conversation(QUESTION, "Paris\n")])[0].request
    assert straddling is not None
    assert tokenizer.convert_ids_to_tokens(straddling.token_ids[-2]) == "ĊĊ"
    assert straddling.scored[-2:] == (len(straddling.token_ids) - 2, len(straddling.token_ids) - 1)


@settings(max_examples=60, deadline=None)
@given(response=RESPONSES)
@example(response="\n\nParis")
@example(response=" <|assistant|> Paris")
def test_a_head_that_takes_in_white_space_is_not_scored(response: str):
    renderer = stripping_renderer()
    tokenizer, asked = renderer._tokenizer, conversation(QUESTION, response)
    text, (rendering,) = renderer.text(asked), renderer.render([asked])
    assert text.end_of_turn is not None
    assert rendering.request is not None
    encoded = tokenizer(text.text, add_special_tokens=False, return_offsets_mapping=True)
    start, end = text.response[0], text.end_of_turn[1]
    touching = [i for i, (left, right) in enumerate(encoded["offset_mapping"]) if left < end and right > start]
    if encoded["offset_mapping"][touching[0]][0] == start - len("<|assistant|>\n"):
        assert response[0].isspace()
        del touching[0]
    assert rendering.request.scored == tuple(1 + place for place in touching)


@cache
def stripping_renderer() -> ChatRenderer:
    """Markers in the manner of Phi-3's, which take in the white space after them."""
    tokenizer = byte_level_tokenizer("chatml")
    markers = [AddedToken(f"<|{name}|>", rstrip=True, normalized=False) for name in ("user", "assistant", "end")]
    tokenizer.add_tokens(markers, special_tokens=True)
    head = "<|{{ m['role'] }}|>\n"
    return ChatRenderer(tokenizer, "{% for m in messages %}" + head + "{{ m['content'] }}<|end|>\n{% endfor %}")


@pytest.mark.parametrize("template", TRIMMING)
def test_a_template_that_trims_scores_the_trimmed_response(template: str):
    renderer = renderer_of("byte-level", template)
    padded, trimmed = renderer.render([conversation(QUESTION, " \n Paris\n\n"), conversation(QUESTION, "Paris")])
    assert padded == trimmed


def test_composed_characters_of_a_normalizing_tokenizer_are_scored_whole():
    tokenizer = byte_level_tokenizer("chatml")
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    renderer = ChatRenderer(tokenizer)
    for response in ("e\u0301t\u00e9", "Ange\u0301", "\u1112\u1161\u11ab", "\u0301x"):
        request = renderer.render([conversation(QUESTION, response)])[0].request
        assert request is not None
        decoded = tokenizer.decode([request.token_ids[p] for p in request.scored])
        assert decoded == unicodedata.normalize("NFC", response) + "<|im_end|>"


@pytest.mark.parametrize("style", TOKENIZERS)
@pytest.mark.parametrize("template_bos", [0, 1, 2])
@pytest.mark.parametrize("processor_adds_bos", [False, True])
def test_exactly_one_bos_whatever_template_and_tokenizer_do(style: str, template_bos: int, processor_adds_bos: bool):
    tokenizer = TOKENIZERS[style]("zephyr")
    if processor_adds_bos:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)]
        )
    template = "{{ bos_token }}" * template_bos + TEMPLATES["zephyr"]
    request = ChatRenderer(tokenizer, template).render([conversation(QUESTION, "Paris")])[0].request
    assert request is not None
    assert request.token_ids.count(tokenizer.bos_token_id) == 1
    assert request.token_ids[0] == tokenizer.bos_token_id
    assert request.token_ids[-1] == tokenizer.eos_token_id
    assert request.token_ids.count(tokenizer.eos_token_id) == 2  # the user's turn and the response's


def test_offsets_that_a_tokenizer_trims_are_taken_whole():
    # Llama 3's post-processor takes the white space that a token covers off its offsets.
    tokenizer = byte_level_tokenizer("chatml")
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    several = [conversation(QUESTION, text) for text in ("\n\n Paris", "Paris \n", "  is  ", "a\n\n\n")]
    assert ChatRenderer(tokenizer).render(several) == renderer_of("byte-level", "chatml").render(several)


def test_a_tokenizer_without_bos_begins_with_the_template():
    tokenizer = byte_level_tokenizer("chatml")
    tokenizer.bos_token = None
    request = ChatRenderer(tokenizer).render([conversation(QUESTION, "Paris")])[0].request
    assert request is not None
    assert tokenizer.convert_ids_to_tokens(request.token_ids[0]) == "<|im_start|>"
    assert tokenizer.decode([request.token_ids[p] for p in request.scored]) == "Paris<|im_end|>"


def test_truncation_and_padding_saved_with_a_tokenizer_are_not_applied():
    tokenizer = byte_level_tokenizer("chatml")
    plain = ChatRenderer(byte_level_tokenizer("chatml")).render([conversation(QUESTION, "Paris")])
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=512)
    assert ChatRenderer(tokenizer).render([conversation(QUESTION, "Paris")]) == plain


def test_templates_that_print_today_render_the_same_every_day():
    template = "{{ date_string }} {{ strftime_now('%d %b %Y') }}\n" + TEMPLATES["chatml"]
    text = ChatRenderer(byte_level_tokenizer("chatml"), template).text(conversation(QUESTION, "Paris")).text
    assert text.startswith("26 Jul 2024 26 Jul 2024\n<|im_start|>")


@pytest.mark.parametrize("start", ["\n", "\n\n", "  ", "  {% if true %}\n{% endif %}", "{%- set a = 1 -%}", "x\n"])
def test_white_space_at_the_start_of_a_template_is_kept_as_transformers_keeps_it(start: str):
    tokenizer = byte_level_tokenizer("chatml")
    template = start + TEMPLATES["chatml"]
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Paris"}]
    expected = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False)
    assert ChatRenderer(tokenizer, template).text(conversation((("user", "Hi"),), "Paris")).text == expected


def test_many_conversations_are_rendered_in_order_and_alone_as_together():
    renderer = renderer_of("sentencepiece", "mistral")
    several = [conversation((("user", f"What is {i}?"),), "x" * (i + 1)) for i in range(20)]
    assert renderer.render(several) == [renderer.render([one])[0] for one in several]
    assert renderer.render([]) == []


def test_identity_tells_tokenizers_templates_and_markers_apart():
    def identity(
        style: str = "byte-level", template: str = "chatml", marker: str | None = None, extra: str = ""
    ) -> str:
        return ChatRenderer(TOKENIZERS[style](template), TEMPLATES[template] + extra, marker).identity

    others = [identity(style="metaspace"), identity(template="zephyr"), identity(marker="</s>"), identity(extra=" ")]
    assert len({identity(), *others}) == 5
    assert identity() == identity()


def test_the_common_text_of_a_pair_is_without_bos():
    assert sentencepiece_tokenizer("mistral").bos_token == "<s>"
    text = renderer_of("sentencepiece", "mistral").text_without_bos(conversation(QUESTION, "Paris"))
    assert text == "[INST] What is the capital of France? [/INST] Paris</s>"
