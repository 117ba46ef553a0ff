"""Which checkpoints are compared: a pair, or every ordered pair of families."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..model_registry.checkpoint_files import find_checkpoint
from ..model_registry.registry import Registry, load_registry
from ..model_registry.schema import Checkpoint, Family


@dataclass(frozen=True, slots=True)
class Comparison:
    """Checkpoints whose ordered pairs are to be scored."""

    checkpoints: tuple[Checkpoint, ...]
    pairs: tuple[tuple[str, str], ...]
    """Names of (strong, weak)."""
    family: Family | None


def pair_of(strong: str, weak: str, registry: Registry) -> list[Comparison]:
    """The comparison of one pair."""
    first, second = find_checkpoint(strong, registry), find_checkpoint(weak, registry)
    checkpoints = _distinct([first, second])
    return [Comparison(checkpoints, ((first.name, second.name),), registry.common_family(checkpoints))]


def grid_of(
    family: str | None, models: Sequence[str], include_self: bool, registry: Registry, files: Sequence[Path]
) -> list[Comparison]:
    """The comparisons of a grid, one for each family.

    Without a family or models: the families of the registry files, or the minilab's where there are none.
    """
    if family is not None and models:
        raise UserError("Pass either --family or --models, not both.")
    if models:
        checkpoints = _distinct([find_checkpoint(name, registry) for name in models])
        families = [(checkpoints, registry.common_family(checkpoints))]
    else:
        names = [family] if family is not None else _default_families(registry, files)
        families = [(registry.members(name), registry.family(name)) for name in names]
    names = [checkpoint.name for checkpoints, _ in families for checkpoint in checkpoints]
    shared = sorted({name for name in names if names.count(name) > 1})
    if shared:
        raise UserError(f"{shared[0]} is in several of the families; run them one at a time with --family.")
    return [Comparison(c, _ordered_pairs(c, include_self), f) for c, f in families]


def _distinct(checkpoints: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
    """Each checkpoint once; UserError where two have the same name."""
    by_name: dict[str, Checkpoint] = {}
    for checkpoint in checkpoints:
        other = by_name.setdefault(checkpoint.name, checkpoint)
        if other != checkpoint:
            raise UserError(
                f"{other.model} and {checkpoint.model} have the same name; "
                "give them names of their own in a registry file."
            )
    return tuple(by_name.values())


def _default_families(registry: Registry, files: Sequence[Path]) -> list[str]:
    """The families that the user's registry files declare, or else the minilab."""
    built_in = load_registry().families
    own = [name for name, family in registry.families.items() if built_in.get(name) != family]
    if files and not own:
        raise UserError(f"{files[0]} declares no family of checkpoints; add one, or pass --models or --family.")
    return own or ["minilab"]


def _ordered_pairs(checkpoints: Sequence[Checkpoint], include_self: bool) -> tuple[tuple[str, str], ...]:
    names = [checkpoint.name for checkpoint in checkpoints]
    return tuple((s, w) for s in names for w in names if include_self or s != w)
