"""Sampling responses to prompts from a checkpoint: the steps in order, and the Python API."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..model_registry.checkpoint_files import find_checkpoint
from ..model_registry.registry import load_registry
from ..tasks.item import Turn
from ..tasks.minilab.world import training_prompts
from .executors import check_executor
from .generation.prompts import SamplingPrompt, prompts_hash, read_prompts
from .generation.response_files import SUFFIXES, ResponseParts
from .generation.settings import Sampling
from .options import Options
from .rendering.groups import open_group
from .scoring.load_options import check_device

if TYPE_CHECKING:
    from ..model_registry.schema import Checkpoint
    from .rendering.groups import Group, Member
    from .scoring.load_options import LoadOptions

MINILAB_PROMPTS = "minilab:train"
MINILAB_LIMIT = 500
_MINILAB_MOST = 50_000


@dataclass(frozen=True, slots=True)
class SampleResult:
    """What a sampling run left behind."""

    out: Path
    record: dict[str, Any]
    """The sampling record, as it stands in OUT's .run.json; what this process did where others are still sampling."""
    complete: bool
    """Whether `out` is written: of several shards the last one writes it."""


def sample_responses(
    prompts: str,
    *,
    model: str,
    out: Path,
    sampling: Sampling | None = None,
    shard: tuple[int, int] = (1, 1),
    limit: int | None = None,
    registry: Sequence[Path] = (),
    options: Options | None = None,
) -> SampleResult:
    """Sample responses to every prompt, and write one row a prompt to `out` (.jsonl or .parquet).

    A row holds id, prompt (turns), responses [{text, finish_reason, tokens}], subset and problem. Each response is a
    function of seed, prompt id and index. Prompts are read in blocks that depend on the whole list alone, so that
    interruptions and shards give the same bytes; another `batch` or another order of prompts changes logits by
    rounding, and in float32 next to no text. Killed and called again, it goes on where it was.

    Args:
        prompts: a file or hub dataset (`read_prompts`), or "minilab:train" for prompts of the minilab's world.
        shard: (i, n): only the i-th of n parts of the blocks.

    Raises UserError for everything that the caller can mend.
    """
    sampling, options = sampling or Sampling(), options or Options()
    _check(out, options)
    known = load_registry(registry)
    checkpoint = find_checkpoint(model, known)
    asked, notes = _read(prompts, limit)
    if out.exists():
        _finished_record(out, {"prompts": prompts_hash(asked), **asdict(sampling)})
    group = open_group([checkpoint], [], known.common_family([checkpoint]), known, options)
    # All that a user can mend in names and files is said before torch is imported.
    from .executors import sampling_executor
    from .generation.blocks import SamplingJob, blocks_of, context_of, encode, end_of_turn, sample_blocks

    member = group.members[0]
    with sampling_executor(options) as executor:
        load = executor.load
        context, shortened = context_of(member, load)
        encoded, too_long = encode(asked, member.renderer, sampling.max_new_tokens, context)
        settings = _settings(asked, member, load, sampling, context)
        if out.exists():
            return SampleResult(out, _finished_record(out, settings), complete=True)
        started = time.monotonic()
        parts = ResponseParts(out, settings)
        blocks = blocks_of(asked, encoded, max(1, sampling.batch // sampling.n))
        job = SamplingJob(member.local, load, sampling, end_of_turn(member.renderer))
        sampled = sample_blocks(job, blocks, parts, shard, options.quiet, executor.sampled)
    asked_of = {"source": prompts, "asked": len(asked), "too_long": too_long}
    record = _record(checkpoint, group, asked_of, settings, [*notes, *shortened]) | {
        "sampled_now": sampled,
        "executor": executor.place(),
        "seconds": round(time.monotonic() - started, 1),
    }
    return _gathered(parts, sorted(encoded), out, record)


def _check(out: Path, options: Options) -> None:
    """Raise UserError for what can be refused before anything is read."""
    if out.suffix not in SUFFIXES:
        raise UserError(f"{out} must end in {' or '.join(SUFFIXES)}: pass another --out.")
    check_device(options.device)
    check_executor(options)
    if options.quantise is not None or options.tensor_parallel > 1:
        raise UserError("Responses are sampled from whole models as they are: leave quantise and tensor_parallel out.")


def _gathered(parts: ResponseParts, rows: Sequence[int], out: Path, record: dict[str, Any]) -> SampleResult:
    """Write `out` and the record beside it, if no row is missing; another shard that saw every row may have done so."""
    with parts.alone():
        if out.exists():
            return SampleResult(out, _finished_record(out, record["settings"]), complete=True)
        complete = set(rows) <= set(parts.places())
        if complete:
            record["finish_reasons"] = dict(parts.finish_reasons(rows))
            parts.merge(rows, _record_path(out), json.dumps(record, indent=1) + "\n")
    return SampleResult(out, record, complete)


def _record(
    checkpoint: "Checkpoint",
    group: "Group",
    prompts: Mapping[str, object],
    settings: Mapping[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    """What was asked of whom."""
    return {
        "kind": "sample",
        "model": {"name": checkpoint.name, "model": checkpoint.model, "revision": checkpoint.revision},
        "template_source": group.template_source,
        "prompts": dict(prompts),
        "settings": dict(settings),
        "notes": [*notes, *group.notes],
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }


def _settings(
    asked: Sequence[SamplingPrompt], member: "Member", load: "LoadOptions", sampling: Sampling, context: int | None
) -> dict[str, Any]:
    """All that decides on the texts."""
    return {
        "prompts": prompts_hash(asked),
        "model": member.local.weights,
        "template": hashlib.sha256(member.renderer.template.encode()).hexdigest(),
        "max_length": context,
        "device": load.device.partition(":")[0],
        "dtype": load.dtype,
        **asdict(sampling),
    }


def _read(prompts: str, limit: int | None) -> tuple[tuple[SamplingPrompt, ...], list[str]]:
    if prompts != MINILAB_PROMPTS:
        return read_prompts(prompts, limit)
    count = limit or MINILAB_LIMIT
    if count > _MINILAB_MOST:
        raise UserError(f"{MINILAB_PROMPTS} gives at most {_MINILAB_MOST:,} distinct prompts: lower --limit.")
    drawn = enumerate(training_prompts(count))
    return tuple(
        SamplingPrompt(f"train-{number}", (Turn(role="user", content=prompt.text),), prompt.subset)
        for number, prompt in drawn
    ), []


def _record_path(out: Path) -> Path:
    return out.with_suffix(".run.json")


def _finished_record(out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a file that is complete; UserError where one of the settings was another."""
    try:
        known: dict[str, Any] = json.loads(_record_path(out).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    made_with = known.get("settings", {})
    if {key: made_with.get(key) for key in settings} != settings:
        raise UserError(f"{out} holds something else already: pass another --out, or remove it.")
    return known
