"""Whether a file of weights can be read: not empty, not cut off, not a pointer in its place."""

import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open


def broken_file(path: Path, *, pickled: bool = True) -> str | None:
    """A sentence about the first file of weights in a folder that can't be read; None if all can."""
    for file in sorted([*path.glob("*.safetensors"), *(path.glob("*.bin") if pickled else ())]):
        reason = defect(file)
        if reason:
            return f"{file} {reason}"
    return None


def defect(file: Path) -> str | None:
    """What is wrong with a file of weights and how to mend it, as a clause that ends the sentence; None if nothing."""
    with file.open("rb") as opened:
        start = opened.read(64)
    if not start:
        return "is empty; copy or download it again."
    if start.startswith(b"version https://git-lfs"):
        return "is a git-LFS pointer in the place of the weights; run `git lfs pull` in its folder."
    if file.suffix == ".safetensors":
        opening: Any = safe_open  # a class in Rust, without types
        try:
            with opening(file, framework="np"):
                return None
        except SafetensorError as error:
            return f"is truncated or no safetensors file ({error}); copy or download it again."
    if zipfile.is_zipfile(file) or start.startswith(b"\x80"):
        return None
    return "is truncated or no file that torch saved; copy or download it again."
