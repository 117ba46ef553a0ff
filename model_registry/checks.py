"""What is wrong with a registry as a whole: names that lead nowhere, families that cannot be rendered."""

from pathlib import Path

from .registry import Registry


def check(registry: Registry) -> list[str]:
    """One sentence for each problem; an empty list where there is none."""
    return [
        *_family_problems(registry),
        *_training_problems(registry),
        *_quantised_problems(registry),
        *_model_problems(registry),
        *_source_problems(registry),
    ]


def _family_problems(registry: Registry) -> list[str]:
    problems: list[str] = []
    for family in registry.families.values():
        where = f"Family {family.name!r}"
        if not family.members:
            problems.append(f"{where} has no members.")
        problems += [
            f"{where} has the member {member!r}, which is not a checkpoint of the registry."
            for member in family.members
            if member not in registry.checkpoints
        ]
        if not family.chat_template:
            problems.append(f"{where} has no chat_template, so its members may be rendered differently.")
        if not family.end_of_turn:
            problems.append(f"{where} has no end_of_turn.")
        elif family.chat_template and not any(
            marker in family.chat_template for marker in (family.end_of_turn, "eos_token")
        ):
            problems.append(f"{where} has the end_of_turn {family.end_of_turn!r}, not in its chat_template.")
    return problems


def _training_problems(registry: Registry) -> list[str]:
    problems: list[str] = []
    for checkpoint in registry.checkpoints.values():
        parent = checkpoint.trained_from
        if parent is not None and parent not in registry.checkpoints:
            problems.append(
                f"Checkpoint {checkpoint.name!r} is trained_from {parent!r}, not a checkpoint of the registry."
            )
        elif is_its_own_ancestor(registry, checkpoint.name):
            problems.append(f"Checkpoint {checkpoint.name!r} is, along trained_from, its own ancestor.")
    return problems


def _quantised_problems(registry: Registry) -> list[str]:
    return [
        f"Checkpoint {checkpoint.name!r} is quantised_from {checkpoint.quantised_from!r}, not another checkpoint."
        for checkpoint in registry.checkpoints.values()
        if checkpoint.quantised_from is not None
        and (checkpoint.quantised_from not in registry.checkpoints or checkpoint.quantised_from == checkpoint.name)
    ]


def is_its_own_ancestor(registry: Registry, name: str) -> bool:
    """Whether following trained_from leads back to the checkpoint."""
    seen: set[str] = set()
    ancestor = registry.checkpoints[name].trained_from if name in registry.checkpoints else None
    while ancestor is not None and ancestor in registry.checkpoints and ancestor not in seen:
        seen.add(ancestor)
        ancestor = registry.checkpoints[ancestor].trained_from
    return name in seen


def _model_problems(registry: Registry) -> list[str]:
    problems: list[str] = []
    owner: dict[tuple[str, str | None], str] = {}
    for checkpoint in registry.checkpoints.values():
        if Path(checkpoint.model).is_absolute() and not Path(checkpoint.model).exists():
            problems.append(f"Checkpoint {checkpoint.name!r}: there is no folder {checkpoint.model}.")
        for model in (checkpoint.model, *checkpoint.aliases):
            first = owner.setdefault((model, checkpoint.revision), checkpoint.name)
            if first != checkpoint.name:
                problems.append(f"Checkpoints {first!r} and {checkpoint.name!r} are both called {model!r}.")
    return problems


def _source_problems(registry: Registry) -> list[str]:
    problems = [
        f"score_preference names {key!r}, which is not among the sources."
        for key in registry.score_preference
        if key not in registry.sources
    ]
    for checkpoint in registry.checkpoints.values():
        problems += [
            f"Checkpoint {checkpoint.name!r} has a score from {source!r}, which is not among the sources."
            for source in dict.fromkeys(score.source for score in checkpoint.scores)
            if source not in registry.sources
        ]
    return problems
