"""Training the whole family from scratch, in order, and measuring it."""

import random
import time
import warnings
import zlib
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.progress import Progress
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from ...errors import UserError
from ...tasks.criteria import Criteria, load_criteria
from ...tasks.minilab.world import CRITERIA
from ..tuning.losses import require_training
from .baselines import measure_baselines
from .benchmark import Judgement, baseline_outcomes, benchmark_prompts, judge, load
from .documents import Document, base_document, sft_document
from .manifest import write_manifest, write_registry
from .next_token import Stage, new_model, train_next_token
from .objectives import train_preference
from .preferences import sample_pairs
from .progress import ProgressBar
from .recipe import SHIPPED, Objective, Recipe
from .threads import one_thread
from .tokenizer import build_tokenizer

BASE: Final = "minilab-base"
SFT: Final = "minilab-sft"
_VOCABULARY_DOCUMENTS: Final = 20_000


class _Build:
    """One build: where it writes, and what the stages share."""

    def __init__(self, out: Path, seed: int, recipe: Recipe, scratch: Path, progress: Progress) -> None:
        self.out, self.seed, self.recipe, self.scratch, self.progress = out, seed, recipe, scratch, progress
        self.criteria: Criteria = load_criteria(CRITERIA)
        self.training: dict[str, Any] = {}
        self._pairs: dict[str, list[dict[str, str]]] = {}

    def stage_seed(self, name: str) -> int:
        """A seed of its own for each stage."""
        return zlib.crc32(f"{self.seed} {name}".encode()) % 2**31

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer, from a sample of all training text and the words of the criteria."""
        rng = random.Random(0)
        draws = (base_document, sft_document)
        drawn = [draw(self.criteria, self.recipe.subsets, rng) for draw in draws for _ in range(_VOCABULARY_DOCUMENTS)]
        texts = [text for document in drawn for text in (document.user, document.answer) if text]
        wording = (self.criteria.judge.layout, *self.criteria.judge.labels)
        return build_tokenizer([*texts, *wording])

    def next_token(
        self,
        name: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        draw: Callable[[Criteria, Collection[str], random.Random], Document],
        stage: Stage,
    ) -> None:
        """Train base or SFT, and save it."""
        started, seed = time.monotonic(), self.stage_seed(name)
        log = train_next_token(
            model,
            tokenizer,
            lambda rng: draw(self.criteria, self.recipe.subsets, rng),
            stage,
            self.recipe.block,
            seed,
            self.scratch,
            ProgressBar(self.progress, name),
        )
        self._finish(name, model, tokenizer, started, {"log": log})

    def preference(self, objective: Objective) -> None:
        """Sample pairs from where the objective starts, train on them, and save the result."""
        started, seed = time.monotonic(), self.stage_seed(objective.name)
        model, tokenizer = load(self.out / objective.start)
        reference, _ = load(self.out / objective.start)
        if objective.start not in self._pairs:
            recipe, pair_seed = self.recipe, self.stage_seed(f"pairs of {objective.start}")
            self._pairs[objective.start] = sample_pairs(
                reference, tokenizer, recipe.preference_prompts, recipe.samples_per_prompt, recipe.subsets, pair_seed
            )
        pairs = self._pairs[objective.start]
        bar, batch = ProgressBar(self.progress, objective.name), self.recipe.preference_batch
        log = train_preference(model, reference, tokenizer, pairs, objective, batch, seed, self.scratch, bar)
        self._finish(objective.name, model, tokenizer, started, {"pairs": len(pairs), "log": log})

    def measure(self, names: list[str]) -> dict[str, Judgement]:
        """Judge every checkpoint as it was saved."""
        prompts = benchmark_prompts(self.recipe.benchmark_prompts, self.recipe.subsets)
        baseline = baseline_outcomes(self.out / SFT, prompts)
        tracked = self.progress.track(names, description="judge")
        return {name: judge(self.out / name, baseline, prompts) for name in tracked}

    def _finish(
        self,
        name: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        started: float,
        record: dict[str, Any],
    ) -> None:
        save(model, tokenizer, self.out / name)
        self.training[name] = {"seconds": round(time.monotonic() - started, 1)} | record


def build(out: Path, seed: int = 0, recipe: Recipe = SHIPPED) -> dict[str, Judgement]:
    """Train the family into `out`: a folder a checkpoint, manifest.json, and minilab.yaml for `--registry`.

    Raises UserError where TRL is missing or `out` is not empty.
    """
    require_training()
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty: pass a new folder with --out.")
    out.mkdir(parents=True, exist_ok=True)
    disable_progress_bar()  # the library's own bars; the build shows one a stage
    with one_thread(), Progress() as progress, TemporaryDirectory() as scratch, warnings.catch_warnings():
        # TRL's settings carry a name that transformers is about to drop.
        warnings.simplefilter("ignore", FutureWarning)
        return _train_and_measure(_Build(out, seed, recipe, Path(scratch), progress))


def _train_and_measure(run: _Build) -> dict[str, Judgement]:
    recipe = run.recipe
    tokenizer = run.tokenizer()
    model = new_model(recipe, tokenizer, run.stage_seed("weights"))
    base = Stage(recipe.base_steps, recipe.rows, recipe.base_learning_rate, answers_only=False)
    run.next_token(BASE, model, tokenizer, base_document, base)
    sft = Stage(recipe.sft_steps, recipe.rows, recipe.sft_learning_rate, answers_only=True)
    run.next_token(SFT, *load(run.out / BASE), sft_document, sft)
    for objective in recipe.objectives:
        run.preference(objective)
    names = [BASE, SFT, *(objective.name for objective in recipe.objectives)]
    judgements = run.measure(names)
    measured = {
        "minilab_judge": {name: asdict(judgement) for name, judgement in judgements.items()},
        "baselines on the test items": measure_baselines(),
    }
    write_manifest(run.out, run.seed, recipe, names, run.training, measured)
    write_registry(run.out, recipe, judgements, parameters=model.num_parameters())
    return judgements


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save a checkpoint folder, the chat template inside tokenizer_config.json; the model becomes half precision."""
    hf_model: Any = model
    hf_tokenizer: Any = tokenizer
    hf_model.half().save_pretrained(folder)
    hf_tokenizer.save_pretrained(folder, save_jinja_files=False)
    (folder / "model.safetensors").chmod(0o644)  # written readable by its owner alone
