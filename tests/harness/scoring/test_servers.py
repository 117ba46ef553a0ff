"""Checkpoints that are served: each at its address, in a real run over real processes; limits, deaths, mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, evaluate_pair
from cdr_eval.harness.running.store import ScoreStore
from cdr_eval.harness.scoring.completions_server import completions_url, read_urls
from cdr_eval.harness.scoring.lm_eval import LmEvalScorer
from cdr_eval.harness.scoring.protocol import ScoringRequest

from tests.adapters import save_adapter
from tests.harness.in_process import cdr_eval
from tests.harness.scoring import completions_server
from tests.harness.small_task import write_items
from tests.harness.tuning.preference_file import command

SCORER = "lm-eval:local-completions,max_retries=1"


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Address and process of a completions server for a checkpoint."""
    line = [sys.executable, completions_server.__file__, str(folder), *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}", process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def servers(llamas: Path) -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(serving(llamas / name, "--list"))[0] for name in ("sft", "base")}


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_items(tmp_path_factory.mktemp("task") / "items.jsonl", 12)


def test_each_checkpoint_is_asked_at_its_own_address(
    llamas: Path, servers: dict[str, str], task: Path, tmp_path: Path
) -> None:
    def margins(options: Options) -> np.ndarray:
        pair = (str(llamas / "sft"), str(llamas / "base"))
        return evaluate_pair(*pair, task=str(task), variants=("vanilla",), options=options).margins["margin"].to_numpy()

    urls = tuple(f"{name}={url}" for name, url in servers.items())
    served = margins(Options(device="cpu", store=tmp_path / "a", resamples=100, scorer=SCORER, urls=urls))
    plain = margins(Options(device="cpu", store=tmp_path / "b", resamples=100))
    assert np.abs(served - plain).max() < 1e-3
    assert np.abs(plain).max() > 1


def test_the_address_is_no_part_of_a_score_s_identity(
    llamas: Path, servers: dict[str, str], task: Path, tmp_path: Path
) -> None:
    arguments = ("pair", "--strong", llamas / "sft", "--weak", llamas / "base", "--task", task, "--variants", "vanilla")
    more = ("--scorer", SCORER, "--store", tmp_path / "store", "--out", tmp_path / "out", "--resamples", 100)
    urls = [part for name, url in servers.items() for part in ("--url", f"{name}={url}")]
    first = subprocess.run(command(*arguments, *more, *urls, "--quiet"), capture_output=True, check=True)
    assert b"it/s" not in first.stderr
    assert b"Requesting" not in first.stderr
    gone = ("--url", "sft=http://127.0.0.1:9", "--url", "base=http://127.0.0.1:9")
    assert cdr_eval(*arguments, *more, *gone, "--quiet").code == 0
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["responses_scored"] == {}
    assert run["scoring"]["scorer"] == "lm-eval:local-completions,max_retries=1"
    assert [checkpoint["dtype"] for checkpoint in run["checkpoints"]] == [None, None]


def test_a_server_says_how_much_it_reads_and_is_asked_by_the_name_that_it_has(llamas: Path) -> None:
    with serving(llamas / "sft", "--list", "--longest", "40") as (url, _):
        spec = f"local-completions,base_url={url}"
        path = str(llamas / "sft")
        scorer = LmEvalScorer(spec, path, "float32", "cpu", 4096, 4096, names=(path,))
        fits = ScoringRequest(tuple(range(3, 42)), (38,))
        assert len(list(scorer.score([fits]))) == 1
        longer = ScoringRequest(tuple(range(3, 43)), (39,))
        with pytest.raises(
            UserError, match=rf"The server at {url}/v1/completions takes at most 39 tokens; pass --max-l"
        ):
            list(scorer.score([longer]))


