"""What a column of a table may be: its type, unit and checks, and how the schema is read off a record's fields."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "'")
"""What a spreadsheet takes for the start of a formula, and the apostrophe that keeps it from doing so."""
GAP_PREFIX: Final = "gap_"

Kind = Literal["text", "name", "count", "number", "truth", "gaps"]
"""How a column is stored: text, names that repeat, integers, floats, booleans, or one float column a benchmark."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A column's kind, and its unit in words."""

    kind: Kind
    text: str
    checkpoint: bool = False
    """Whether it names a checkpoint of run.json (or none, when empty)."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as its record declares it."""

    name: str
    unit: Unit
    meaning: str


class Record(BaseModel):
    """Read-only; keys that this version does not know are left aside."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def columns_of(record: type[Record]) -> Iterator[Column]:
    """The columns of a table whose rows are such records, in their order."""
    for name, field in record.model_fields.items():
        units = [mark for mark in field.metadata if isinstance(mark, Unit)]
        if not units or not field.description:
            raise TypeError(f"{record.__name__}.{name} declares no unit or no meaning")
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        listed = f": {', '.join(f'`{choice}`' for choice in choices)}" if choices else ""
        yield Column(name, units[-1], field.description + listed)


def records_in(annotation: object) -> Iterator[type[Record]]:
    """Records that a field's type holds, itself or in a tuple, a mapping or an alternative."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        yield annotation
    for part in get_args(annotation):
        yield from records_in(part)


def inert(text: str) -> str:
    """A name that a spreadsheet would take for a formula gets an apostrophe in front."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _plain_text(value: object) -> object:
    """Undo `inert`."""
    if isinstance(value, str) and value.startswith("'") and value[1:].startswith(FORMULA):
        return value[1:]
    return value


def _finite_or_none(value: object) -> object:
    """Empty cells and non-finite numbers are missing values."""
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = float(value)
        except ValueError:
            return value  # pydantic refuses it, with the column's name
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number_or_none(value: object) -> object:
    """As `_finite_or_none`, but infinity is a value."""
    return value if value in {"inf", "-inf"} else _finite_or_none(value)


Plain = Annotated[str, BeforeValidator(_plain_text)]
Float = Annotated[float | None, BeforeValidator(_finite_or_none)]

Text = Annotated[Plain, Unit("text", "text")]
Name = Annotated[Plain, Unit("name", "text")]
Checkpoint = Annotated[Plain, Unit("name", "checkpoint", checkpoint=True)]
OneOf = Unit("name", "text")
"""For a Literal."""
Count = Annotated[int, Field(ge=0), Unit("count", "count")]
Number = Annotated[Float, Unit("number", "number")]
Extended = Annotated[float | None, BeforeValidator(_number_or_none), Unit("number", "number, may be infinite")]
Share = Annotated[
    Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(_finite_or_none), Unit("number", "share, 0 to 1")
]
Percent = Annotated[
    Annotated[float, Field(ge=0, le=100)] | None, BeforeValidator(_finite_or_none), Unit("number", "per cent")
]
Credit = Annotated[
    Annotated[float, Field(ge=-0.01, le=1.01)] | None,
    BeforeValidator(_finite_or_none),
    Unit("number", "share, 0 to 1, by the rule ties −0.01 to 1.01"),
]
"""Mean credit: the rule ties gives an item 0.01 less than 0 or more than 1 at the most."""
CreditPercent = Annotated[
    Annotated[float, Field(ge=-1, le=101)] | None,
    BeforeValidator(_finite_or_none),
    Unit("number", "per cent, 0 to 100, by the rule ties −1 to 101"),
]
Difference = Annotated[Float, Unit("number", "difference of shares, −1 to 1")]
Points = Annotated[Float, Unit("number", "benchmark points")]
Nats = Annotated[Float, Unit("number", "nats")]
Logits = Annotated[Float, Unit("number", "logits")]
Characters = Annotated[Float, Unit("number", "characters")]
PValue = Annotated[Share, Unit("number", "p-value, 0 to 1")]
Parameters = Annotated[int | None, BeforeValidator(_finite_or_none), Unit("number", "parameters")]
Truth = Annotated[bool, Unit("truth", "true or false")]
Gaps = Annotated[dict[str, Float], Unit("gaps", "benchmark points")]
