"""From the name of a scorer to something that opens one for a checkpoint."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ...errors import UserError
from ...model_registry.checkpoint_files import LocalCheckpoint
from .lm_eval import LmEvalScorer, lm_eval_kind
from .load_options import LoadOptions, check_quantise
from .open_models import OpenModels
from .protocol import Scorer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

REFERENCE, SHARED_PREFIX = "reference", "shared-prefix"


def scorer_opener(
    spec: str,
    load: LoadOptions,
    batch_tokens: int | None,
    max_length: int | None,
    models: OpenModels | None = None,
    urls: Mapping[str, str] | None = None,
) -> tuple[str, Callable[[LocalCheckpoint], Scorer]]:
    """The scorer's kind, and a function that loads a checkpoint into it; torch is imported when that is called.

    `models` holds the model between checkpoints: only the scorer that was opened last may then be used. None loads
    each checkpoint for itself. `urls` are the servers of checkpoints, by their names.

    Raises UserError for a scorer that does not exist.
    """

    def model(local: LocalCheckpoint) -> "PreTrainedModel":
        return (models or OpenModels()).open(local, load)

    kind = scorer_kind(spec, served=bool(urls), quantise=load.quantise)
    if kind == REFERENCE:
        return kind, lambda local: _reference(model(local))
    if kind == SHARED_PREFIX:
        return kind, lambda local: _shared_prefix(model(local), batch_tokens)
    backend = spec.partition(":")[2]
    return kind, lambda local: LmEvalScorer(
        backend.replace("{name}", local.name).replace("{model}", local.checkpoint.model),
        str(local.path),
        load.dtype,
        load.device,
        max_length or local.max_length or 2048,
        local.max_length,
        _own_arguments(backend, local, urls or {}),
        (str(local.path), local.name, local.checkpoint.model),
    )


def scorer_kind(spec: str, *, served: bool = False, quantise: str | None = None) -> str:
    """The part of a scorer's name and arguments that decides on its scores.

    `served` says whether checkpoints have servers of their own. Raises UserError for a scorer that does not exist, or
    does not do what is asked besides.
    """
    name, _, backend = spec.partition(":")
    if served and name != "lm-eval":
        raise UserError("--url names servers, which the scorer lm-eval:local-completions asks; pass it as --scorer.")
    if spec in {REFERENCE, SHARED_PREFIX}:
        check_quantise(quantise)
        return spec
    if name == "lm-eval" and backend:
        if quantise is not None:
            raise UserError("--quantise is for the scorers shared-prefix and reference; tell lm-eval's model itself.")
        if not served:
            _check_each_checkpoint_is_asked(backend)
        return lm_eval_kind(backend)
    raise UserError(f"There is no scorer {spec!r}; use shared-prefix, reference or lm-eval:<model>,<args>.")


def _own_arguments(backend: str, local: LocalCheckpoint, urls: Mapping[str, str]) -> dict[str, str]:
    """What lm-eval's model is told of one checkpoint alone: its server, or an adapter beside its base."""
    if local.name in urls:
        return {"base_url": urls[local.name], "tokenizer": str(local.tokenizer)}
    name, _, arguments = backend.partition(",")
    if "base_url=" in arguments:
        return {"tokenizer": str(local.tokenizer)}
    if local.adapter is not None and name == "hf":
        return {"pretrained": str(local.whole.path), "peft": str(local.path), "tokenizer": str(local.tokenizer)}
    if local.adapter is not None or local.gguf is not None:
        what = "an adapter" if local.adapter is not None else "a GGUF file"
        raise UserError(
            f"{local.name} is {what}, which lm-eval's model {name!r} is not given here; serve it and pass --url "
            f"{local.name}=http://HOST:PORT, or use the scorer shared-prefix."
        )
    return {}


def _check_each_checkpoint_is_asked(backend: str) -> None:
    """A backend that names one model for all checkpoints would give each of them that model's scores."""
    names = {argument.partition("=")[0] for argument in backend.split(",")[1:]}
    if names & {"pretrained", "base_url"} and not ("{name}" in backend or "{model}" in backend):
        raise UserError(
            f"The scorer lm-eval:{backend} would ask one model for every checkpoint; leave pretrained= out, "
            "or write {name} or {model} where the checkpoint's registry name or hub id belongs."
        )


def _reference(model: "PreTrainedModel") -> Scorer:
    from .reference import ReferenceScorer

    return ReferenceScorer(model)


def _shared_prefix(model: "PreTrainedModel", batch_tokens: int | None) -> Scorer:
    from .shared_prefix import SharedPrefixScorer

    return SharedPrefixScorer(model, batch_tokens)
