"""The plain way: whole sequences in right-padded batches, or in batches of one length, or alone."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from .inference import inference
from .memory import may_halve
from .model_facts import RotaryState, text_config
from .protocol import ScoringRequest
from .token_trie import model_input

_LOGITS = 2**28
"""Most logits that a batch may have: the model returns all of them."""
_PADDING = 0.05
"""Largest part of a batch that may be padding."""


class PaddedBatchScorer:
    """Scores each request on its own, in batches of like lengths; shares nothing between requests.

    What a model keeps of the lengths it has seen is forgotten before each batch.
    """

    kind = "padded"
    shares_prefixes = False
    padding = _PADDING
    """Largest part of a batch that may be padding; with 0 all sequences of a batch have the same length."""
    most_sequences: int | None = None
    """Most sequences of a batch."""

    def __init__(self, model: PreTrainedModel, batch_tokens: int) -> None:
        self._model = model
        self._rotary = RotaryState(model)
        vocabulary = int(text_config(model).vocab_size)
        self.batch_tokens = max(1, min(batch_tokens, _LOGITS // vocabulary))
        """Most tokens of a batch, padding included; a longer sequence is a batch alone. Halved on out-of-memory."""
        self.notes: list[str] = []

    def score(self, requests: Sequence[ScoringRequest]) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
        """Yield (indices, summed log-probabilities) a batch, shortest requests first."""
        lengths = [len(model_input(request)) for request in requests]
        waiting = sorted(range(len(requests)), key=lambda index: lengths[index])
        while waiting:
            count = batch_size((lengths[index] for index in waiting), self.batch_tokens, self.padding)
            count = min(count, self.most_sequences or count)
            batch = waiting[:count]
            try:
                sums = self._sums([requests[index] for index in batch])
            except (RuntimeError, MemoryError) as error:
                if count == 1 or not may_halve(self._model, error):
                    raise
                self.batch_tokens = max(1, self.batch_tokens // 2)
                continue
            yield batch, sums
            del waiting[:count]

    def _sums(self, requests: Sequence[ScoringRequest]) -> NDArray[np.float64]:
        """Summed log-probabilities of one batch."""
        inputs = [torch.tensor(model_input(request), dtype=torch.long) for request in requests]
        token_ids = torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True)
        lengths = torch.tensor([len(tokens) for tokens in inputs])
        mask = (torch.arange(token_ids.shape[1]) < lengths[:, None]).long()
        device = self._model.device
        self._rotary.forget()
        with inference(self._model):
            logits = self._model(token_ids.to(device), attention_mask=mask.to(device), use_cache=False).logits
            log_probs = [_scored_log_probs(logits[row], request).cpu() for row, request in enumerate(requests)]
        return np.array([float(values.double().sum()) for values in log_probs])


class OneLengthScorer(PaddedBatchScorer):
    """Scores each request in a batch of requests of exactly its length."""

    kind = "one length"
    padding = 0.0


class AloneScorer(PaddedBatchScorer):
    """Scores each request in a forward pass of its own."""

    kind = "alone"
    most_sequences = 1


def batch_size(lengths: Iterable[int], batch_tokens: int, padding: float = _PADDING) -> int:
    """How many of the sequences, shortest first, make a batch: at least one."""
    sequences = needed = 0
    for longest in lengths:
        needed += longest
        computed = longest * (sequences + 1)
        if sequences and (computed > batch_tokens or needed < (1 - padding) * computed):
            break
        sequences += 1
    return sequences


def _scored_log_probs(logits: torch.Tensor, request: ScoringRequest) -> torch.Tensor:
    """Log-probabilities, float32, of a request's scored tokens from its sequence's logits (tokens, vocabulary)."""
    scored = torch.tensor(request.scored, dtype=torch.long)
    targets = torch.tensor([request.token_ids[position] for position in request.scored], dtype=torch.long)
    log_probs = torch.log_softmax(logits[scored.to(logits.device) - 1].float(), dim=-1)
    return log_probs.gather(1, targets.to(logits.device)[:, None])[:, 0]
