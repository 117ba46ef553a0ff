"""The preference losses: where TRL keeps each, how it is set, and what its settings may be.

dpo      −log σ(βΔ), Δ the log-ratio margin (Rafailov et al. 2023)   DPOTrainer, "sigmoid"
ipo      (Δ̄ − 1/(2β))², Δ̄ of log-ratios per token (Azar et al. 2023) DPOTrainer, "ipo"
hinge    max(0, 1 − βΔ) (SLiC's hinge on Δ, Liu et al. 2024; not      DPOTrainer, "hinge"
         SLiC-HF of Zhao et al. 2023, which has no reference)
robust-dpo  under label noise ε (Chowdhury et al. 2024; not the      DPOTrainer, "robust"
         length-regularised R-DPO of Park et al. 2024, "rdpo" in the registry, which TRL does not have)
simpo    −log σ(β·margin of mean log-probabilities − γ)              DPOTrainer, "sigmoid_norm", the margin γ put
         (Meng et al. 2024)                                          where the reference's log-probabilities go
kto      unpaired, prospect-theoretic (Ethayarajh et al. 2024)       KTOTrainer
cpo      reference-free sigmoid plus likelihood (Xu et al. 2024)     experimental CPOTrainer, "sigmoid"
orpo     likelihood plus odds ratio (Hong et al. 2024)               experimental ORPOTrainer
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final

from ...errors import UserError


@dataclass(frozen=True, slots=True)
class Loss:
    """Where TRL keeps a loss, and what it is set to."""

    trainer: str
    """TRL's name of the trainer, less "Trainer"."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    module: str = "trl"
    has_reference: bool = True
    beta: float = 0.1

    @property
    def weighted(self) -> bool:
        """Whether each pair's loss can be multiplied by a weight of its own."""
        return self.trainer == "DPO"


LOSSES: Final[Mapping[str, Loss]] = {
    "simpo": Loss("DPO", {"loss_type": ["sigmoid_norm"], "precompute_ref_log_probs": True}, "trl", False, 10.0),
    "dpo": Loss("DPO", {"loss_type": ["sigmoid"]}),
    "ipo": Loss("DPO", {"loss_type": ["ipo"]}),
    "robust-dpo": Loss("DPO", {"loss_type": ["robust"]}),
    "hinge": Loss("DPO", {"loss_type": ["hinge"]}),
    "kto": Loss("KTO"),
    "orpo": Loss("ORPO", {}, "trl.experimental.orpo", False),
    "cpo": Loss("CPO", {"loss_type": "sigmoid", "cpo_alpha": 1.0}, "trl.experimental.cpo", False),
}


def require_training(lora: bool = False) -> None:
    """Raise UserError where TRL (or, for LoRA, peft) is not installed; neither is imported."""
    for package, wanted in (("trl", True), ("peft", lora)):
        if wanted and find_spec(package) is None:
            raise UserError(f"Training needs {package}: run pip install 'cdr-eval[train]'.")
