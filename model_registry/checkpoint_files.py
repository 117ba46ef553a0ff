"""From what a user names (a registry entry, a hub id, a folder) to a local folder and the identity of its weights."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .registry import Registry
from .schema import Checkpoint

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HUB_FILES = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"]


@dataclass(frozen=True, slots=True)
class LocalCheckpoint:
    """A checkpoint whose files are on this machine."""

    checkpoint: Checkpoint
    path: Path
    weights: str
    """Hash of everything in the folder that changes what the model computes."""
    max_length: int | None
    """Positions that the model was built for, None where its config does not say."""

    @property
    def name(self) -> str:
        """The registry name."""
        return self.checkpoint.name


def find_checkpoint(named: str, registry: Registry) -> Checkpoint:
    """The checkpoint a user means: a registry name or hub id, a local folder, or else any hub id.

    Raises UserError, with the nearest registry names, where it can be none of these.
    """
    known = registry.lookup(named)
    if known is not None:
        return known
    folder = Path(named).expanduser()
    if folder.is_dir():
        path = folder.resolve()
        return Checkpoint(name=path.name, model=str(path), label=path.name)
    if _HUB_ID.fullmatch(named):
        name = named.rpartition("/")[2]
        return Checkpoint(name=name, model=named, label=name)
    if folder.is_absolute() or named.startswith(("./", "../", "~")):
        raise UserError(f"There is no folder {named}; check the path, or pass a registry name or hub id.")
    return registry.find(named)


def localise(checkpoint: Checkpoint, *, allow_pickle: bool = False, trust_remote_code: bool = False) -> LocalCheckpoint:
    """Find or download the checkpoint's files, and hash its weights.

    Raises UserError where the hub or the folder does not have them.
    """
    path = Path(checkpoint.model)
    if not path.is_absolute():
        path = _download(checkpoint, allow_pickle, trust_remote_code)
    if not path.is_dir():
        raise UserError(f"The folder of {checkpoint.name}, {path}, does not exist; mend its path or pass another.")
    if (path / "adapter_config.json").is_file():
        raise UserError(f"{path} holds an adapter; merge it into its base model and pass the folder of the merged one.")
    config = path / "config.json"
    if not config.is_file():
        raise UserError(f"{path} holds no config.json; pass a folder that transformers' save_pretrained wrote.")
    try:
        settings: dict[str, object] = dict(json.loads(config.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{config} is no JSON object ({error}); restore it from where the checkpoint came.") from error
    positions = settings.get("max_position_embeddings")
    max_length = positions if isinstance(positions, int) else None
    return LocalCheckpoint(checkpoint, path, _weights_identity(path, allow_pickle, trust_remote_code), max_length)


def _download(checkpoint: Checkpoint, allow_pickle: bool, trust_remote_code: bool) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    patterns = [*_HUB_FILES, *(["*.bin"] if allow_pickle else []), *(["*.py"] if trust_remote_code else [])]
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
        raise UserError(
            f"{checkpoint.model} is not in the local hub cache and the hub cannot be reached; "
            "connect, or pass the path of a local folder that holds the checkpoint."
        ) from error


def _weights_identity(path: Path, allow_pickle: bool, trust_remote_code: bool) -> str:
    weights = sorted(path.glob("*.safetensors"))
    pickled = sorted(path.glob("*.bin"))
    if not weights and pickled and allow_pickle:
        weights = pickled
    if not weights:
        hint = "it holds only pickled ones, which --allow-pickle would load" if pickled else "save them there"
        raise UserError(f"{path} holds no weights as safetensors; {hint}.")
    code = sorted(path.glob("*.py")) if trust_remote_code else []
    digests = [(file.name, _digest(file)) for file in (path / "config.json", *weights, *code)]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def _digest(file: Path) -> str:
    target = file.resolve()
    if target.parent.name == "blobs" and _SHA256.fullmatch(target.name):
        return target.name  # the hub cache names a large file by its SHA-256
    with target.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
