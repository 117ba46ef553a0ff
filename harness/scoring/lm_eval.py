"""Scoring with any backend of lm-evaluation-harness: hf, vllm, sglang, an OpenAI-compatible completions server, ..."""

import importlib
import inspect
import io
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partialmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from .completions_server import ask_server, completions_url
from .protocol import ScoringRequest

_CHUNK = 512
"""Requests handed over at a time: enough for a backend to batch them well, few enough to store scores often."""

_NOT_IDENTITY = {"tokenizer", "auth_token", "header", "ca_cert_path"}
"""Arguments that are no part of a score's identity: secrets, and the tokenizer, whose tokens are. Other weights are."""


_TRANSFORMERS = {
    *("hf", "hf-audiolm-qwen", "hf-auto", "hf-mistral3", "hf-multimodal", "huggingface"),
    *("habana", "ipex", "mamba_ssm", "openvino", "steered"),
}
"""Models whose log-softmax and sums would be in the weights' precision: a bfloat16 tells whole nats apart."""
_SOFTMAX_DTYPE = "float32"

_NO_PREFIX_CACHE = (
    "vLLM reads a prompt again for every response: it does not use its prefix cache where log-probabilities of the "
    "prompt are asked for."
)

_GENERATES_ONE = {"vllm", "vllm-vlm", "nemo_lm"}
"""Backends that generate a token after each request and cut requests, from the left, to one below their max_length."""


