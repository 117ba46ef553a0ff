"""Scores are in the model's own type, whatever a notebook or a trainer has set for its own models."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
import torch
from cdr_eval.harness.scoring.inference import inference
from cdr_eval.harness.scoring.protocol import Scorer
from cdr_eval.harness.scoring.reference import ReferenceScorer
from cdr_eval.harness.scoring.shared_prefix import SharedPrefixScorer
from transformers import PreTrainedModel

from tests.harness.scoring.scoring_requests import preference_requests, random_model, sums

BACKENDS: Any = torch.backends


@contextmanager
def half_products() -> Generator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")  # bfloat16 where the processor has it
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def half_by_default() -> Generator[None]:
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("scorer", [SharedPrefixScorer, ReferenceScorer])
@pytest.mark.parametrize(
    "setting", [half_products, half_by_default, lambda: torch.autocast("cpu", dtype=torch.bfloat16)]
)
@pytest.mark.parametrize("layers", [None, ["conv", "conv", "conv", "full_attention"]])
def test_settings_of_the_process_change_no_bit(
    layers: list[str] | None, setting: Callable[[], Any], scorer: Callable[[PreTrainedModel], Scorer]
) -> None:
    model = random_model("lfm2", layer_types=layers) if layers else random_model("llama")
    requests = preference_requests()
    plain = sums(scorer(model), requests)
    with setting():
        assert np.array_equal(sums(scorer(model), requests), plain)


def allowed() -> list[object]:
    """All that torch tells of how float32 may be computed."""
    places = (BACKENDS, BACKENDS.cuda.matmul, BACKENDS.cudnn.conv, BACKENDS.cudnn.rnn)
    places += (BACKENDS.mkldnn.matmul, BACKENDS.mkldnn.conv)
    return [
        torch.get_float32_matmul_precision(),
        BACKENDS.cuda.matmul.allow_tf32,
        BACKENDS.cudnn.allow_tf32,
        *(place.fp32_precision for place in places),
    ]


def test_the_process_has_its_settings_back_and_no_two_names_disagree_meanwhile() -> None:
    with half_products():
        before = allowed()
        with pytest.raises(ZeroDivisionError), inference(random_model("llama")):
            assert allowed() == ["highest", False, False, "none", *["ieee"] * 5]
            raise ZeroDivisionError
        assert allowed() == before
        assert "bf16" in before


def test_two_threads_do_not_undo_each_other() -> None:
    """The first is done while the second still computes."""
    entered, left = Event(), Event()
    model = random_model("llama")

    def first() -> None:
        with inference(model):
            entered.set()
            assert left.wait(10)

    with half_products():
        before = allowed()
        thread = Thread(target=first)
        with inference(model):
            thread.start()
            assert entered.wait(10)
        assert torch.get_float32_matmul_precision() == "highest"
        left.set()
        thread.join()
        assert allowed() == before


def test_a_small_model_takes_one_thread_while_it_computes() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with inference(random_model("llama")):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_settings_by_the_newer_names_alone_come_back_too() -> None:
    try:
        BACKENDS.fp32_precision = "tf32"
        with inference(random_model("llama")):
            assert BACKENDS.cudnn.conv.fp32_precision == "ieee"
        assert BACKENDS.cudnn.conv.fp32_precision == "tf32"
    finally:
        BACKENDS.fp32_precision = "none"
