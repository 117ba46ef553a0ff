"""From what a user names (a registry entry, a hub id, a folder) to a local folder and the identity of its weights."""

import hashlib
import json
import platform
import re
from dataclasses import dataclass
from math import prod
from pathlib import Path

from pydantic import ValidationError

from ..errors import CheckpointError, UserError
from .adapters import CONFIG, Adapter, check_adapter, is_adapter, read_adapter
from .hub_files import download, download_adapter_config
from .quantised import format_of, gguf_file, read_gguf
from .registry import Registry
from .schema import Checkpoint
from .weight_files import broken_file

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "model_max_length")
"""What configs call the positions that a model was built for: GPT-2's and its kin n_positions, MPT's max_seq_len."""
MAX_HEADER = 100_000_000
"""Bytes that the safetensors format allows for a header."""


@dataclass(frozen=True, slots=True)
class LocalCheckpoint:
    """A checkpoint whose files are on this machine."""

    checkpoint: Checkpoint
    path: Path
    weights: str
    """Hash of everything in the folder that changes what the model computes."""
    max_length: int | None
    """Positions that the model was built for, None where its config does not say."""
    adapter: Adapter | None = None
    """What the folder holds instead of a whole model."""
    base: "LocalCheckpoint | None" = None
    """What its adapter stands on."""
    quantised: str | None = None
    """The format of its weights, where that is not plain numbers."""
    gguf: Path | None = None
    """The file of its weights, where that is a GGUF file."""

    @property
    def whole(self) -> "LocalCheckpoint":
        """The checkpoint whose files are a whole model: itself, or the base of its adapter."""
        return self.base or self

    @property
    def tokenizer(self) -> Path:
        """The folder of its tokenizer: an adapter's own, or else its base's."""
        own = any((self.path / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json"))
        return self.path if own else self.whole.path

    @property
    def name(self) -> str:
        """The registry name."""
        return self.checkpoint.name

    @property
    def parameters(self) -> int | None:
        """How many: as the registry has it, or else as the headers of its files say; None where neither does."""
        return self.checkpoint.parameters or (None if self.gguf else _count_parameters(self.whole.path))


def _count_parameters(folder: Path) -> int | None:
    """Numbers in the tensors of a folder's safetensors; None for quantised ones, which pack several into one."""
    try:
        if "quantization_config" in json.loads((folder / "config.json").read_text(encoding="utf-8")):
            return None
        return sum(map(_tensor_sizes, folder.glob("*.safetensors"))) or None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # what is wrong with a file is said where it is loaded


def _tensor_sizes(file: Path) -> int:
    """Elements of a file's tensors, by its header: eight bytes that say how long the JSON after them is."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > MAX_HEADER:
            raise ValueError(f"{file} has no safetensors header")
        header: dict[str, dict[str, list[int]]] = json.loads(stream.read(length))
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def find_checkpoint(named: str, registry: Registry) -> Checkpoint:
    """The checkpoint a user means: a registry name or hub id, a local folder, or else any hub id; or NAME=one of these.

    Raises UserError, with the nearest registry names, where it can be none of these.
    """
    if not named.strip():
        raise UserError("The name of a checkpoint is empty; pass a registry name, a hub id or the path of a folder.")
    known = registry.lookup(named)
    if known is not None:
        return known
    folder = Path(named).expanduser()
    if folder.suffix == ".gguf" and folder.is_file():
        return Checkpoint(name=folder.stem, model=str(folder.resolve()), label=folder.stem)
    if folder.is_dir():
        path = folder.resolve()
        return Checkpoint(
            name=path.name, model=str(path), label=path.name, trained_from=_registered_base(path, registry)
        )
    if _HUB_ID.fullmatch(named):
        name = named.rpartition("/")[2]
        return Checkpoint(name=name, model=named, label=name)
    own_name, separator, place = named.partition("=")
    if separator:
        return _renamed(find_checkpoint(place, registry), own_name)
    if folder.is_absolute() or named.startswith(("./", "../", "~")):
        raise UserError(f"There is no folder {named}; check the path, or pass a registry name or hub id.")
    return registry.find(named)


def _renamed(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """The checkpoint under a name of the user's. Raises UserError for a name that cannot be."""
    try:
        return Checkpoint.model_validate({**dict(checkpoint), "name": name, "label": name})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"{name!r} cannot be the name of a checkpoint: it {reason}.") from None


def _registered_base(folder: Path, registry: Registry) -> str | None:
    """The name of the registry's checkpoint that an adapter's folder stands on; None where there is none."""
    if not is_adapter(folder):
        return None
    base = base_of(read_adapter(folder), None, registry)
    return base.name if base.name in registry.checkpoints else None


def base_of(adapter: Adapter, parent: str | None, registry: Registry) -> Checkpoint:
    """What an adapter stands on: what its config names, in the registry, as a folder or on the hub.

    Where that is a folder that is not on this machine, it is `parent`, what the registry says that the adapter was
    trained from. Raises UserError where it is none of these.
    """
    named = adapter.base
    if named is not None and not _is_lost(named, registry):
        if registry.lookup(named) is None and is_adapter(Path(named).expanduser()):
            raise _stacked(adapter)
        found = find_checkpoint(named, registry)
        if adapter.revision in (None, found.revision):
            return found
        name = f"{found.name}@{adapter.revision}".replace("/", "-")
        return Checkpoint(name=name, model=found.model, revision=adapter.revision, label=name, trained_from=found.name)
    if parent is not None and parent in registry.checkpoints:
        return registry.checkpoints[parent]
    why = f"was trained on {named}, which is not on this machine" if named else "does not say what it was trained on"
    raise UserError(
        f"The adapter in {adapter.folder} {why}; name it in a registry file, with the checkpoint that it stands on as "
        "its trained_from."
    )


def _stacked(adapter: Adapter) -> UserError:
    return UserError(
        f"The adapter in {adapter.folder} stands on another adapter; merge that one into its base, and register the "
        "merged model as this one's trained_from."
    )


def _is_lost(named: str, registry: Registry) -> bool:
    """Whether the name of a base is a path that leads nowhere here."""
    path = Path(named).expanduser()
    is_path = path.is_absolute() or named.startswith(("./", "../")) or not _HUB_ID.fullmatch(named)
    return is_path and not path.exists() and registry.lookup(named) is None


def own_base(checkpoint: Checkpoint, registry: Registry) -> Checkpoint:
    """The checkpoint that an adapter stands on. Raises UserError where `checkpoint` is no adapter."""
    path = Path(checkpoint.model)
    folder = path if path.is_absolute() else download_adapter_config(checkpoint)
    if folder is None or not is_adapter(folder):
        raise UserError(f"{checkpoint.name} is no adapter, so it has no base of its own; pass one with --weak.")
    return base_of(read_adapter(folder), checkpoint.trained_from, registry)


def localise(
    checkpoint: Checkpoint,
    registry: Registry | None = None,
    *,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
    below: Adapter | None = None,
) -> LocalCheckpoint:
    """Find or download the checkpoint's files, and hash its weights; for an adapter also those of its base.

    `registry` is where an adapter's base is looked up; None knows only folders and hub ids. `below` is the adapter that
    the checkpoint is to be the base of.

    Raises UserError where the hub or the folder does not have them.
    """
    path = _folder(checkpoint, allow_pickle, trust_remote_code)
    gguf = gguf_file(path)
    if gguf is not None:
        head = read_gguf(gguf, checkpoint.name)
        weights = hashlib.sha256(json.dumps([["gguf", _digest(gguf)]]).encode()).hexdigest()
        return LocalCheckpoint(checkpoint, gguf.parent, weights, head.max_length, quantised=head.format, gguf=gguf)
    if not path.is_dir():
        raise UserError(f"The folder of {checkpoint.name}, {path}, does not exist; mend its path or pass another.")
    if is_adapter(path):
        adapter = read_adapter(path)
        if below is not None:
            raise _stacked(below)
        base = base_of(adapter, checkpoint.trained_from, registry or Registry({}, {}, {}, ()))
        return _on_base(
            checkpoint, adapter, _localised_base(checkpoint, base, adapter, allow_pickle, trust_remote_code)
        )
    config = path / "config.json"
    if not config.is_file():
        raise UserError(f"{path} holds no config.json; pass a folder that transformers' save_pretrained wrote.")
    try:
        settings: dict[str, object] = dict(json.loads(config.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            checkpoint.name, f"{config} is no JSON object ({error}); restore it from where the checkpoint came."
        ) from error
    max_length = next((found for key in _POSITIONS if isinstance(found := settings.get(key), int)), None)
    quantised = format_of(settings, path)
    identity = _weights_identity(path, allow_pickle, trust_remote_code)
    return LocalCheckpoint(checkpoint, path, identity, max_length, quantised=quantised)


def _folder(checkpoint: Checkpoint, allow_pickle: bool, trust_remote_code: bool) -> Path:
    path = Path(checkpoint.model)
    return path if path.is_absolute() else download(checkpoint, allow_pickle, trust_remote_code)


def localise_again(local: LocalCheckpoint, allow_pickle: bool, trust_remote_code: bool) -> LocalCheckpoint:
    """The same checkpoint in the files of the machine that this runs on, after `local` was found on another.

    Raises UserError where its files are not there, or are others.
    """
    try:
        if local.base is not None:
            base = localise_again(local.base, allow_pickle, trust_remote_code)
            found = _on_base(local.checkpoint, read_adapter(_folder(local.checkpoint, allow_pickle, False)), base)
        else:
            found = localise(local.checkpoint, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)
    except UserError as error:
        raise UserError(f"On the machine {platform.node()}: {error}") from error
    if found.weights != local.weights:
        raise UserError(
            f"The files of {local.name} on the machine {platform.node()} are others than on the machine that asks: "
            "copy the folder there again, or pin a revision of the hub in a registry file."
        )
    return found


def _localised_base(
    checkpoint: Checkpoint, base: Checkpoint, adapter: Adapter, allow_pickle: bool, trust_remote_code: bool
) -> LocalCheckpoint:
    try:
        return localise(base, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code, below=adapter)
    except CheckpointError as error:
        raise CheckpointError(checkpoint.name, str(error)) from error
    except UserError as error:
        raise UserError(f"The base of the adapter in {adapter.folder} is not to be had: {error}") from error


def _on_base(checkpoint: Checkpoint, adapter: Adapter, base: LocalCheckpoint) -> LocalCheckpoint:
    broken = check_adapter(adapter)
    if broken is not None:
        raise CheckpointError(checkpoint.name, broken)
    digests = [(file.name, _digest(file)) for file in (adapter.folder / CONFIG, adapter.weights)]
    weights = hashlib.sha256(json.dumps([base.weights, *digests]).encode()).hexdigest()
    return LocalCheckpoint(
        checkpoint, adapter.folder, weights, base.max_length, adapter, base, quantised=base.quantised
    )


def check_files(local: LocalCheckpoint, *, allow_pickle: bool = False) -> None:
    """Raise CheckpointError where a file of the checkpoint's weights, or of its base's, cannot be read."""
    broken = broken_file(local.whole.path, pickled=allow_pickle) if local.gguf is None else None
    if broken is not None:
        raise CheckpointError(local.name, broken)


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
