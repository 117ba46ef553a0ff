"""What does not fit, what no end of turn follows, and what cannot be rendered at all."""

import re

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.rendering.chat import ChatRenderer
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.tasks.conditioning import Conversation
from cdr_eval.tasks.item import Turn
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from tests.checkpoints import TEMPLATES, TOKENIZERS, byte_level_tokenizer

TURN = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}</s>{% endfor %}"


def asked(response: str, prompt: str = "What is the capital of France?", system: str | None = None) -> Conversation:
    before = () if system is None else (Turn(role="system", content=system),)
    return Conversation((*before, Turn(role="user", content=prompt)), response)


def requested(renderer: ChatRenderer, conversation: Conversation) -> ScoringRequest:
    request = renderer.render([conversation])[0].request
    assert request is not None
    return request


def scored_text(renderer: ChatRenderer, conversation: Conversation) -> str:
    request = requested(renderer, conversation)
    return renderer._tokenizer.decode([request.token_ids[position] for position in request.scored])


@pytest.mark.parametrize("bos", [True, False])
@settings(max_examples=40, deadline=None)
@given(prompt=st.text(max_size=30), response=st.text(min_size=1, max_size=15), spare=st.integers(-20, 60))
def test_an_overlong_prompt_loses_tokens_from_its_left(bos: bool, prompt: str, response: str, spare: int):
    tokenizer = byte_level_tokenizer("chatml", text=())
    if not bos:
        tokenizer.bos_token = None
    whole = requested(ChatRenderer(tokenizer), asked(response, prompt))
    front = 1  # BOS, or the one token that the first scored token is predicted from
    length = max(1, len(whole.scored) + front + spare)
    rendering = ChatRenderer(tokenizer, max_length=length).render([asked(response, prompt)])[0]
    if length >= len(whole.token_ids):
        assert (rendering.request, rendering.truncated) == (whole, False)
    elif length < len(whole.scored) + front:
        assert rendering.request is None
    else:
        cut = rendering.request
        assert cut is not None
        assert rendering.truncated
        assert len(cut.token_ids) == length
        kept = 1 if bos else 0
        assert cut.token_ids[:kept] == whole.token_ids[:kept]
        assert cut.token_ids[kept:] == whole.token_ids[len(whole.token_ids) - length + kept :]
        assert [cut.token_ids[p] for p in cut.scored] == [whole.token_ids[p] for p in whole.scored]
        assert cut.scored[0] >= 1
        assert cut.scored[-1] == length - 1


@settings(max_examples=40, deadline=None)
@given(prompt=st.text(max_size=10), response=st.text(min_size=1, max_size=15), length=st.integers(1, 60))
def test_cut_on_the_right_the_response_loses_its_end(prompt: str, response: str, length: int):
    tokenizer = byte_level_tokenizer("chatml", text=())
    whole = requested(ChatRenderer(tokenizer), asked(response, prompt))
    rendering = ChatRenderer(tokenizer, max_length=length, cut="right").render([asked(response, prompt)])[0]
    if length >= len(whole.token_ids):
        assert (rendering.request, rendering.truncated) == (whole, False)
    elif length <= whole.scored[0]:
        assert (rendering.request, rendering.truncated) == (None, True)
    else:
        assert rendering.request is not None
        assert rendering.truncated and not rendering.end_of_turn
        assert rendering.request.token_ids == whole.token_ids[:length]
        assert rendering.request.scored == tuple(p for p in whole.scored if p < length)


def test_the_marker_may_be_given_and_may_be_several_tokens():
    renderer = ChatRenderer(byte_level_tokenizer("zephyr"), TURN.replace("</s>", "###"), "###")
    assert scored_text(renderer, asked("Paris")) == " Paris###"
    assert renderer.render([asked("Paris")])[0].end_of_turn


@pytest.mark.parametrize("after", ["", "\n", " END"])
def test_without_an_end_of_turn_only_the_response_is_scored_and_the_rendering_says_so(after: str):
    renderer = ChatRenderer(byte_level_tokenizer("zephyr"), TURN.replace("</s>", after + "~"))
    rendering = renderer.render([asked("Paris")])[0]
    assert not rendering.end_of_turn
    assert scored_text(renderer, asked("Paris")) == " Paris"


