"""The fast scorer: what requests share is computed once, in the fastest way that is exact for the model."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from .cpu_linear import lay_out_weights
from .memory import default_batch_tokens, offloaded
from .model_facts import check_token_ids, rotary_switch, text_config
from .padded_batches import OneLengthScorer
from .protocol import ScoringRequest
from .token_trie import model_input
from .trial import WAYS, Trial, try_ways

_NOTES = {
    "state": "A shared prefix's state is computed once and copied for each continuation, because {reason}.",
    "padded": "Shared prefixes are computed again for every response, because {reason}.",
    "one length": "Every response is scored whole, in batches of one length, because {reason}.",
    "alone": "Every response is scored whole and alone, because {reason}.",
}


class SharedPrefixScorer:
    """Scores requests in the first way of `trial.WAYS` that gives the model's own numbers.

    That is along their token tree, `batch_tokens` tokens a forward pass (halved on out-of-memory), unless a trial says
    otherwise: `fallback` says why, and `trial` has the figures. Sequences so long that the model's rotary embedding
    depends on their length are scored in batches of one length.
    """

    kind = "shared-prefix"

    def __init__(self, model: PreTrainedModel, batch_tokens: int | None = None) -> None:
        tokens = batch_tokens or default_batch_tokens(model)
        self.trial: Trial = try_ways(model)
        """What was compared, and the decision."""
        self.fallback = self.trial.reason
        """Why the model is not scored along the tree, as a clause; None if it is."""
        self._model = model
        self._way = WAYS[self.trial.way](model, tokens)
        self._switch = rotary_switch(text_config(model))
        self._long = OneLengthScorer(model, tokens)
        self.shares_prefixes = self._way.shares_prefixes
        self.notes: list[str] = []
        """Sentences that whoever reads the results must see."""
        if self.fallback:
            self.notes.append(_NOTES[self.trial.way].format(reason=self.fallback))
        if self.shares_prefixes:
            lay_out_weights(model)
        away = offloaded(model)
        if away:
            self._tell(
                f"{away:.0%} of its weights did not fit on the device and were brought there from memory or disk in "
                "every pass."
            )

    @property
    def batch_tokens(self) -> int:
        """Tokens of a forward pass."""
        return self._way.batch_tokens

    def score(self, requests: Sequence[ScoringRequest]) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
        """Yield (indices, summed log-probabilities) as forward passes finish.

        The same set of requests gives the same bits, in whatever order. Which requests come together, and the tokens of
        a pass, may change the last bits: a matrix product may round differently in another shape.
        """
        check_token_ids(self._model, requests)
        tokens = self._way.batch_tokens
        longest = self._switch or np.inf
        long = [index for index, request in enumerate(requests) if len(model_input(request)) > longest]
        others = set(long)
        short = [index for index in range(len(requests)) if index not in others]
        for way, members in ((self._way, short), (self._long, long)):
            if members:
                for indices, sums in way.score([requests[index] for index in members]):
                    yield [members[index] for index in indices], sums
        if long:
            self._tell(
                f"Responses of more than {self._switch} tokens with their prompt were scored whole, in batches of one "
                "length, because the model's rotary embedding depends on the length of the whole sequence."
            )
        if self._way.batch_tokens < tokens:
            self._tell(f"Memory ran out at {tokens} tokens a forward pass; it went on with {self._way.batch_tokens}.")

    def _tell(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)
