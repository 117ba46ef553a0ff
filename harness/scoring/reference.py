"""The reference scorer: one sequence at a time, nothing shared. Slow, and what every other scorer is compared with."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from .inference import inference
from .model_facts import RotaryState, check_token_ids
from .protocol import ScoringRequest


class ReferenceScorer:
    """Scores each request with a forward pass of its own, and forgets what the model keeps of those before."""

    kind = "reference"
    shares_prefixes = False

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._rotary = RotaryState(model)
        self.notes: list[str] = []

    def score(self, requests: Sequence[ScoringRequest]) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
        """See `Scorer.score`."""
        check_token_ids(self._model, requests)
        for index, request in enumerate(requests):
            yield [index], np.array([self._logprobs(request).sum().item()])

    def token_logprobs(self, request: ScoringRequest) -> NDArray[np.float64]:
        """(T,) the log-probability of each scored token, in nats."""
        return self._logprobs(request).cpu().numpy()

    def _logprobs(self, request: ScoringRequest) -> torch.Tensor:
        self._rotary.forget()
        with inference(self._model):
            ids = torch.tensor([request.token_ids], device=self._model.device)
            logits: torch.Tensor = self._model(input_ids=ids[:, :-1], use_cache=False).logits[0]
            scored = torch.tensor(request.scored, device=ids.device)
            logprobs = logits[scored - 1].float().log_softmax(-1)
            chosen = logprobs.gather(-1, ids[0, scored, None])
            return chosen[:, 0].cpu().double()
