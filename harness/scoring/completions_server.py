"""What a completions server in the manner of OpenAI's says of itself: which models it serves, how much they read."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from ...errors import UserError

_SECONDS = 10
"""How long a server may take to say what it serves."""


@dataclass(frozen=True, slots=True)
class Served:
    """A server's own account of the model that is asked; None where it gives none."""

    model: str | None = None
    """The name by which it is asked for."""
    longest: int | None = None
    """Tokens of a request at most, one that is generated not counted."""
    engine: str | None = None


def completions_url(address: str) -> str:
    """The address of a server's completions, where only that of the server was given. Raises UserError."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UserError(f"{address!r} is no address of a server; write it as http://HOST:PORT.")
    return address if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}/v1/completions"


def read_urls(given: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Checkpoint → the address of its server, from "NAME=URL" each; one for every compared name, or none at all.

    Raises UserError for anything else.
    """
    found: dict[str, str] = {}
    for text in given:
        name, _, address = text.partition("=")
        if name not in names:
            raise UserError(f"--url {text} names no checkpoint that is compared; those are {', '.join(names)}.")
        found[name] = completions_url(address)
    without = [name for name in names if name not in found]
    if found and without:
        raise UserError(f"{without[0]} has no server; pass --url {without[0]}=http://HOST:PORT, too.")
    return found


def ask_server(url: str, names: tuple[str, ...], token: str | None = None) -> Served:
    """What the server behind a completions URL serves under one of `names`.

    A server that does not list its models is taken as it is. Raises UserError where it does not answer within ten
    seconds, or lists no model of such a name: it may serve another checkpoint.
    """
    listed = _models(url, token)
    found = next((model for name in names for model in listed if model.get("id") == name), None)
    if listed and found is None:
        there = ", ".join(str(model.get("id")) for model in listed)
        raise UserError(
            f"The server at {url} serves {there} and none of {', '.join(names)}; serve the checkpoint under one of "
            "these names, or say as model=... what it is called there."
        )
    found = found or {}
    longest, engine = found.get("max_model_len"), found.get("owned_by")
    name = found.get("id")
    return Served(
        str(name) if name else None,
        longest - 1 if isinstance(longest, int) else None,
        str(engine) if engine else None,
    )


def _models(url: str, token: str | None) -> list[dict[str, Any]]:
    token = token or os.environ.get("OPENAI_API_KEY")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = Request(url.removesuffix("/").removesuffix("/completions") + "/models", headers=headers)
    try:
        with urlopen(request, timeout=_SECONDS) as answer:
            content: Any = json.loads(answer.read())
    except HTTPError:
        return []  # it is there, and lists nothing
    except ValueError:
        return []
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(f"The server at {url} does not answer ({reason}); start it, or mend its address.") from error
    try:
        return [dict(model) for model in content["data"]]
    except (KeyError, TypeError, ValueError):
        return []
