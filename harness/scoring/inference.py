"""What every forward pass runs under: no gradients, and the model's own type whatever the process does in others."""

from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

_backends: Any = torch.backends  # partly untyped
_PLACES: tuple[Any, ...] = (
    *(_backends.cuda.matmul, _backends.cudnn.conv, _backends.cudnn.rnn),
    *(_backends.mkldnn.matmul, _backends.mkldnn.conv),
)
"""Where torch may compute float32 in TF32 or bfloat16: who trains often allows it, and convolutions on GPUs do it
unless told otherwise."""


@contextmanager
def inference(device: torch.device) -> Generator[None]:
    """Passes without gradients and autocast, under `full_float32`."""
    autocast = torch.amp.autocast_mode.is_autocast_available(device.type)
    with (
        torch.inference_mode(),
        torch.autocast(device.type, enabled=False) if autocast else nullcontext(),
        full_float32(),
    ):
        yield


@contextmanager
def full_float32() -> Generator[None]:
    """float32 is computed in nothing less; the process has its settings back afterwards.

    The older names of the same settings are set, too, since torch refuses to be asked where names disagree.
    """
    products, convolutions = _asked(torch.get_float32_matmul_precision), _asked(lambda: _backends.cudnn.allow_tf32)
    kept = [place.fp32_precision for place in _PLACES]
    _set("highest", False, ["ieee"] * len(_PLACES))
    try:
        yield
    finally:
        _set(products, convolutions, kept)


def _set(products: str | None, convolutions: bool | None, precisions: list[str]) -> None:
    """By the older names, where they are known, then by the newer."""
    if products is not None:
        torch.set_float32_matmul_precision(products)
    if convolutions is not None:
        _backends.cudnn.allow_tf32 = convolutions
    for place, precision in zip(_PLACES, precisions, strict=True):
        place.fp32_precision = precision


def _asked(setting: Callable[[], Any]) -> Any:
    """None where the newer names alone were used."""
    try:
        return setting()
    except RuntimeError:
        return None