def test_token_ids_may_lie_beyond_the_size_of_the_vocabulary():
    # Some published tokenizers leave gaps in their ids.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: 100_000 + i for i, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    assert scored_text(ChatRenderer(wrapped, TURN), asked("Paris")) == "Paris</s>"


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (TURN.replace("m['content']", "m['content'] | upper"), "The chat template .*; pass another"),
        (TURN.replace("m['content']", "m['content'] | replace('Paris', 'Rome')"), "changes the response 'Paris"),
        (TURN.replace("m['content']", "m['content'][:3]"), "leaves the response out"),
        (TURN.replace("m['content']", "m['content'][:40]"), "changes the response 'Paris"),
        ("{{ messages[0]['content'] }}</s>", "leaves the response out"),
        ("{% for m in messages %}{{ m['content'] }}{{ m['content'] }}{% endfor %}", "changes the response 'Paris"),
        ("{% for m in messages %}", "refuses turns of user and assistant"),
        ("{{ messages[7]['content'] }}", "refuses turns of user and assistant"),
        ("{{ messages[0]['content'] + 1 }}", "refuses turns of user and assistant"),
        ("{{ 1 // 0 }}", "refuses turns of user and assistant"),
    ],
)
def test_templates_that_do_not_write_the_response_as_it_is(template: str, sentence: str):
    renderer = ChatRenderer(byte_level_tokenizer("zephyr"), template)
    with pytest.raises(UserError, match=sentence) as caught:
        renderer.render([asked("Paris, as everybody who has ever been to France will tell you.")])
    assert "--chat-template FILE" in str(caught.value)


@pytest.mark.parametrize("template", ["mistral", "gemma"])
def test_templates_without_a_system_turn_refuse_one_in_a_sentence(template: str):
    renderer = ChatRenderer(byte_level_tokenizer(template))
    sentence = (
        r"refuses turns of system, user and assistant \(.*\); pass a template that takes them with --chat-template"
    )
    with pytest.raises(UserError, match=sentence):
        renderer.render([asked("Paris", system="Be brief.")])


def test_a_response_at_the_very_start_needs_a_bos_token():
    template = "{% if messages[-1]['role'] == 'assistant' %}{{ messages[-1]['content'] }}</s>{% endif %}"
    with_bos = ChatRenderer(byte_level_tokenizer("zephyr"), template)
    assert scored_text(with_bos, asked("Paris")) == "Paris</s>"
    tokenizer = byte_level_tokenizer("zephyr")
    tokenizer.bos_token = None
    with pytest.raises(UserError, match="no BOS token"):
        ChatRenderer(tokenizer, template).render([asked("Paris")])


def test_a_response_that_the_tokenizer_drops_whole_is_an_error():
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate("[] userasistntPr")}, merges=[]))
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    renderer = ChatRenderer(wrapped, TURN)
    assert scored_text(renderer, asked("Paris")).replace(" ", "") == "Paris</s>"
    with pytest.raises(UserError, match="tokenizer"):
        renderer.render([asked("世界")])


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(UserError, match=re.escape("has no character offsets; save a fast one (tokenizer.json) there")):
        ChatRenderer(ByT5Tokenizer(), TEMPLATES["zephyr"])


@pytest.mark.parametrize("style", TOKENIZERS)
def test_without_any_template_the_error_says_how_to_pass_one(style: str):
    tokenizer = TOKENIZERS[style]("zephyr")
    tokenizer.chat_template = None
    with pytest.raises(UserError, match="has no chat template; pass one with --chat-template FILE"):
        ChatRenderer(tokenizer)
    assert scored_text(ChatRenderer(tokenizer, TEMPLATES["zephyr"]), asked("Paris"))


def test_of_several_templates_the_default_one_is_taken():
    tokenizer = byte_level_tokenizer("zephyr")
    tokenizer.chat_template = {"default": TURN, "tool_use": TEMPLATES["zephyr"]}
    assert ChatRenderer(tokenizer).template == TURN
