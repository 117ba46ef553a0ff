"""What every forward pass runs under: no gradients, and the model's own type whatever the process does in others."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

import torch
from transformers import PreTrainedModel

_SMALL = 5_000_000
"""Parameters below which the operations of a forward pass are too short to share between CPU threads."""
_backends: Any = torch.backends  # partly untyped
_PLACES: tuple[Any, ...] = (
    *(_backends.cuda.matmul, _backends.cudnn.conv, _backends.cudnn.rnn),
    *(_backends.mkldnn.matmul, _backends.mkldnn.conv),
)
"""Where torch may compute float32 in TF32 or bfloat16: who trains often allows it, and convolutions on GPUs do it
unless told otherwise."""


@contextmanager
def inference(model: PreTrainedModel) -> Generator[None]:
    """Passes without gradients and autocast, under `full_float32` and `fit_threads`."""
    device = model.device.type
    with ExitStack() as under:
        if torch.amp.autocast_mode.is_autocast_available(device):
            under.enter_context(torch.autocast(device, enabled=False))
        for context in (torch.inference_mode(), full_float32(), fit_threads(model)):
            under.enter_context(context)
        yield


@contextmanager
def fit_threads(model: PreTrainedModel) -> Generator[None]:
    """One thread for a small model: waiting for a second takes longer than the work."""
    before = torch.get_num_threads()
    if before == 1 or model.device.type != "cpu" or model.num_parameters() >= _SMALL:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def full_float32() -> Generator[None]:
    """float32 is computed in nothing less; the process has its settings back when the last of its threads is done."""
    _full.enter()
    try:
        yield
    finally:
        _full.leave()


_Settings = tuple[str | None, bool | None, list[str]]
"""For products and convolutions by the older names, None where those cannot be asked; for `_PLACES` by the newer."""


class _Full:
    """The settings are the process's: the first thread that needs them sets them, the last puts them back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._before: _Settings = (None, None, [])

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                older = _asked(torch.get_float32_matmul_precision), _asked(lambda: _backends.cudnn.allow_tf32)
                self._before = (*older, [place.fp32_precision for place in _PLACES])
                _set(("highest", False, ["ieee"] * len(_PLACES)))
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                _set(self._before)


_full = _Full()


def _set(settings: _Settings) -> None:
    """By both names, since torch refuses to be asked where they disagree."""
    products, convolutions, precisions = settings
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