class LmEvalScorer:
    """Scores token spans through an lm-eval model's log-likelihood interface.

    `spec` is "<model>,<args>" as lm-eval's `--model` and `--model_args` take them. Where `args` leaves them out, the
    checkpoint at `model_path`, its tokenizer, `dtype` and `max_length` are filled in; the model itself has room for
    `positions` tokens where that is known. `own` are arguments that the checkpoint has for itself and that are no part
    of the kind, such as the address of its server; `names` are those by which that may know it. Raises UserError where
    lm-eval has no such model or can't open it, where its server does not answer, and where it would load the weights
    again at every call.
    """

    shares_prefixes = False

    def __init__(
        self,
        spec: str,
        model_path: str,
        dtype: str,
        device: str,
        max_length: int,
        positions: int | None = None,
        own: Mapping[str, str] | None = None,
        names: tuple[str, ...] = (),
    ) -> None:
        name, _, arguments = spec.partition(",")
        given: dict[str, Any] = {**_lm_eval("utils").simple_parse_args_string(arguments), **(own or {})}
        self.kind = lm_eval_kind(spec)
        self.notes: list[str] = []
        self._name = name
        if name.startswith("vllm") and int(given.get("data_parallel_size", 1)) > 1:
            raise UserError(
                f"lm-eval's model {name!r} with data_parallel_size loads the weights again every few hundred requests; "
                "use tensor_parallel_size, or one run a GPU over the same store."
            )
        model_class = _model_class(name)
        accepted = _constructor_arguments(model_class)
        # A completions server adds a token to each prompt, and lm-eval's client takes it off its max_length.
        self._generates = int(name in _GENERATES_ONE)
        room = positions is None or max_length < positions
        longest = max_length + ("base_url" in accepted or (room and self._generates))
        defaults = {"pretrained": model_path, "tokenizer": model_path, "dtype": dtype, "max_length": longest}
        defaults["softmax_dtype"] = _SOFTMAX_DTYPE
        filled = {key: value for key, value in defaults.items() if key in accepted}
        self._url: str | None = None
        self._longest: int | None = None
        if "base_url" in given:
            self._url = given["base_url"] = completions_url(given["base_url"])
            filled |= self._ask(given, names)
        elif name.startswith("vllm"):
            self.notes.append(_NO_PREFIX_CACHE)
        try:
            self._model: Any = model_class.create_from_arg_obj({**filled, **given}, {"device": device})
        except Exception as error:
            raise UserError(f"lm-eval could not open its model {name!r} with {arguments!r}: {_first(error)}") from error

        if not getattr(self._model, "tokenized_requests", True):
            raise UserError(
                f"lm-eval's model {name!r} would send text instead of tokens, and its tokens may differ; "
                "pass tokenized_requests=True."
            )

    def _ask(self, given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
        """Let the server say how much it reads, and by which name it is asked."""
        served = ask_server(
            given["base_url"], (given["model"],) if "model" in given else names, given.get("auth_token")
        )
        self._longest = served.longest
        if served.engine == "vllm":
            self.notes.append(_NO_PREFIX_CACHE)
        return {"model": served.model} if served.model else {}

    def score(self, requests: Sequence[ScoringRequest]) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
        """Yield (indices, summed log-probabilities) a few hundred requests at a time.

        Raises UserError for a request longer than the backend takes (it would cut it) and where the backend fails.
        """
        longest: int | None = getattr(self._model, "max_length", None)
        longest = longest and longest - self._generates
        if self._longest is not None and (longest is None or self._longest < longest):
            longest = self._longest
        for start in range(0, len(requests), _CHUNK):
            chunk = requests[start : start + _CHUNK]
            if longest is not None and any(len(request.token_ids) > longest for request in chunk):
                who = f"The server at {self._url}" if longest == self._longest else f"lm-eval's model {self._name!r}"
                more = "" if longest == self._longest else ", or max_length=... among its arguments"
                raise UserError(f"{who} takes at most {longest} tokens; pass --max-length {longest}{more}.")
            yield list(range(start, start + len(chunk))), self._sums(chunk)

    def _sums(self, requests: Sequence[ScoringRequest]) -> NDArray[np.float64]:
        from .inference import full_float32  # which imports torch

        spans = [(index, span) for index, request in enumerate(requests) for span in _spans(request)]
        try:
            with _no_bars(), full_float32():
                answers: list[tuple[float, bool]] = self._model._loglikelihood_tokens(
                    [(("", ""), *span) for _, span in spans], disable_tqdm=True
                )
        except Exception as error:
            if self._url:
                raise UserError(
                    f"The server at {self._url} failed ({_said(error)}); see to it and run the same command again, "
                    "which keeps every score so far."
                ) from error
            raise UserError(f"lm-eval's model {self._name!r} failed: {_first(error)}") from error
        if len(answers) != len(spans):
            raise UserError(f"lm-eval's model {self._name!r} answered {len(answers)} of {len(spans)} requests.")
        sums = np.zeros(len(requests))
        np.add.at(sums, [index for index, _ in spans], [log_probability for log_probability, _ in answers])
        return sums


def lm_eval_kind(spec: str) -> str:
    """The scorer's kind: the spec with its arguments in order, without tokenizer and secrets."""
    name, _, arguments = spec.partition(",")
    kept = [part for part in arguments.split(",") if part and part.partition("=")[0] not in _NOT_IDENTITY]
    if name in _TRANSFORMERS and not any(part.startswith("softmax_dtype=") for part in kept):
        kept.append(f"softmax_dtype={_SOFTMAX_DTYPE}")
    return ",".join([f"lm-eval:{name}", *sorted(kept)])


def _spans(request: ScoringRequest) -> Iterator[tuple[list[int], list[int]]]:
    """(tokens before, tokens scored) of each run of scored tokens: the log-probability is the sum over the runs."""
    start: int | None = None
    for place, position in enumerate(request.scored):
        start = position if start is None else start
        if place + 1 == len(request.scored) or request.scored[place + 1] != position + 1:
            yield list(request.token_ids[:start]), list(request.token_ids[start : position + 1])
            start = None


def _said(error: Exception) -> str:
    """What a server said that refused a request, or why there was no answer."""
    text: str = getattr(getattr(error, "response", None), "text", "") or ""
    return f"{_first(error)}: {' '.join(text.split())[:300]}" if text else _first(error)


class _Nowhere(io.TextIOBase):
    """Takes what is written and shows it to nobody."""

    def write(self, text: str, /) -> int:
        return len(text)


@contextmanager
def _no_bars() -> Generator[None]:
    """No progress bars of lm-eval's: its servers' clients draw them whatever they are told, and the run has its own.

    They run on unseen: vLLM divides by the time that its bar has measured, which is zero for one that is disabled.
    """
    tqdm: Any = importlib.import_module("tqdm.std").tqdm
    start = tqdm.__init__
    tqdm.__init__ = partialmethod(start, file=_Nowhere())
    try:
        yield
    finally:
        tqdm.__init__ = start


def _model_class(name: str) -> Any:
    """lm-eval's class of that name."""
    _lm_eval("models")
    try:
        return _lm_eval("api.registry").get_model(name)
    except Exception as error:
        raise UserError(f"lm-eval has no model {name!r} that can be loaded here: {_first(error)}") from error


def _lm_eval(module: str) -> Any:
    """A module of lm-eval, which takes seconds to import and carries no types."""
    return importlib.import_module(f"lm_eval.{module}")


def _constructor_arguments(model_class: type) -> set[str]:
    """Names that a class and those it builds on take as arguments."""
    return {
        parameter
        for base in model_class.__mro__
        if "__init__" in vars(base)
        for parameter in inspect.signature(base.__init__).parameters
    }


def _first(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
