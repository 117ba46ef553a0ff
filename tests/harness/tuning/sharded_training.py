"""Training under FSDP2 with sharded states on a CPU, as a process: START OUT PAIRS, saved in bfloat16.

accelerate shards on accelerators alone, so that this process tells it that it has one; the rest is real.
"""

import os
import sys
from pathlib import Path
from typing import Any

os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
os.environ.update(ACCELERATE_USE_CPU="true", ACCELERATE_USE_FSDP="true", FSDP_VERSION="2")
os.environ.update(FSDP_AUTO_WRAP_POLICY="TRANSFORMER_BASED_WRAP", FSDP_RESHARD_AFTER_FORWARD="true")

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from cdr_eval.harness.options import Options
from cdr_eval.harness.tuning.opening import open_start
from cdr_eval.harness.tuning.output import save_model
from cdr_eval.harness.tuning.pairs import read_preferences
from cdr_eval.harness.tuning.settings import Training
from cdr_eval.harness.tuning.training import Place, train
from cdr_eval.model_registry.registry import load_registry
from rich.progress import Progress
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM

_begin = PartialState.__init__


def _begin_as_on_gpus(self: PartialState, cpu: bool = False, **kwargs: Any) -> None:
    _begin(self, cpu, **kwargs)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


if __name__ == "__main__":
    start, out, pairs = map(Path, sys.argv[1:])
    torch.distributed.init_process_group("gloo", init_method=f"file://{out}.rendezvous", rank=0, world_size=1)
    PartialState.__init__ = _begin_as_on_gpus
    tokenizer = open_start(str(start), load_registry(()), Options(device="cpu"))[1]
    trainer = train(
        Training(loss="simpo", batch=8, max_length=128, learning_rate=1e-3),
        AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32),
        None,
        tokenizer,
        read_preferences(str(pairs)).rows,
        Place(out / "checkpoints", "cpu", Progress(), "sharded"),
    )
    save_model(trainer, tokenizer, start, out, torch.bfloat16)
    held = trainer.model.state_dict()
    assert all(isinstance(value, DTensor) for value in held.values())
    save_file({name: value.full_tensor().clone() for name, value in held.items()}, f"{out}.safetensors")
