"""What a user writes for an executor."""

import re

from ...errors import UserError

_EXECUTOR = re.compile(r"ray(:(?P<address>[\w.-]+:\d+))?")


def address_of(executor: str) -> str | None:
    """The address in "ray" or "ray:ADDRESS", None for a cluster of our own. Raises UserError for anything else."""
    found = _EXECUTOR.fullmatch(executor)
    if found is None:
        raise UserError(f"There is no executor {executor!r}; use ray or ray:HOST:PORT, or leave --executor out.")
    return found["address"]
