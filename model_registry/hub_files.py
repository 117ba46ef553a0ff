"""Checkpoints of the hub: their files, downloaded once to the hub's own cache."""

from pathlib import Path
from typing import Any

from ..errors import UserError
from .adapters import CONFIG
from .schema import Checkpoint

_FILES = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "README.md"]


def download(checkpoint: Checkpoint, allow_pickle: bool, trust_remote_code: bool) -> Path:
    """The folder of a hub checkpoint in the hub's cache. Raises UserError where the hub does not have it."""
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    patterns = [*_FILES, *(["*.bin"] if allow_pickle else []), *(["*.py"] if trust_remote_code else [])]
    hub: Any = huggingface_hub
    try:
        return Path(hub.snapshot_download(checkpoint.model, revision=checkpoint.revision, allow_patterns=patterns))
    except GatedRepoError as error:
        raise UserError(
            f"{checkpoint.model} is gated; accept its terms on huggingface.co and log in with `hf auth login`."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise UserError(
            f"The hub has no {checkpoint.model} at revision {checkpoint.revision or 'main'}; "
            "check the spelling, or pass the path of a local folder."
        ) from error
    except (OSError, ValueError) as error:
        offline: bool = hub.constants.HF_HUB_OFFLINE
        why = "the network is not to be tried (--offline)" if offline else "the hub cannot be reached"
        raise UserError(
            f"{checkpoint.model} is not in the local hub cache and {why}; "
            f"{'' if offline else 'connect, or '}pass the path of a local folder that holds the checkpoint."
        ) from error


def download_adapter_config(checkpoint: Checkpoint) -> Path | None:
    """A folder with the adapter config of a hub repository; None where it has none, or none that can be had."""
    import huggingface_hub

    hub: Any = huggingface_hub
    try:
        return Path(hub.hf_hub_download(checkpoint.model, CONFIG, revision=checkpoint.revision)).parent
    except (OSError, ValueError):
        return None
