"""A run's log-probabilities as TRL's DPOTrainer takes those of its reference: ref_chosen_logps, ref_rejected_logps."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..model_registry.checkpoint_files import find_checkpoint
from ..model_registry.registry import load_registry
from ..reports.run_format.preferences import chosen_and_rejected
from ..reports.run_format.results import RunResult
from ..tasks.conditioning import Conversation
from ..tasks.item import Turn
from .options import Options


def export_trl(run_dir: Path, out: Path, reference: str | None, registry: Sequence[Path] = ()) -> Path:
    """Write out/train.jsonl: prompt, chosen, rejected, and the reference's log-probability of each response.

    They are the rewards of `likelihood` in the run. Every row is tokenised as TRL does it, with the checkpoint's own
    template (or the family's, where it has none), and has to give the tokens that were scored.

    Raises UserError for a run without them, items that are not pairs, unscored ones, or other tokens.
    """
    result = RunResult.load(run_dir)
    name = _reference(result, reference)
    rows = list(_rows(result, name))
    _check_tokens(result.run, name, rows, registry)
    path = out / "train.jsonl"
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): pass another folder with --out.") from error
    return path


def _reference(result: RunResult, asked: str | None) -> str:
    """The checkpoint whose likelihoods the run has."""
    rewards = result.rewards
    names = sorted({str(name) for name in rewards[rewards["variant"] == "likelihood"]["strong"].unique()})
    if not names:
        raise UserError("The run has no likelihoods: score the reference as --strong with --variants likelihood.")
    if asked is None and len(names) == 1:
        return names[0]
    if asked not in names:
        raise UserError(f"The run has likelihoods of {', '.join(names)}: name one of them with --reference.")
    return asked


def _rows(result: RunResult, name: str) -> Iterator[dict[str, Any]]:
    run = result.run
    if run["mean_per_token"]:
        raise UserError("The run has means per token (--mean), and TRL takes sums: score again without it.")
    changed = {kind: run["counts"][kind].get(name, 0) for kind in ("truncated", "unscored", "non_finite")}
    if any(changed.values()):
        counts = ", ".join(f"{count} {kind}" for kind, count in changed.items() if count)
        raise UserError(f"{name} did not score all items whole ({counts}), so that TRL would see other tokens.")
    rewards = result.rewards
    values = rewards[(rewards["strong"] == name) & (rewards["variant"] == "likelihood")]["reward"].to_numpy(np.float64)
    sides = chosen_and_rejected(result.table("items"), result.table("texts"))
    texts = result.table("texts")["text"].tolist()
    for prompt, (chosen, rejected) in zip(result.table("prompts")["prompt"], sides.T.tolist(), strict=True):
        yield {
            "prompt": json.loads(prompt),
            "chosen": [{"role": "assistant", "content": texts[chosen]}],
            "rejected": [{"role": "assistant", "content": texts[rejected]}],
            "ref_chosen_logps": float(values[chosen]),
            "ref_rejected_logps": float(values[rejected]),
        }


def _check_tokens(run: Mapping[str, Any], name: str, rows: Sequence[dict[str, Any]], files: Sequence[Path]) -> None:
    """Raise UserError where TRL's tokens of some row are not those that were scored."""
    from .rendering.groups import open_group
    from .rendering.tokenizers import load_tokenizer

    registry = load_registry(files)
    model = next(checkpoint["model"] for checkpoint in run["checkpoints"] if checkpoint["name"] == name)
    checkpoint = registry.lookup(name) or find_checkpoint(model, registry)
    group = open_group([checkpoint], [], registry.common_family([checkpoint]), registry, Options())
    if group.template_source not in run["family"]["template"]:
        raise UserError(
            f"The run used another chat template than {group.template_source}, which is that of {name} now."
        )
    renderer = group.members[0].renderer
    tokenizer: Any = load_tokenizer(group.members[0].local.tokenizer, Options())
    tokenizer.chat_template = tokenizer.chat_template or renderer.template
    other = 0
    for row in rows:
        ours = [
            renderer.render([Conversation(_turns(row["prompt"]), row[side][0]["content"])])[0].request for side in SIDES
        ]
        theirs = _tokens(tokenizer, row)
        other += any(r is None or (r.token_ids, r.scored) != t for r, t in zip(ours, theirs, strict=True))
    if other:
        raise UserError(
            f"TRL would see other tokens than were scored in {other} of {len(rows)} rows, most often because the chat "
            f"template of {name} writes something after the end of turn: its DPOTrainer has to compute them itself."
        )


SIDES = ("chosen", "rejected")


def _turns(prompt: Sequence[Mapping[str, str]]) -> tuple[Turn, ...]:
    return tuple(Turn(role=turn["role"], content=turn["content"]) for turn in prompt)


def _tokens(tokenizer: Any, row: Mapping[str, Any]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(token ids, positions of the completion) of both sides, the completion from where prompt and whole diverge."""

    def ids(turns: Sequence[object], **more: bool) -> list[int]:
        return tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True, **more)["input_ids"]

    prompt = ids(row["prompt"], add_generation_prompt=True)
    whole = [ids([*row["prompt"], *row[side]]) for side in SIDES]
    shared = min(
        next((k for k, (a, b) in enumerate(zip(prompt, side, strict=False)) if a != b), min(len(prompt), len(side)))
        for side in whole
    )
    return [((*prompt[:shared], *side[shared:]), tuple(range(shared, len(side)))) for side in whole]
