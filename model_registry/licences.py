"""What licence a checkpoint's model card names."""

import re
from pathlib import Path
from typing import Final

_KEY: Final = re.compile(r"^(license|license_name):[ \t]*['\"]?([\w.+ -]{1,80}?)['\"]?[ \t]*$", re.MULTILINE)
_HEAD: Final = 100_000
"""Characters of a README.md that are looked at."""


def licence_of(folder: Path) -> str:
    """The licence in the front matter of the README.md beside the weights, its name where it is `other`; else empty."""
    try:
        with (folder / "README.md").open(encoding="utf-8", errors="replace") as file:
            before, *rest = file.read(_HEAD).split("---\n", 2)
    except OSError:
        return ""
    found = dict(_KEY.findall(rest[0])) if not before and len(rest) == 2 else {}
    return found.get("license_name") or found.get("license", "")
