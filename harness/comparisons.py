"""Which checkpoints are compared: a pair, or every ordered pair of families."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..model_registry.checkpoint_files import find_checkpoint, own_base
from ..model_registry.checks import is_its_own_ancestor
from ..model_registry.files import read_registry_file
from ..model_registry.registry import Registry
from ..model_registry.schema import Checkpoint, Family


@dataclass(frozen=True, slots=True)
class Comparison:
    """Checkpoints whose ordered pairs are to be scored."""

    checkpoints: tuple[Checkpoint, ...]
    pairs: tuple[tuple[str, str], ...]
    """Names of (strong, weak)."""
    family: Family | None


def pair_of(strong: str, weak: str | None, registry: Registry) -> list[Comparison]:
    """The comparison of one pair; without a weak checkpoint, of an adapter over its own base. Raises UserError."""
    first = find_checkpoint(strong, registry)
    second = own_base(first, registry) if weak is None else find_checkpoint(weak, registry)
    checkpoints = _distinct([first, second], registry)
    return [
        Comparison(checkpoints, ((checkpoints[0].name, checkpoints[-1].name),), registry.common_family(checkpoints))
    ]


def grid_of(
    family: str | None, models: Sequence[str], include_self: bool, registry: Registry, files: Sequence[Path]
) -> list[Comparison]:
    """The comparisons of a grid, one for each family.

    Without a family or models: the families of the registry files, or the minilab's where there are none. Raises
    UserError where no two checkpoints make a pair.
    """
    if family is not None and models:
        raise UserError("Pass either --family or --models, not both.")
    if models:
        checkpoints = _distinct([find_checkpoint(name, registry) for name in models], registry)
        families = [(checkpoints, registry.common_family(checkpoints))]
    else:
        names = [family] if family is not None else _default_families(files)
        families = [(registry.members(name), registry.family(name)) for name in names]
    names = [checkpoint.name for checkpoints, _ in families for checkpoint in checkpoints]
    circle = next((name for name in names if is_its_own_ancestor(registry, name)), None)
    if circle is not None:
        raise UserError(f"Checkpoint {circle!r} is, along trained_from, its own ancestor; mend the registry file.")
    shared = sorted({name for name in names if names.count(name) > 1})
    if shared:
        raise UserError(f"{shared[0]} is in several of the families; run them one at a time with --family.")
    found = [Comparison(c, _ordered_pairs(c, include_self), f) for c, f in families]
    if not any(comparison.pairs for comparison in found):
        raise UserError("No checkpoint has another to make a pair with: pass two checkpoints or more with --models.")
    return found


def without(comparisons: Sequence[Comparison], checkpoint: str) -> list[Comparison] | None:
    """The comparisons less one checkpoint and its pairs; None where it is in none of them, or no two are left."""
    left: list[Comparison] = []
    for comparison in comparisons:
        others = tuple(c for c in comparison.checkpoints if c.name != checkpoint)
        if len(others) > 1 or len(others) == len(comparison.checkpoints):
            pairs = tuple(pair for pair in comparison.pairs if checkpoint not in pair)
            left.append(Comparison(others, pairs, comparison.family))
    return left if left and left != list(comparisons) else None


def _distinct(checkpoints: Sequence[Checkpoint], registry: Registry) -> tuple[Checkpoint, ...]:
    """Each checkpoint once; folders of one name are told apart by the folders above them.

    Raises UserError where two checkpoints have the same name all the same.
    """
    different = [c for number, c in enumerate(checkpoints) if c not in checkpoints[:number]]
    named = [_told_apart(c, different) if c.name not in registry.checkpoints else c for c in different]
    for number, checkpoint in enumerate(named):
        other = next((c for c in named[:number] if c.name == checkpoint.name), None)
        if other is not None:
            raise UserError(
                f"{other.model} and {checkpoint.model} have the same name; give one of them another, as NAME="
                f"{checkpoint.model}."
            )
    return tuple(named)


def _told_apart(checkpoint: Checkpoint, others: Sequence[Checkpoint]) -> Checkpoint:
    """A checkpoint called by its folder's name, preceded by folders above it where others have that name, too."""
    parts = Path(checkpoint.model).parts
    same = [c for c in others if c.name == checkpoint.name and c != checkpoint]
    if not same or not all(Path(c.model).is_absolute() and c.name == Path(c.model).name for c in (checkpoint, *same)):
        return checkpoint
    depth = next(d for d in range(1, len(parts) + 1) if all(Path(c.model).parts[-d:] != parts[-d:] for c in same))
    name = "-".join(part for part in parts[-depth:] if part != "/")
    return checkpoint.model_copy(update={"name": name, "label": name})


def _default_families(files: Sequence[Path]) -> list[str]:
    """The families that the user's registry files declare, of known names too, or else the minilab."""
    declared = (str(family["name"]) for file in files for family in read_registry_file(file).families)
    own = list(dict.fromkeys(declared))
    if files and not own:
        raise UserError(f"{files[0]} declares no family of checkpoints; add one, or pass --models or --family.")
    return own or ["minilab"]


def _ordered_pairs(checkpoints: Sequence[Checkpoint], include_self: bool) -> tuple[tuple[str, str], ...]:
    names = [checkpoint.name for checkpoint in checkpoints]
    return tuple((s, w) for s in names for w in names if include_self or s != w)
