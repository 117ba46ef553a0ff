"""Finding out from a file's first rows which columns hold what."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import UserError
from .columns import Grades, Layout, Paths, Winner, maybe
from .notes import as_list
from .turns import is_transcript

Columns = Mapping[str, Any]
ROLES = (
    "prompt", "chosen", "rejected", "responses", "grades", "ranks", "best", "winner", "preference", "pairs",
    "id", "subset", "problem",
)  # fmt: skip
"""What `--columns role=column` can name."""
_MANY = frozenset({"prompt", "responses", "grades", "winner", "id", "subset", "problem"})
_PROMPTS = ("prompt_messages", "prompt", "instruction", "question", "query", "context", "history", "input")
_LISTS = (
    "responses", "completions", "answers", "generations", "all_generated_responses", "candidates", "outputs", "output",
)  # fmt: skip
_TEXTS = ("text", "response", "answer", "content", "completion", "output", "generation")
_PAIRS = (
    ("response_A", "response_B"), ("response_a", "response_b"), ("response_1", "response_2"),
    ("response1", "response2"), ("output_1", "output_2"), ("output1", "output2"), ("answer_a", "answer_b"),
)  # fmt: skip
_GRADES = ("grades", "grade", "scores", "score", "ratings", "rating", "overall_score", "all_rm_scores")
_RANKS = ("ranks", "rank")
_FINISH = ("finish_reason", "finish_reasons")
_BEST = ("best", "best_index", "preferred_index")
_LABELS = ("winner", "label", "preference", "overall_preference", "preference_strength")


def guess_layout(sample: Sequence[Columns], named: Mapping[str, Paths]) -> Layout:
    """The layout of rows of which `sample` are the first; `named` are columns by their role, as the user said.

    Rows with `chosen` and `rejected` are read as such, whatever other columns they have, and so are rows in which
    nothing is found, so that the sentence says what is missing.
    """
    row: dict[str, Any] = {}
    for columns in sample:
        for name, value in columns.items():
            if row.get(name) is None:
                row[name] = value
    responses = named.get("responses") or _responses(row)
    more = _named(named, responses, sample)
    wanted = {"chosen", "rejected"} & named.keys() or (
        "responses" not in named and ("chosen" in row or "rejected" in row)
    )
    if wanted or not responses:
        return _preferences(row, more)
    layout = {
        "responses": responses,
        "prompt": _prompt(row),
        **_finish(row, responses),
        **_knowledge(row, responses, sample),
        **more,
    }
    known = {"grades", "ranks", "best", "winner", "preference"} & more.keys()
    for role in {"grades", "ranks", "best", "winner", "preference"} - known if known else ():
        layout.pop(role, None)
    prompt = maybe(row, layout["prompt"][0]) if layout["prompt"] else None
    return Layout.model_validate(layout | {"turns": "human-assistant" if is_transcript(prompt) else "text"})


def parse_named(columns: Sequence[str]) -> dict[str, Paths]:
    """`role=column` pairs, columns joined by `+` where a role takes several; raises UserError for other roles."""
    named: dict[str, Paths] = {}
    for text in columns:
        role, _, value = text.partition("=")
        paths = tuple(part.strip() for part in value.split("+")) if value.strip() else ()
        if role.strip() not in ROLES or not all(paths) or not paths:
            raise UserError(f"--columns {text!r} is not role=column: the roles are {', '.join(ROLES)}.")
        if len(paths) > 1 and role.strip() not in _MANY:
            raise UserError(f"--columns {text!r} names several columns for {role.strip()}: name one.")
        named[role.strip()] = paths
    return named


def described(layout: Layout) -> str:
    """In words, which columns hold what."""
    if not layout.responses:
        names = f"`{layout.chosen}` over `{layout.rejected}`"
        if layout.turns == "human-assistant" and not layout.prompt:
            return f"transcripts, {names}"
        return f"preferences, {names}{', the prompt a transcript' * (layout.turns == 'human-assistant')}"
    names = "`" + "`, `".join(layout.responses) + "`"
    if len(layout.responses) > 3:
        names = f"`{layout.responses[0]}` to `{layout.responses[-1]}`"
    labelled = [("grades", layout.grades.column[0])] if layout.grades else []
    single = {"ranks": layout.ranks, "the best one": layout.best, "the preference": layout.preference}
    labelled += [(word, path) for word, path in single.items() if path]
    told = [f"{word} in `{path}`" for word, path in labelled] + ([_won(layout.winner)] if layout.winner else [])
    return f"responses in {names}, " + (", ".join(told) or "without labels")


def _won(winner: Winner) -> str:
    """The column of the winner, and what its numbers are taken to mean."""
    words = {0: "first", 1: "second", "tie": "tie"}
    meaning = ", ".join(f"{label} {words[place]}" for label, place in winner.values.items())
    return f"the winner in `{winner.column[0]}`" + (f" ({meaning})" if meaning else "")


def _preferences(row: Columns, more: dict[str, Any]) -> Layout:
    chosen, rejected = more.get("chosen", "chosen"), more.get("rejected", "rejected")
    layout = {"chosen": chosen, "rejected": rejected, "prompt": ("prompt",)} | more
    transcripts = all(is_transcript(row.get(name)) for name in (chosen, rejected))
    prompt = maybe(row, layout["prompt"][0])
    if transcripts and (is_transcript(prompt) or ("prompt" not in more and prompt is None)):
        return Layout.model_validate(layout | {"prompt": (), "turns": "human-assistant"})
    return Layout.model_validate(layout | {"turns": "human-assistant" if is_transcript(prompt) else "text"})


def _named(named: Mapping[str, Paths], responses: Paths, sample: Sequence[Columns]) -> dict[str, Any]:
    more: dict[str, Any] = {
        role: paths if role in _MANY else paths[0] for role, paths in named.items() if role != "responses"
    }
    if "winner" in more and len(responses) == 2:
        more["winner"] = _winner(more["winner"], sample)
    return more


def _prompt(row: Columns) -> Paths:
    found = next((name for name in _PROMPTS if name in row), "prompt")
    return (found, "input") if found == "instruction" and "input" in row else (found,)


def _responses(row: Columns) -> Paths:
    for name in _LISTS:
        if isinstance(values := row.get(name), list) and values:
            first: Any = values[0]  # pyright: ignore[reportUnknownVariableType]
            if isinstance(first, dict):
                text = next((key for key in _TEXTS if key in first), None)
                if text is not None:
                    return (f"{name}[].{text}",)
            elif isinstance(first, (str, list)):
                return (name,)
        elif _is_list(values):
            return (name,)
    for pair in _PAIRS:
        if all(isinstance(row.get(name), (str, list)) for name in pair):
            return (*pair, *_further(row, pair[0]))
    return ()


def _is_list(value: Any) -> bool:
    """A list, or the JSON text of one."""
    return isinstance(value, list) or (isinstance(value, str) and value.lstrip().startswith("["))


def _further(row: Columns, first: str) -> Paths:
    """`response_3`, `response_4`, ... after `response_1` and `response_2`, as far as they go."""
    stem = first.removesuffix("1")
    if stem == first:
        return ()
    number, further = 3, list[str]()
    while isinstance(row.get(f"{stem}{number}"), str):
        further.append(f"{stem}{number}")
        number += 1
    return tuple(further)


def _knowledge(row: Columns, responses: Paths, sample: Sequence[Columns]) -> dict[str, Any]:
    """What is known about the responses: a list beside them, a key within them, or a label."""
    inside = responses[0].partition("[].")[0] + "[]." if "[]." in responses[0] else None
    listed = next((name for name in ("pairs", "sampled_conflict_pairs") if isinstance(row.get(name), list)), None)
    pairs = {"pairs": listed} if listed else {}
    for role, names in (("grades", _GRADES), ("ranks", _RANKS)):
        for name in names:
            path = f"{inside}{name}" if inside else name
            if inside and maybe(row, path) is not None:
                return {role: path if role == "ranks" else Grades(column=(path,))} | pairs
            if _is_list(row.get(name)):
                return {role: name if role == "ranks" else Grades(column=(name,))} | pairs
    for name in _BEST:
        if row.get(name) is not None:
            return {"best": name} | pairs
    for name in _LABELS if len(responses) == 2 else ():
        if row.get(name) is not None:
            return _label(name, sample)
    return {}


def _finish(row: Columns, responses: Paths) -> dict[str, Any]:
    """Why each response ended: a key within the responses, or a list beside them."""
    inside = responses[0].partition("[].")[0] + "[]." if "[]." in responses[0] else ""
    for name in _FINISH:
        if maybe(row, inside + name) is not None and (inside or _is_list(row[name])):
            return {"finish": inside + name}
    return {}


def _label(name: str, sample: Sequence[Columns]) -> dict[str, Any]:
    """A number with a sign is a preference; anything else names the winner."""
    signed = any(label.startswith("-") for label in _labels((name,), sample))
    if signed or name in ("overall_preference", "preference_strength"):
        return {"preference": name}
    return {"winner": _winner((name,), sample)}


def _winner(paths: Paths, sample: Sequence[Columns]) -> Winner:
    """Of two responses: 1 and 2 (0 a tie), 0 and 1, or words. Raises UserError where nothing but 1 is seen."""
    seen = _labels(paths, sample)
    if seen == {"1"}:
        raise UserError(
            f"`{paths[0]}` holds nothing but 1 as far as was looked (rows: {len(sample)}), which may mean the first "
            "response (of 1 and 2) or the second (of 0 and 1): mix the rows, or write A for the first and B for the "
            "second."
        )
    meaning: dict[str, Any] = {}
    if seen and seen <= {"0", "1", "2"}:
        counted_from_1 = "2" in seen
        meaning = {"0": "tie", "1": 0, "2": 1} if counted_from_1 else {"0": 0, "1": 1}
    return Winner(column=paths, values=meaning)


def _labels(paths: Paths, sample: Sequence[Columns]) -> set[str]:
    """The labels in columns of the first rows, those of lists of votes too."""
    found = [maybe(columns, path) for columns in sample for path in paths]
    votes = [[value] if (several := as_list(value)) is None else several for value in found]
    return {str(vote) for several in votes for vote in several if vote is not None}
