"""Placing labels beside points so that none covers another."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, dist, pi, sin

from ..colours import GREY
from .look import Chart, alt, data

ANGLES = tuple(k * pi / 8 for k in (1, 3, 5, 7, 9, 11, 13, 15, 0, 2, 4, 6, 8, 10, 12, 14))
DISTANCES = (6.0, 12.0, 20.0, 30.0, 42.0)
"""Pixels between a point and the nearer end of its label."""
DOT = 3.0
"""Radius of a point, in pixels."""
SIZE = 10
"""Of the labels' font; a character is at most 0.6 of it wide on average."""

Spot = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """Linear axes: x from `left` to `right`, y from `low` to `high`, over width and height in pixels."""

    left: float
    right: float
    low: float
    high: float
    width: int = 640
    height: int = 380

    def pixels(self, x: float, y: float) -> Spot:
        """Where a point lies, from the lower left."""
        return (
            self.width * (x - self.left) / (self.right - self.left),
            self.height * (y - self.low) / (self.high - self.low),
        )

    def units(self, x: float, y: float) -> Spot:
        """What lies at a pixel."""
        return (
            self.left + (self.right - self.left) * x / self.width,
            self.low + (self.high - self.low) * y / self.height,
        )


@dataclass(frozen=True, slots=True)
class Box:
    """A label's place: its centre and half its size, in pixels."""

    x: float
    y: float
    across: float
    up: float

    def holds(self, spot: Spot) -> bool:
        """Whether a point lies inside."""
        return abs(spot[0] - self.x) < self.across and abs(spot[1] - self.y) < self.up

    def overlaps(self, other: "Box") -> bool:
        """Whether two labels share a pixel."""
        return abs(self.x - other.x) < self.across + other.across and abs(self.y - other.y) < self.up + other.up


def place_labels(labels: Sequence[tuple[float, float, str]], points: Sequence[Spot], frame: Frame) -> Chart:
    """Labels (x, y, text in data units) near their points as text and leader lines, the most important first."""
    rows: list[dict[str, object]] = []
    for (x, y, text), box in zip(labels, free_boxes(labels, points, frame), strict=True):
        if box is not None:
            to_x, to_y = frame.units(box.x, box.y)
            rows.append({"x": x, "y": y, "to_x": to_x, "to_y": to_y, "text": text})
    base = alt.Chart(data(rows))
    lines = base.mark_rule(color=GREY, strokeWidth=0.6, aria=False).encode(x="x:Q", y="y:Q", x2="to_x:Q", y2="to_y:Q")
    written = base.encode(x="to_x:Q", y="to_y:Q", text="text:N")
    halo = written.mark_text(fontSize=SIZE, stroke="white", strokeWidth=3, aria=False)
    return alt.layer(lines, halo, written.mark_text(fontSize=SIZE, color="black"))


def free_boxes(labels: Sequence[tuple[float, float, str]], points: Sequence[Spot], frame: Frame) -> list[Box | None]:
    """Where each label goes.

    A label takes the first place inside the axes where it covers no point, no other label and no leader line, and its
    own leader line crosses no label, and if there is one also no other point; one without such a place is left out
    rather than written over something.
    """
    dots = [frame.pixels(x, y) for x, y in points]
    spots = list(dots)
    boxes: list[Box | None] = []
    for x, y, text in labels:
        anchor, taken = frame.pixels(x, y), [box for box in boxes if box is not None]
        free = [box for box in _places(anchor, text) if _is_free(box, anchor, taken, spots, frame)]
        box = next((box for box in free if not _crosses(box, anchor, dots)), next(iter(free), None))
        boxes.append(box)
        spots += _leader(anchor, box) if box is not None else []
    return boxes


def _places(anchor: Spot, text: str) -> list[Box]:
    across, up = 0.3 * SIZE * len(text) + 2, 0.6 * SIZE + 2
    return [
        Box(anchor[0] + cos(angle) * (distance + across), anchor[1] + sin(angle) * (distance + up), across, up)
        for distance in DISTANCES
        for angle in ANGLES
    ]


def _is_free(box: Box, anchor: Spot, taken: Sequence[Box], spots: Sequence[Spot], frame: Frame) -> bool:
    inside = box.across <= box.x <= frame.width - box.across and box.up <= box.y <= frame.height - box.up
    covers = any(box.overlaps(other) for other in taken) or any(box.holds(spot) for spot in spots)
    return inside and not covers and not any(other.holds(s) for s in _leader(anchor, box) for other in taken)


def _crosses(box: Box, anchor: Spot, dots: Sequence[Spot]) -> bool:
    """Whether the leader line passes a point other than its own."""
    line = _leader(anchor, box)
    return any(dot != anchor and any(dist(dot, spot) < DOT for spot in line) for dot in dots)


def _leader(anchor: Spot, box: Box) -> list[Spot]:
    """Points along the line from the anchor to where it meets the box."""
    steps = (k / 40 for k in range(1, 41))
    line = [(anchor[0] + t * (box.x - anchor[0]), anchor[1] + t * (box.y - anchor[1])) for t in steps]
    return [spot for spot in line if not box.holds(spot)]