def test_what_a_server_that_refuses_says_is_passed_on(llamas: Path) -> None:
    with serving(llamas / "sft", "--longest", "40") as (url, _):  # it does not say so beforehand
        spec = f"local-completions,base_url={url},max_retries=1"
        scorer = LmEvalScorer(spec, str(llamas / "sft"), "float32", "cpu", 4096, 4096)
        with pytest.raises(UserError, match=r"400 Client Error.*this server reads 40 tokens"):
            list(scorer.score([ScoringRequest(tuple(range(3, 80)), (70,))]))


def test_several_models_behind_one_address_are_told_apart_by_name(llamas: Path) -> None:
    with serving(llamas / "sft", "--list", "--also", "other") as (url, _):
        spec, path = f"local-completions,base_url={url}", str(llamas / "sft")
        assert LmEvalScorer(spec, path, "float32", "cpu", 4096, names=(path, "sft"))
        with pytest.raises(UserError, match=r"serves .*sft, other and none of x, y; serve .*as model="):
            LmEvalScorer(spec, path, "float32", "cpu", 4096, names=("x", "y"))


def test_a_server_of_another_checkpoint_scores_nothing(
    llamas: Path, servers: dict[str, str], task: Path, tmp_path: Path
) -> None:
    urls = (f"sft={servers['base']}", f"base={servers['sft']}")
    options = Options(device="cpu", store=tmp_path, scorer=SCORER, urls=urls)
    with pytest.raises(UserError, match=r"serves \S*base and none of \S*sft, sft"):
        evaluate_pair(str(llamas / "sft"), str(llamas / "base"), task=str(task), variants=("vanilla",), options=options)


def test_a_server_that_dies_in_a_run_leaves_what_it_scored(
    llamas: Path, servers: dict[str, str], tmp_path: Path
) -> None:
    task, store = write_items(tmp_path / "items.jsonl", 300), tmp_path / "store"
    with serving(llamas / "base", "--list", "--dies-after", "350") as (url, process):
        arguments = ("pair", "--strong", llamas / "sft", "--weak", llamas / "base", "--task", task)
        more = ("--variants", "vanilla", "--scorer", SCORER, "--store", store, "--out", tmp_path / "out")
        urls = ("--url", f"sft={servers['sft']}", "--url", f"base={url}")
        done = subprocess.run(command(*arguments, *more, *urls), check=False, capture_output=True)
        process.wait(timeout=10)
    assert done.returncode == 2
    message = done.stderr.decode()
    assert "Traceback" not in message
    assert f"The server at {url}/v1/completions failed" in message
    assert "which keeps every score so far" in message
    kept = len(ScoreStore(store))
    assert kept > 300
    urls = tuple(f"{name}={address}" for name, address in servers.items())
    options = Options(device="cpu", store=store, resamples=100, scorer=SCORER, urls=urls)
    result = evaluate_pair(
        str(llamas / "sft"), str(llamas / "base"), task=str(task), variants=("vanilla",), options=options
    )
    assert sum(result.run["responses_scored"].values()) == len(ScoreStore(store)) - kept > 0


