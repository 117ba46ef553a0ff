"""Training the whole family from scratch, in order, and measuring it."""

import json
import random
import time
import warnings
import zlib
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
from ..progress import progress_bar
from ..tuning.losses import require_training
from .baselines import measure_baselines
from .benchmark import Judgement, baseline_outcomes, benchmark_prompts, judge, load
from .documents import base_document, sft_document
from .manifest import write_manifest, write_registry
from .next_token import new_model, train_next_token
from .objectives import train_preference
from .preferences import sample_pairs
from .progress import ProgressBar
from .recipe import SHIPPED, NextToken, Preference, Recipe
from .threads import one_thread
from .tokenizer import build_tokenizer

_Trained = tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, Any]]
SFT: Final = "minilab-sft"
"""The checkpoint whose greedy answers the judge compares the others' with."""
_VOCABULARY_DOCUMENTS: Final = 20_000
_UNFINISHED: Final = "unfinished.json"


class _Build:
    """One build: where it writes, and what the stages share."""

    def __init__(self, out: Path, seed: int, recipe: Recipe, scratch: Path, progress: Progress) -> None:
        self.out, self.seed, self.recipe, self.scratch, self.progress = out, seed, recipe, scratch, progress
        self.criteria: Criteria = load_criteria(CRITERIA)
        self.training: dict[str, Any] = _trained_before(out, seed, recipe)
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

    def train(self, checkpoint: NextToken | Preference) -> None:
        """Train one checkpoint and save it, unless an earlier build left it here."""
        if checkpoint.name in self.training:
            return
        started = time.monotonic()
        trained = self._next_token(checkpoint) if isinstance(checkpoint, NextToken) else self._preference(checkpoint)
        model, tokenizer, record = trained
        save(model, tokenizer, self.out / checkpoint.name)
        self.training[checkpoint.name] = {"seconds": round(time.monotonic() - started, 1)} | record
        left = _settings(self.seed, self.recipe) | {"training": self.training}
        (self.out / _UNFINISHED).write_text(json.dumps(left), encoding="utf-8")

    def _next_token(self, stage: NextToken) -> _Trained:
        if stage.start is None:
            tokenizer = self.tokenizer()
            model, draw = new_model(self.recipe, tokenizer, self.stage_seed(f"weights of {stage.name}")), base_document
        else:
            (model, tokenizer), draw = load(self.out / stage.start), sft_document
        log = train_next_token(
            model,
            tokenizer,
            lambda rng: draw(self.criteria, self.recipe.subsets, rng),
            stage,
            self.recipe,
            self.stage_seed(stage.name),
            self.scratch,
            ProgressBar(self.progress, stage.name),
        )
        return model, tokenizer, {"log": log}

    def _preference(self, objective: Preference) -> _Trained:
        """Sample pairs from where the objective starts, and train on them."""
        model, tokenizer = load(self.out / objective.start)
        reference, _ = load(self.out / objective.start)
        source = f"pairs of {objective.start}" + (f", draw {objective.draw}" if objective.draw else "")
        if source not in self._pairs:
            self._pairs[source] = sample_pairs(reference, tokenizer, self.recipe, self.stage_seed(source))
        pairs, seed = self._pairs[source], self.stage_seed(objective.name)
        bar, batch = ProgressBar(self.progress, objective.name), self.recipe.preference_batch
        log = train_preference(model, reference, tokenizer, pairs, objective, batch, seed, self.scratch, bar)
        return model, tokenizer, {"pairs": len(pairs), "log": log}

    def measure(self) -> dict[str, Judgement]:
        """Judge every checkpoint as it was saved."""
        prompts = benchmark_prompts(self.recipe.benchmark_prompts, self.recipe.subsets)
        baseline = baseline_outcomes(self.out / SFT, prompts)
        tracked = self.progress.track(self.recipe.names, description="judge")
        return {name: judge(self.out / name, baseline, prompts) for name in tracked}


def build(out: Path, seed: int = 0, recipe: Recipe = SHIPPED) -> dict[str, Judgement]:
    """Train the family into `out`: a folder a checkpoint, manifest.json, and minilab.yaml for `--registry`.

    A build that was interrupted goes on where it stood. Raises UserError where TRL is missing or `out` holds
    anything but an unfinished build of the same seed and recipe.
    """
    require_training()
    out.mkdir(parents=True, exist_ok=True)
    disable_progress_bar()  # the library's own bars; the build shows one a stage
    with (
        one_thread(),
        progress_bar() as progress,
        TemporaryDirectory() as scratch,
        warnings.catch_warnings(),
    ):
        # TRL's settings carry a name that transformers is about to drop.
        warnings.simplefilter("ignore", FutureWarning)
        return _train_and_measure(_Build(out, seed, recipe, Path(scratch), progress))


def _train_and_measure(run: _Build) -> dict[str, Judgement]:
    for checkpoint in run.recipe.checkpoints:
        run.train(checkpoint)
    judgements = run.measure()
    measured = {
        "minilab_judge": {name: asdict(judgement) for name, judgement in judgements.items()},
        "baselines on the test items": measure_baselines(),
    }
    write_manifest(run.out, run.seed, run.recipe, run.training, measured)
    write_registry(run.out, run.recipe, judgements, parameters=load(run.out / SFT)[0].num_parameters())
    (run.out / _UNFINISHED).unlink()
    return judgements


def _settings(seed: int, recipe: Recipe) -> dict[str, Any]:
    """What decides the weights, as JSON gives it back."""
    return json.loads(json.dumps({"seed": seed, "recipe": asdict(recipe)}))


def _trained_before(out: Path, seed: int, recipe: Recipe) -> dict[str, Any]:
    """The training records of an unfinished build in `out`, by checkpoint."""
    if not any(out.iterdir()):
        return {}
    left = out / _UNFINISHED
    found: dict[str, Any] = json.loads(left.read_text(encoding="utf-8")) if left.is_file() else {}
    training = found.pop("training", {})
    if found != _settings(seed, recipe):
        raise UserError(f"{out} holds something that is no unfinished build of this recipe and seed: pass a new --out.")
    return training


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save a checkpoint folder, the chat template inside tokenizer_config.json; the model becomes half precision."""
    hf_model: Any = model
    hf_tokenizer: Any = tokenizer
    hf_model.half().save_pretrained(folder)
    hf_tokenizer.save_pretrained(folder, save_jinja_files=False)
    (folder / "model.safetensors").chmod(0o644)  # written readable by its owner alone
