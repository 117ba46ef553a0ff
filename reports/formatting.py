"""Numbers as the reports print them."""

from math import isinf
from typing import Protocol

MISSING = "–"


class Interval(Protocol):
    """A number with its 95% interval."""

    @property
    def ci_low(self) -> float | None: ...
    @property
    def ci_high(self) -> float | None: ...


def percent(share: float | None) -> str:
    """A share in per cent, with a true minus and no negative zero: 0.824 -> "82.4"."""
    if share is None:
        return MISSING
    text = f"{100 * share:.1f}".replace("-", "−")
    return text if text.strip("−0.") else text.lstrip("−")


def percent_interval(value: float | None, row: Interval) -> str:
    """A share with its interval in per cent: "82.4 [79.0, 85.6]"."""
    if value is None:
        return MISSING
    if row.ci_low is None or row.ci_high is None:
        return f"{percent(value)} [no interval]"
    return f"{percent(value)} [{percent(row.ci_low)}, {percent(row.ci_high)}]"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign: "+3.1"."""
    return MISSING if difference is None else signed(100 * difference, 1)


def signed(value: float | None, digits: int) -> str:
    """A number with its sign, a true minus, and no negative zero."""
    if value is None:
        return MISSING
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text[1:] if not text.strip("+−0.") else text


def plain(value: float | None) -> str:
    """A number to three decimals, or where that is more, to three significant digits."""
    if value is None:
        return MISSING
    if isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size >= 1e6:
        return f"{value:.3g}".replace("-", "−")
    text = f"{value:.{3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0}f}"
    return text.replace("-", "−") if text.strip("-0.") else text.lstrip("-")


def p_value(value: float | None) -> str:
    """A p-value: three decimals, and "< 0.001" below."""
    if value is None:
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def count(number: int) -> str:
    """A count with thousands set apart: "2,985"."""
    return f"{number:,}"


def joined(names: list[str] | tuple[str, ...]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def plural(number: int, noun: str) -> str:
    """ "1 item", "2 items", "1,234 ties"."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"
