"""Weighted losses against gradients that are weighted by hand, pair by pair, from whole logits."""

from pathlib import Path

import pytest
import torch
from cdr_eval.harness.tuning.losses import LOSSES
from cdr_eval.harness.tuning.settings import Lora
from cdr_eval.harness.tuning.trainers import preference_trainer
from cdr_eval.harness.tuning.training import lora_config
from torch.nn.functional import logsigmoid
from transformers import AutoModelForCausalLM, AutoTokenizer

BETA, GAMMA, NOISE = 0.7, 0.4, 0.1
WEIGHTS = [0.9, 0.1, 0.5, 0.0, 1.0, 0.3]
ROWS = [
    {
        "prompt": [{"role": "user", "content": f"What is {k} + {k}?"}],
        "chosen": [{"role": "assistant", "content": f"It is {2 * k}, of course." + " Yes." * (k % 3)}],
        "rejected": [{"role": "assistant", "content": "I can't help." * (1 + k % 2)}],
        "weight": weight,
    }
    for k, weight in enumerate(WEIGHTS)
]


def models(llamas: Path, lora: bool):
    policy, reference = (
        AutoModelForCausalLM.from_pretrained(llamas / name, dtype=torch.float32)
        for name in ("sft", "sft" if lora else "base")
    )
    return policy, reference, AutoTokenizer.from_pretrained(llamas / "sft")


def response_logprobs(model, tokenizer, row, side: str) -> torch.Tensor:
    """Log-probabilities of the tokens that follow the generation prompt."""
    start = len(tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True)["input_ids"])
    ids = torch.tensor(tokenizer.apply_chat_template(row["prompt"] + row[side])["input_ids"])[None]
    logprobs = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
    return logprobs.gather(-1, ids[0, 1:, None])[start - 1 :, 0]


def pair_loss(name: str, policy, reference, tokenizer, row) -> torch.Tensor:
    """The papers' losses; IPO's log-ratios per token, as TRL and its authors have them."""
    ours = [response_logprobs(policy, tokenizer, row, side) for side in ("chosen", "rejected")]
    if name == "simpo":
        return -logsigmoid(BETA * (ours[0].mean() - ours[1].mean()) - GAMMA)
    with torch.no_grad():
        theirs = [response_logprobs(reference, tokenizer, row, side) for side in ("chosen", "rejected")]
    if name == "ipo":
        ratios = [(a - b).mean() for a, b in zip(ours, theirs, strict=True)]
        return (ratios[0] - ratios[1] - 1 / (2 * BETA)) ** 2
    chosen, rejected = ((a - b).sum() for a, b in zip(ours, theirs, strict=True))
    margin = BETA * (chosen - rejected)
    if name == "robust-dpo":
        return (-(1 - NOISE) * logsigmoid(margin) + NOISE * logsigmoid(-margin)) / (1 - 2 * NOISE)
    return -logsigmoid(margin)


def trainer_of(name: str, policy, reference, tokenizer, folder: Path, lora: bool, micro: int = 6):
    arguments = {
        "output_dir": str(folder),
        "per_device_train_batch_size": micro,
        "beta": BETA,
        "max_length": 256,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "activation_checkpointing": False,
        **({"label_smoothing": NOISE} if name == "robust-dpo" else {}),
    }
    with_reference = LOSSES[name].has_reference and not lora
    return preference_trainer(
        LOSSES[name],
        arguments,
        policy,
        tokenizer,
        ROWS,
        reference=reference if with_reference else None,
        gamma=GAMMA if name == "simpo" else None,
        peft_config=lora_config(Lora(4, 8, 0.0), "CAUSAL_LM") if lora else None,
    )


def gradients(model) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("lora", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize("name", ["dpo", "ipo", "robust-dpo", "simpo"])
def test_gradients_are_those_of_pairs_weighted_by_hand(llamas, tmp_path, name, lora):
    policy, reference, tokenizer = models(llamas, lora)
    trainer = trainer_of(name, policy, reference, tokenizer, tmp_path, lora)
    model = trainer.model
    if lora:  # B starts at zero, where A has no gradient
        generator = torch.Generator().manual_seed(1)
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    batch = trainer.data_collator([trainer.train_dataset[k] for k in range(len(ROWS))])
    model.zero_grad()
    trainer.compute_loss(model, dict(batch)).backward()
    found = gradients(model)
    model.zero_grad()
    losses = [pair_loss(name, model, reference, tokenizer, row) for row in ROWS]
    torch.stack([w * loss for w, loss in zip(WEIGHTS, losses, strict=True)]).mean().backward()
    wanted = gradients(model)
    assert max(float(gradient.abs().max()) for gradient in wanted.values()) > 1e-2
    for key, gradient in wanted.items():
        assert torch.allclose(found[key], gradient, atol=1e-6, rtol=1e-5), key


def test_logged_loss_is_that_of_pairs_weighted_alike(llamas, tmp_path):
    policy, reference, tokenizer = models(llamas, False)
    trainer = trainer_of("dpo", policy, reference, tokenizer, tmp_path, False)
    batch = trainer.data_collator([trainer.train_dataset[k] for k in range(len(ROWS))])
    with torch.no_grad():
        plain = torch.stack([pair_loss("dpo", policy, reference, tokenizer, row) for row in ROWS]).mean()
        assert trainer.compute_loss(trainer.model, dict(batch)).item() == pytest.approx(plain.item(), abs=1e-6)