def test_an_adapter_is_given_to_lm_eval_s_own_model_beside_its_base(llamas: Path, task: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    adapter = save_adapter(tmp_path / "adapter", llamas / "sft")
    found: list[np.ndarray] = []
    for scorer in ("lm-eval:hf", "reference"):
        options = Options(device="cpu", store=tmp_path / scorer, resamples=100, scorer=scorer)
        result = evaluate_pair(str(adapter), task=str(task), variants=("vanilla",), options=options)
        found.append(result.margins["margin"].to_numpy())
    assert np.abs(found[0] - found[1]).max() < 1e-3
    assert np.abs(found[0]).max() > 1


@pytest.mark.parametrize(
    ("urls", "scorer", "words"),
    [
        (("sft=http://127.0.0.1:9",), SCORER, "base has no server; pass --url base="),
        (("nobody=http://127.0.0.1:9",), SCORER, "names no checkpoint that is compared; those are sft, base"),
        (("sft=127.0.0.1:9",), SCORER, "is no address of a server; write it as http://HOST:PORT"),
        (("sft=http://127.0.0.1:9", "base=http://127.0.0.1:9"), "shared-prefix", "--url names servers"),
        (("sft=http://127.0.0.1:9", "base=http://127.0.0.1:9"), SCORER, "9/v1/completions does not answer"),
    ],
)
def test_mistakes_are_said_in_a_sentence(
    llamas: Path, task: Path, tmp_path: Path, urls: tuple[str, ...], scorer: str, words: str
) -> None:
    options = Options(device="cpu", store=tmp_path, scorer=scorer, urls=urls)
    with pytest.raises(UserError, match=words):
        evaluate_pair(str(llamas / "sft"), str(llamas / "base"), task=str(task), options=options)


def test_an_address_may_name_the_path_of_its_completions() -> None:
    assert (
        completions_url("http://host:8000") == completions_url("http://host:8000/") == "http://host:8000/v1/completions"
    )
    assert completions_url("https://host/of/mine/completions") == "https://host/of/mine/completions"
    assert read_urls((), ["a"]) == {}


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(f"{url}/health", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(1)
    pytest.fail("the server did not start")


@pytest.fixture(scope="module")
def vllm_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two Llamas of the least head size that vLLM serves."""
    pytest.importorskip("vllm", reason="vLLM is not installed: neither its server nor itself was met")
    from tests.checkpoints import byte_level_tokenizer
    from tests.harness.scoring.scoring_requests import random_model

    folder, tokenizer = tmp_path_factory.mktemp("vllm"), byte_level_tokenizer("chatml")
    sizes = {"hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": len(tokenizer)}
    for number, name in enumerate(("strong", "weak")):
        random_model("llama", **sizes, initializer_range=0.02 * (1 + number)).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return str(folder / "strong"), str(folder / "weak")


def same_margins_as_the_reference(pair: tuple[str, str], task: Path, tmp_path: Path, served: Options) -> None:
    plain = Options(device="cpu", store=tmp_path / "plain", scorer="reference", max_length=500)
    found = [
        evaluate_pair(*pair, task=str(task), variants=("vanilla",), options=options) for options in (served, plain)
    ]
    margins = [result.margins["margin"].to_numpy() for result in found]
    assert np.abs(margins[0] - margins[1]).max() < 1e-3
    assert np.abs(margins[1]).max() > 1
    assert any("does not use its prefix cache" in note for note in found[0].run["notes"])


def test_real_vllm_servers_give_the_reference_s_margins(vllm_pair: tuple[str, str], task: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        urls: list[str] = []
        for port, path in enumerate(vllm_pair, 18_230):
            line = [str(Path(sys.executable).with_name("vllm")), "serve", path, "--port", str(port)]
            line += ["--dtype", "float32", "--max-model-len", "512", "--enforce-eager"]
            process = stack.enter_context(subprocess.Popen(line))
            stack.callback(process.send_signal, signal.SIGTERM)
            wait_for(f"http://127.0.0.1:{port}", process)
            urls.append(f"{Path(path).name}=http://127.0.0.1:{port}")
        served = Options(device="cpu", store=tmp_path / "served", scorer=SCORER, urls=tuple(urls), max_length=500)
        same_margins_as_the_reference(vllm_pair, task, tmp_path, served)
        with pytest.raises(UserError, match="takes at most 511 tokens; pass --max-length 511"):
            request = ScoringRequest(tuple(range(3, 3 + 512)), (511,))
            spec = f"local-completions,base_url=http://127.0.0.1:{18_230}"
            list(LmEvalScorer(spec, vllm_pair[0], "float32", "cpu", 4096, 4096, names=(vllm_pair[0],)).score([request]))


def test_vllm_in_this_process_gives_the_reference_s_margins(
    vllm_pair: tuple[str, str], task: Path, tmp_path: Path
) -> None:
    served = Options(device="cpu", store=tmp_path / "own", scorer="lm-eval:vllm,enforce_eager=True", max_length=500)
    same_margins_as_the_reference(vllm_pair, task, tmp_path, served)
