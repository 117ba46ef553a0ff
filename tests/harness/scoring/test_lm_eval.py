import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness.scoring.lm_eval import LmEvalScorer, lm_eval_kind
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.harness.scoring.reference import ReferenceScorer
from transformers import AutoModelForCausalLM

from tests.checkpoints import byte_level_tokenizer
from tests.harness.scoring import completions_server
from tests.harness.scoring.scoring_requests import preference_requests, random_model, sums

REQUESTS = [*preference_requests(prompts=3), ScoringRequest((1, 5, 6, 7, 8, 9), (1, 2, 5))]
"""The last one has a gap between its scored tokens, and one token before the first."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint's folder."""
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("checkpoint")
    byte_level_tokenizer("chatml").save_pretrained(path)
    random_model("llama", vocab_size=600, max_position_embeddings=128).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def reference(folder: Path):
    return sums(ReferenceScorer(AutoModelForCausalLM.from_pretrained(folder).eval()), REQUESTS)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """Address of a completions server, in a process of its own, for the checkpoint."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, completions_server.__file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1/completions"
        process.terminate()


@pytest.mark.parametrize("spec", ["hf", "hf,batch_size=4"])
def test_hf_model_scores_our_spans(folder: Path, reference: np.ndarray, spec: str):
    scorer = LmEvalScorer(spec, str(folder), "float32", "cpu", 128)
    assert np.abs(sums(scorer, REQUESTS) - reference).max() < 1e-3


def test_half_precision_is_of_the_weights_alone(folder: Path):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    found = sums(LmEvalScorer("hf", str(folder), "bfloat16", "cpu", 128), REQUESTS)
    assert np.abs(found - sums(ReferenceScorer(model), REQUESTS)).max() < 1e-3


@pytest.mark.parametrize("options", ["", ",batch_size=3", ",num_concurrent=4"])
def test_completions_server_scores_our_spans(folder: Path, reference: np.ndarray, server: str, options: str):
    spec = f"local-completions,base_url={server},model=ours{options}"
    scorer = LmEvalScorer(spec, str(folder), "float32", "cpu", 128)
    assert np.abs(sums(scorer, REQUESTS) - reference).max() < 1e-3


@pytest.mark.parametrize("length", [128, 129])
@pytest.mark.parametrize("backend", ["hf", "server"])
def test_a_request_is_never_cut(folder: Path, server: str, backend: str, length: int):
    spec = "hf" if backend == "hf" else f"local-completions,base_url={server}"
    scorer = LmEvalScorer(spec, str(folder), "float32", "cpu", 128)
    request = ScoringRequest(tuple(range(3, 3 + length)), (length - 1,))
    if length == 128:
        wanted = sums(ReferenceScorer(AutoModelForCausalLM.from_pretrained(folder).eval()), [request])
        assert np.abs(sums(scorer, [request]) - wanted).max() < 1e-3
    else:
        with pytest.raises(UserError, match="takes at most 128 tokens"):
            list(scorer.score([request]))


@pytest.mark.parametrize(("longest", "positions", "takes"), [(100, 128, 100), (128, 128, 127), (100, None, 100)])
def test_a_backend_that_generates_a_token_gets_no_request_that_it_would_cut(
    folder: Path, monkeypatch: pytest.MonkeyPatch, longest: int, positions: int | None, takes: int
):
    import lm_eval.api.registry
    import lm_eval.models.huggingface

    HFLM: Any = lm_eval.models.huggingface.HFLM

    class CutsAsVllmDoes(HFLM):
        def _loglikelihood_tokens(self, requests: Any, *args: Any, **kwargs: Any):
            assert self.max_length <= 128  # vLLM takes no more than the model has positions
            assert all(len(context + scored) <= self.max_length - 1 for _, context, scored in requests)
            return super()._loglikelihood_tokens(requests, *args, **kwargs)

    monkeypatch.setattr(lm_eval.api.registry, "get_model", lambda name: {"vllm": CutsAsVllmDoes}[name])
    scorer = LmEvalScorer("vllm", str(folder), "float32", "cpu", longest, positions)
    fits = ScoringRequest(tuple(range(3, 3 + takes)), (takes - 1,))
    wanted = sums(ReferenceScorer(AutoModelForCausalLM.from_pretrained(folder).eval()), [fits])
    assert np.abs(sums(scorer, [fits]) - wanted).max() < 1e-3
    with pytest.raises(UserError, match=f"takes at most {takes} tokens; pass --max-length {takes}"):
        list(scorer.score([ScoringRequest(tuple(range(3, 4 + takes)), (takes,))]))


def test_a_backend_s_bar_measures_time_but_is_not_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    import lm_eval.api.registry
    import lm_eval.models.huggingface
    from tqdm.auto import tqdm

    HFLM: Any = lm_eval.models.huggingface.HFLM

    class DividesAsVllmDoes(HFLM):
        def _loglikelihood_tokens(self, requests: Any, *args: Any, **kwargs: Any):
            with tqdm(total=len(requests), desc="Processed prompts") as bar:
                answers = super()._loglikelihood_tokens(requests, *args, **kwargs)
                bar.postfix = f"{len(answers) / bar.format_dict['elapsed']:.2f} a second"
                bar.update(len(answers))
            return answers

    monkeypatch.setattr(lm_eval.api.registry, "get_model", lambda name: {"hf": DividesAsVllmDoes}[name])
    scorer = LmEvalScorer("hf", str(folder), "float32", "cpu", 128)
    assert len(sums(scorer, [ScoringRequest((3, 4, 5), (2,))])) == 1
    assert "Processed" not in capsys.readouterr().err


def test_weights_are_not_loaded_again_at_every_call(folder: Path):
    with pytest.raises(UserError, match="data_parallel_size loads the weights again"):
        LmEvalScorer("vllm,data_parallel_size=2", str(folder), "float32", "cpu", 128)


def test_a_server_that_is_gone(folder: Path):
    spec = "local-completions,base_url=http://127.0.0.1:9/v1/completions,max_retries=1"
    with pytest.raises(UserError, match="does not answer"):
        LmEvalScorer(spec, str(folder), "float32", "cpu", 128)


def test_text_instead_of_tokens_is_refused(folder: Path, server: str):
    with pytest.raises(UserError, match="tokenized_requests=True"):
        LmEvalScorer(
            f"local-completions,base_url={server},tokenized_requests=False", str(folder), "float32", "cpu", 128
        )


def test_unknown_model(folder: Path):
    with pytest.raises(UserError, match="no model 'hff'"):
        LmEvalScorer("hff", str(folder), "float32", "cpu", 128)


def test_unknown_argument(folder: Path):
    with pytest.raises(UserError, match="could not open"):
        LmEvalScorer("hf,colour=red", str(folder), "float32", "cpu", 128)


def test_kind_names_what_can_change_a_score_and_no_secret():
    spec = "hf,tokenizer=/home/me/model,softmax_dtype=float64,dtype=float16,auth_token=secret"
    assert lm_eval_kind(spec) == "lm-eval:hf,dtype=float16,softmax_dtype=float64"
    assert lm_eval_kind("hf") == "lm-eval:hf,softmax_dtype=float32"
    assert lm_eval_kind("vllm") == "lm-eval:vllm"
    assert lm_eval_kind("vllm,pretrained=/awq/{name}") == "lm-eval:vllm,pretrained=/awq/{name}"
