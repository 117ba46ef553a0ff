"""Adapters: folders of small weights that stand on top of another checkpoint, as peft writes them."""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import UserError
from .weight_files import defect

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

_KINDS = ("LORA", "IA3", "LOHA", "LOKR")
"""Kinds that are layers beside the base's own: switched off, they leave exactly the base."""
_PROMPTS = ("PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "CPT", "ADAPTION_PROMPT")
_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
"""Ways to initialise LoRA (`init_lora_weights`) that leave the base's weights as they are."""
_REFUSED = {
    "modules_to_save": "holds whole modules besides (modules_to_save)",
    "trainable_token_indices": "changes the embedding (trainable_token_indices)",
    "layer_replication": "repeats layers of its base (layer_replication)",
    "alora_invocation_tokens": "is switched on by tokens of the text (alora_invocation_tokens)",
    "arrow_config": "mixes other adapters (arrow_config)",
}
"""Settings that make it more than an adapter that can be switched off, as clauses."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """What an adapter's folder says."""

    folder: Path
    kind: str
    """peft's name of it, such as "LORA"."""
    rank: int | None
    base: str | None
    """What it was trained on: a hub id or a path, on the machine where that was."""
    revision: str | None
    settings_in_force: tuple[str, ...]
    """Names of the settings that are not empty or off."""

    @property
    def weights(self) -> Path:
        """The file of its weights."""
        return self.folder / WEIGHTS

    def __str__(self) -> str:
        name = {"LORA": "LoRA"}.get(self.kind, self.kind)
        return f"{name} of rank {self.rank}" if self.rank else name


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter. Raises UserError for one that holds a whole model, too."""
    if not (folder / CONFIG).is_file():
        return False
    if (folder / "config.json").is_file() and any(file.name != WEIGHTS for file in folder.glob("*.safetensors")):
        raise UserError(f"{folder} holds a whole model and an adapter; move the adapter to a folder of its own.")
    return True


def read_adapter(folder: Path) -> Adapter:
    """What an adapter's folder says. Raises UserError for an adapter that cannot be scored as one."""
    config = folder / CONFIG
    try:
        settings: dict[str, Any] = dict(json.loads(config.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{config} is no JSON object ({error}); restore it from where the adapter came.") from error
    kind = str(settings.get("peft_type"))
    problem = _problem(kind, settings)
    if problem:
        raise UserError(
            f"The adapter in {folder} {problem}, so that its base cannot be had by switching it off; "
            "merge it into its base and pass the folder of the merged model."
        )
    rank, base, revision = (settings.get(key) for key in ("r", "base_model_name_or_path", "revision"))
    return Adapter(
        folder,
        kind,
        rank if isinstance(rank, int) else None,
        str(base) if base else None,
        str(revision) if revision else None,
        tuple(key for key, value in settings.items() if value),
    )


def _problem(kind: str, settings: dict[str, Any]) -> str | None:
    """Why an adapter cannot be scored as one, as a clause."""
    if kind in _PROMPTS:
        return f"is learned prompts ({kind})"
    if kind not in _KINDS:
        return f"is of the kind {kind} (of peft's, {', '.join(_KINDS)} can be scored)"
    if settings.get("bias", "none") != "none":
        return f"changes biases of its base (bias: {settings['bias']})"
    start = settings.get("init_lora_weights")
    if start not in _STARTS:
        return f"changes weights of its base (init_lora_weights: {start})"
    if settings.get("task_type") not in (None, "CAUSAL_LM"):
        return f"is not one of a causal language model (task_type: {settings['task_type']})"
    return next((clause for key, clause in _REFUSED.items() if settings.get(key)), None)


def check_adapter(adapter: Adapter) -> str | None:
    """A sentence about the file of its weights where that is broken.

    Raises UserError where the weights are not there or more than an adapter's, or peft is not.
    """
    if not adapter.weights.is_file():
        pickled = (adapter.folder / "adapter_model.bin").is_file()
        found = "holds its weights only pickled, and pickle can run code" if pickled else f"holds no {WEIGHTS}"
        raise UserError(f"The adapter in {adapter.folder} {found}; save it with peft's save_pretrained.")
    broken = defect(adapter.weights)
    if broken:
        return f"{adapter.weights} {broken}"
    from safetensors import safe_open

    opening: Any = safe_open  # a class in Rust, without types
    with opening(adapter.weights, framework="np") as file:
        names: list[str] = list(file.keys())
    extended = next((name for name in names if name.endswith(("embed_tokens.weight", "lm_head.weight"))), None)
    if extended is not None:
        raise UserError(
            f"The adapter in {adapter.folder} holds an embedding of its own ({extended}); merge it into its base and "
            "pass the folder of the merged model."
        )
    if find_spec("peft") is None:
        raise UserError(f"{adapter.folder} holds an adapter, which needs peft: pip install 'cdr-eval[adapters]'.")
    return None
