"""Every tensor of a pass is on the model's device, on a machine without one: shapes and devices are followed by
torch's fake tensors, whose device here is "meta", since a CPU build of torch cannot index fake CUDA tensors.
(A carried state's copies cannot be followed so: deepcopy detaches them in place.)
"""

from typing import Any

import pytest
import torch
from cdr_eval.harness.scoring.padded_batches import PaddedBatchScorer
from cdr_eval.harness.scoring.token_trie import build_trie
from cdr_eval.harness.scoring.tree_passes import TreePasses
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tests.harness.scoring.scoring_requests import SIZES, preference_requests
from tests.harness.scoring.test_shared_prefix import SHARING


@pytest.fixture(autouse=True)
def values_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake tensors have no values to compare: every mask is taken to differ from the plain causal one."""
    monkeypatch.setattr(torch, "equal", lambda *_: False)


def elsewhere(architecture: str, settings: dict[str, Any]) -> PreTrainedModel:
    """A model on a device that is not the CPU; to be made and used under FakeTensorMode."""
    config = AutoConfig.for_model(architecture, **{**SIZES, **settings})
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()


@pytest.mark.parametrize("name", SHARING)
def test_passes_along_the_tree_stay_on_the_models_device(name: str) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        passes = TreePasses(elsewhere(*SHARING[name]), 64)
        results = [log_probs for _, log_probs in passes.run(build_trie(preference_requests()))]
        assert len(results) > 1  # so that keys and values are carried from pass to pass
        assert {(values.device.type, values.dtype) for values in results} == {("meta", torch.float32)}


def test_padded_batches_reach_their_sums_on_the_models_device() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        scorer = PaddedBatchScorer(elsewhere("llama", {}), 64)
        with pytest.raises(DataDependentOutputException, match="_local_scalar_dense"):  # the sums, as numbers
            list(scorer.score(preference_requests()))


def test_a_tensor_left_behind_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        passes = TreePasses(elsewhere("llama", {}), 64)
        monkeypatch.setattr(passes, "_row", lambda values: torch.as_tensor(values)[None])
        with pytest.raises(RuntimeError, match="cpu and meta"):
            list(passes.run(build_trie(preference_requests())))
