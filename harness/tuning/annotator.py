"""A Bradley-Terry reward head on a language model: training it with TRL, and scoring conversations with it.

The loss is −log σ(r(x, chosen) − r(x, rejected)); a score is the head's output at the last token of the conversation,
rendered with the base's chat template as in training.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    PrinterCallback,
    set_seed,
)

from ...errors import UserError
from ...tasks.item import Turn
from ...tasks.items import Items
from ..scoring.inference import inference
from ..scoring.memory import is_out_of_memory
from .callbacks import ProgressBar, StopAtNonFinite
from .overlap import RECORD, read_record
from .settings import Training
from .trainers import dataset_of
from .training import Place, common_arguments, conversation_text, lora_config, run_trainer


@dataclass(frozen=True, slots=True)
class Annotator:
    """A trained reward head."""

    record: dict[str, Any]
    """annotator.json: base, data, hashes of the prompts it was trained on, and how well it does on the others."""
    model: Any
    tokenizer: Any

    def rewards(self, items: Items) -> NDArray[np.float64]:
        """(R,) the reward of each response, flat in the order of the items; NaN as in `scores`."""
        chunks = map(items.chunk, range(len(items.chunks)))
        parts = [self.scores([(i.prompt, text) for i in chunk for text in i.responses]) for chunk in chunks]
        return np.concatenate([np.empty(0), *parts])

    def scores(
        self, conversations: Sequence[tuple[Sequence[Turn], str]], batch_tokens: int = 16_384
    ) -> NDArray[np.float64]:
        """The reward of each (prompt, response), NaN where the conversation is longer than the model reads.

        Where memory runs out a batch is halved. Raises UserError where it does for a conversation alone.
        """
        texts = [
            conversation_text(self.tokenizer, [*prompt, Turn(role="assistant", content=response)])
            for prompt, response in conversations
        ]
        ids: list[list[int]] = (
            self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
        )
        limit: int = getattr(self.model.config, "max_position_embeddings", None) or max(map(len, ids), default=0)
        order = sorted((place for place, row in enumerate(ids) if len(row) <= limit), key=lambda place: len(ids[place]))
        scores = np.full(len(ids), np.nan)
        while order:
            longest = len(ids[order[-1]])
            batch = order[-max(1, batch_tokens // longest) :]
            try:
                scores[batch] = self._read([ids[place] for place in batch])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise UserError(
                        f"Memory ran out over a conversation of {longest:,} tokens: judge with --device cpu, or on a "
                        "device with more memory."
                    ) from error
                batch_tokens = longest * (len(batch) // 2)
            else:
                del order[-len(batch) :]
        return scores

    def _read(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        width = max(map(len, rows))
        padding: int = self.model.config.get_text_config().pad_token_id
        ids = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows], device=self.model.device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=self.model.device)
        with inference(self.model):
            return self.model(input_ids=ids, attention_mask=mask).logits[:, 0].cpu().double().numpy()


def load_annotator(folder: Path, device: str = "cpu") -> Annotator:
    """The annotator in a folder that `annotator train` wrote. Raises UserError."""
    record = read_record(folder)
    auto_model: Any = AutoModelForSequenceClassification
    auto_tokenizer: Any = AutoTokenizer
    model = auto_model.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    return Annotator(record, model, auto_tokenizer.from_pretrained(folder))


def train_head(
    training: Training, start: Path, tokenizer: PreTrainedTokenizerBase, rows: Sequence[dict[str, Any]], place: Place
) -> tuple[Any, list[dict[str, Any]]]:
    """Train a reward head with TRL's RewardTrainer; returns the model (adapters merged) and the log."""
    trl: Any = import_module("trl")
    hf: Any = tokenizer
    auto: Any = AutoModelForSequenceClassification
    set_seed(training.seed)  # the head's first weights
    model = auto.from_pretrained(start, num_labels=1, dtype=torch.float32)
    model.config.get_text_config().pad_token_id = hf.pad_token_id
    arguments = common_arguments(training, len(rows), place)
    adapters: dict[str, Any] = {}
    if training.lora is not None:
        adapters["peft_config"] = lora_config(training.lora, "SEQ_CLS", modules_to_save=["score"])
    trainer: Any = trl.RewardTrainer(
        model=model,
        args=trl.RewardConfig(**arguments, max_length=training.max_length),
        train_dataset=dataset_of([{key: row[key] for key in ("prompt", "chosen", "rejected")} for row in rows]),
        processing_class=tokenizer,
        callbacks=[ProgressBar(place.progress, place.name), StopAtNonFinite()],
        **adapters,
    )
    trainer.remove_callback(PrinterCallback)
    run_trainer(trainer, place.checkpoints)
    trained = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # judged as it is read: float32
    if training.lora is not None:
        trained = trained.merge_and_unload()
    return trained.eval(), list(trainer.state.log_history)


def save_annotator(annotator: Annotator, folder: Path) -> None:
    """Write model, tokenizer and, last, annotator.json."""
    annotator.model.save_pretrained(folder)
    annotator.tokenizer.save_pretrained(folder)
    (folder / RECORD).write_text(json.dumps(annotator.record, indent=1) + "\n", encoding="utf-8")
