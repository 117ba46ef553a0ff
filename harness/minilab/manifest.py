"""What a build leaves beside the weights: manifest.json and the registry's YAML."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import yaml

from .benchmark import Judgement, WinRate
from .recipe import Preference, Recipe
from .tokenizer import CHAT_TEMPLATE, END

MANIFEST: Final = "manifest.json"
REGISTRY: Final = "minilab.yaml"
_PACKAGES: Final = ("torch", "transformers", "trl", "tokenizers", "datasets", "accelerate", "numpy", "safetensors")


def hash_files(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of every file of the named checkpoint folders, by path relative to `folder`."""
    files = sorted(path for name in names for path in (folder / name).iterdir())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_manifest(
    folder: Path,
    seed: int,
    recipe: Recipe,
    training: Mapping[str, Any],
    measured: Mapping[str, Any],
) -> None:
    """Write manifest.json: seed, recipe, versions, training log, measurements and hashes."""
    record = {
        "seed": seed,
        "recipe": asdict(recipe),
        "versions": {"python": platform.python_version()} | {package: version(package) for package in _PACKAGES},
        "training": training,
        "measured": measured,
        "sha256": hash_files(folder, recipe.names),
    }
    (folder / MANIFEST).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def write_registry(
    folder: Path, recipe: Recipe, judgements: Mapping[str, Judgement], parameters: int, prefix: str = "./"
) -> None:
    """Write minilab.yaml, a registry file whose checkpoints lie at `prefix` + name from it."""
    bases: dict[str, str] = {}
    checkpoints: list[dict[str, Any]] = []
    for made in recipe.checkpoints:
        judgement = judgements[made.name]
        bases[made.name] = made.name if made.start is None else bases[made.start]
        record: dict[str, Any] = {"name": made.name, "model": f"{prefix}{made.name}", "label": made.label}
        record |= {"base": bases[made.name], "stage": made.stage}
        record |= {"objective": made.loss} if isinstance(made, Preference) else {}
        record |= {"trained_from": made.start} if made.start else {}
        scores = [_score("minilab_judge", judgement.greedy), _score("minilab_judge_sampled", judgement.sampled)]
        checkpoints.append(record | {"parameters": parameters, "scores": scores})
    prompts = next(iter(judgements.values())).prompts
    data = {
        "sources": {
            "minilab judge": {
                "title": "cdr-eval minilab judge",
                "note": (
                    f"Win rate in per cent against minilab-sft's greedy answers on {prompts} held-out prompts "
                    "by the world's judge, ties half; greedy and sampled generations; 95% bootstrap intervals."
                ),
            }
        },
        "families": [
            {
                "name": "minilab",
                "description": "Small Llamas trained from scratch in a synthetic world with a known judge",
                "members": list(recipe.names),
                "chat_template": CHAT_TEMPLATE,
                "end_of_turn": END,
                "default_task": "minilab",
                "default_benchmark": "minilab_judge",
            }
        ],
        "checkpoints": checkpoints,
    }
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)
    (folder / REGISTRY).write_text(f"# Written by `cdr-eval minilab build`.\n{text}", encoding="utf-8")


def _score(benchmark: str, rate: WinRate) -> dict[str, Any]:
    return {
        "benchmark": benchmark,
        "value": round(rate.value, 2),
        "source": "minilab judge",
        "ci_low": round(rate.ci_low, 2),
        "ci_high": round(rate.ci_high, 2),
    }
