"""What watches a trainer: a progress bar, and an end to training whose numbers are no longer finite."""

import math
from typing import Any

import torch
from rich.progress import Progress
from transformers import TrainerCallback, TrainerState

from ...errors import UserError


class ProgressBar(TrainerCallback):
    """Shows steps, loss and reward margin as one task of a rich progress display."""

    def __init__(self, progress: Progress, description: str) -> None:
        self._progress, self._description = progress, description
        self._task = progress.add_task(description, total=None)

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Advance it."""
        self._progress.update(self._task, completed=state.global_step, total=state.max_steps)

    def on_log(
        self,
        args: Any,  # noqa: ARG002
        state: TrainerState,  # noqa: ARG002
        control: Any,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Show the newest loss and margin."""
        shown = [
            f"{name} {float(logs[key]):.3f}"
            for name, key in (("loss", "loss"), ("margin", "rewards/margins"))
            if logs and key in logs
        ]
        if shown:
            self._progress.update(self._task, description=f"{self._description} ({', '.join(shown)})")


class StopAtNonFinite(TrainerCallback):
    """Ends training with a sentence before a step whose gradient, and so its loss, is not finite, or soon after it.

    Where the optimizer steps within the backward pass (DeepSpeed) there is no gradient to look at before the step.
    """

    def on_pre_optimizer_step(
        self,
        args: Any,
        state: TrainerState,
        control: Any,  # noqa: ARG002
        model: Any = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Raise UserError; the weights are still those of the step before."""
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        if gradients and not torch.nn.utils.get_total_norm(gradients).isfinite():
            raise UserError(
                f"The loss or its gradient is not finite at step {state.global_step + 1}; the last checkpoint is kept "
                f"in {args.output_dir}: lower --learning-rate, or look at the data, and train into a new --out."
            )

    def on_log(
        self,
        args: Any,  # noqa: ARG002
        state: TrainerState,
        control: Any,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Raise UserError; the weights, and those of the last checkpoints, may be spoilt already."""
        watched = [(logs or {}).get(key) for key in ("loss", "grad_norm", "train_loss")]
        if not all(math.isfinite(value) for value in watched if value is not None):
            raise UserError(
                f"The loss or its gradient is not finite by step {state.global_step}: lower --learning-rate, or look "
                "at the data, and train into a new --out."
            )
