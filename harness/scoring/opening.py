"""From the name of a scorer to something that opens one for a checkpoint."""

from collections.abc import Callable

from transformers import PreTrainedModel

from ...errors import UserError
from ...model_registry.checkpoint_files import LocalCheckpoint
from .lm_eval import LmEvalScorer, lm_eval_kind
from .loading import LoadOptions, fit_threads, load_model
from .protocol import Scorer
from .reference import ReferenceScorer
from .shared_prefix import SharedPrefixScorer


def scorer_opener(
    spec: str, load: LoadOptions, batch_tokens: int | None, max_length: int | None
) -> tuple[str, Callable[[LocalCheckpoint], Scorer]]:
    """The scorer's kind, and a function that loads a checkpoint into it.

    Raises UserError for a scorer that does not exist.
    """
    if spec == ReferenceScorer.kind:
        return spec, lambda local: ReferenceScorer(_load(local, load))
    if spec == SharedPrefixScorer.kind:
        return spec, lambda local: SharedPrefixScorer(_load(local, load), batch_tokens)
    name, _, backend = spec.partition(":")
    if name == "lm-eval" and backend:
        _check_each_checkpoint_is_asked(backend)
        return lm_eval_kind(backend), lambda local: LmEvalScorer(
            backend.replace("{name}", local.name).replace("{model}", local.checkpoint.model),
            str(local.path),
            load.dtype,
            load.device,
            max_length or local.max_length or 2048,
            local.max_length,
        )
    raise UserError(f"There is no scorer {spec!r}; use shared-prefix, reference or lm-eval:<model>,<args>.")


def _check_each_checkpoint_is_asked(backend: str) -> None:
    """A backend that names one model for all checkpoints would give each of them that model's scores."""
    names = {argument.partition("=")[0] for argument in backend.split(",")[1:]}
    if names & {"pretrained", "base_url"} and not ("{name}" in backend or "{model}" in backend):
        raise UserError(
            f"The scorer lm-eval:{backend} would ask one model for every checkpoint; leave pretrained= out, "
            "or write {name} or {model} where the checkpoint's registry name or hub id belongs."
        )


def _load(local: LocalCheckpoint, load: LoadOptions) -> PreTrainedModel:
    model = load_model(local.path, load)
    fit_threads(model)
    return model
