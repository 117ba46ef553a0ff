"""The model in memory, and what it is for the checkpoint that is scored; torch is imported when one is opened."""

import gc
import sys
from typing import TYPE_CHECKING, Any

from ...errors import CheckpointError, UserError
from ...model_registry.checkpoint_files import LocalCheckpoint
from .load_options import LoadOptions

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class OpenModels:
    """At most one whole model in memory: several checkpoints are scored with it where they are adapters on one base."""

    def __init__(self) -> None:
        self._held: tuple[str, PreTrainedModel] | None = None

    def open(self, local: LocalCheckpoint, load: LoadOptions) -> "PreTrainedModel":
        """The checkpoint's model, of which there is one at a time: the one that was opened before changes.

        Raises CheckpointError where the model or its adapter does not load.
        """
        from .formats import format_arguments

        arguments = format_arguments(local.whole, load)
        if load.tensor_parallel > 1 and local.adapter is not None:
            raise UserError(f"--tensor-parallel takes no adapters, and {local.name} is one: leave it out, or merge it.")
        try:
            return self._opened(local, load, arguments)
        except UserError as error:
            raise CheckpointError(local.name, str(error)) from error

    def _opened(self, local: LocalCheckpoint, load: LoadOptions, arguments: dict[str, Any]) -> "PreTrainedModel":
        from .adapted import put_on, take_off
        from .formats import quiet_bars
        from .loading import load_model

        if self._held is None or not self.serves(local):
            self.release()
            with quiet_bars(local.whole):
                model = load_model(local.whole.path, load, **arguments)
            self._held = local.whole.weights, model
        model = self._held[1]
        try:
            take_off(model)
            if local.adapter is not None:
                put_on(model, local.adapter)
        except BaseException:
            self.release()  # it may be neither the base nor the adapter
            raise
        return model

    def serves(self, local: LocalCheckpoint | None) -> bool:
        """Whether the model in memory is the one that a checkpoint needs."""
        return self._held is not None and local is not None and self._held[0] == local.whole.weights

    @property
    def held(self) -> bool:
        """Whether there is a model in memory."""
        return self._held is not None

    def release(self) -> None:
        """Let the model go, if there is one."""
        if self._held is None:
            return
        self._held = None
        gc.collect()
        torch: Any = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
