"""TRL's DPO trainer with a weight for every pair, and SimPO on it. Needs TRL.

The loss of a batch is the plain mean of C·ℓ over its pairs (CW-PO, arXiv 2603.04968): a pair's loss depends on the
model through its own two rows of log-probabilities only, so that scaling those rows' gradient by C scales ℓ's by C.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (TRL is not typed)

import sys
from dataclasses import asdict
from importlib import import_module
from typing import Any

import torch

_dpo: Any = import_module("trl.trainer.dpo_trainer")
_DPOTrainer: Any = _dpo.DPOTrainer
_Collator: Any = _dpo.DataCollatorForPreference


class WeightedCollator(_Collator):
    """TRL's collator, and the pairs' weights beside its tensors."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """The batch of the examples."""
        return super().torch_call(examples) | {"weight": torch.tensor([example["weight"] for example in examples])}


class WeightedDPOTrainer(_DPOTrainer):
    """DPOTrainer for rows with a column `weight`. The loss that it logs is the unweighted one."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.data_collator: Any = WeightedCollator(**asdict(self.data_collator))

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if "weight" not in self._signature_columns:
            self._signature_columns.append("weight")

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        weight: torch.Tensor = inputs.pop("weight")
        rows = torch.cat([weight, weight])[:, None]  # TRL's batch is the chosen ones, then the rejected ones

        def scale_gradient(_module: Any, _arguments: Any, outputs: Any) -> Any:
            value = getattr(outputs, "log_probs", None)
            if value is not None and value.requires_grad:  # with adapters the reference's pass comes by here too
                fixed = value.detach()
                outputs.log_probs = fixed + rows * (value - fixed)
            return outputs

        hook = model.register_forward_hook(scale_gradient)
        try:
            loss = super()._compute_loss(model, inputs, return_outputs)
        finally:
            hook.remove()
        mode = "train" if self.model.training else "eval"
        self._metrics[mode]["weight"].append(self.accelerator.gather(weight).mean().item())
        return loss


class SimPOTrainer(WeightedDPOTrainer):
    """SimPO (Meng et al. 2024, eq. 6): "sigmoid_norm" with |y_w|·γ/β and 0 as the reference's log-probabilities.

    The rewards that it logs therefore contain the target margin γ.
    """

    gamma: float
    """Set on a subclass: DPOTrainer's constructor reads it."""

    def _precompute_ref_logps(self, dataset: Any, _name: str, _batch_size: int) -> Any:
        settings = {"room": self.args.max_length or sys.maxsize, "margin": self.gamma / self.beta}
        return dataset.map(_target_margins, fn_kwargs=settings)


def _target_margins(example: dict[str, Any], room: int, margin: float) -> dict[str, float]:
    """What stands for the reference; a function of the module's, since `datasets` cannot hash a trainer's."""
    length = min(len(example["chosen_ids"]), room - len(example["prompt_ids"]))
    return {"ref_chosen_logps": margin * length, "ref_rejected_logps": 0.0}
