"""Colours shared by the drawn figures and the HTML page; no two rely on red against green."""

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#666666"

RAMP = ("#08306b", "#4a90c4", "#f7f7f7", "#f5a742", "#b35806")
"""Blue below chance, orange above; the two ends differ in lightness, too."""


def ramp_colour(percent: float, chance: float, reach: float) -> str:
    """The ramp's colour, as #rrggbb, of an accuracy in per cent; chance - reach and chance + reach are its ends."""
    position = min(max((percent - chance) / (2 * reach) + 0.5, 0.0), 1.0) * (len(RAMP) - 1)
    lower = min(int(position), len(RAMP) - 2)
    share = position - lower
    mixed = (round(a + share * (b - a)) for a, b in zip(_rgb(RAMP[lower]), _rgb(RAMP[lower + 1]), strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def ink_on(background: str) -> str:
    """Black or white, whichever reads on a background of #rrggbb (by its luma, ITU-R BT.601)."""
    red, green, blue = _rgb(background)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 140 else "black"


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
