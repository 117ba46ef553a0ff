"""Tables of what can be said of one pair: selection curve, calibration, confidence, length."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from ..statistics.arrays import Codes, Estimate, Floats
from ..statistics.confidence import Calibration, calibration, folds_of, selection_area, selection_curve
from ..statistics.length_control import length_control

PAIR: Final = ["strong", "weak", "variant"]
INTERVAL: Final = ["ci_low", "ci_high"]
COLUMNS: Final = {
    "selection": [*PAIR, "fraction", "n", "accuracy", *INTERVAL],
    "calibration": [*PAIR, "bin", "n", "confidence", "accuracy", *INTERVAL],
    "confidence": [*PAIR, "statistic", "value", *INTERVAL],
    "length": [*PAIR, "statistic", "value", *INTERVAL],
}


@dataclass(frozen=True, slots=True)
class ItemData:
    """What the analyses of single items take; a row is a pair under a variant."""

    labels: Mapping[int, tuple[str, str, str]]
    """Row → (strong, weak or empty, variant); a row without labels is left out."""
    margin: Floats
    """(rows, items): reward of the best acceptable response less that of the best other; NaN = unscored."""
    credit: Floats
    """(rows, items): what each item earns by its rule; NaN = unscored."""
    clusters: Codes
    """(items,): items of one number are not independent of each other."""
    length_difference: Floats
    """(items,): mean characters of the acceptable responses less those of the others."""


def analyse_pair(data: ItemData, *, seed: int) -> dict[str, pd.DataFrame]:
    """The tables of COLUMNS for each labelled row; `seed` draws the folds of the calibration.

    Unscored items are left out; a row without a scored item has no rows in the tables.
    """
    fold = folds_of(data.clusters, np.random.default_rng(seed))
    rows: dict[str, list[list[object]]] = {name: [] for name in COLUMNS}
    for number, label in data.labels.items():
        for table, values in _row_of(data, number, fold):
            rows[table].append([*label, *values])
    return {name: pd.DataFrame(rows[name], columns=columns) for name, columns in COLUMNS.items()}


def _row_of(data: ItemData, number: int, fold: Codes) -> Iterator[tuple[str, list[object]]]:
    scored = np.isfinite(data.margin[number]) & ~np.isnan(data.credit[number])  # infinite: all grades are equal
    if not scored.any():
        return
    margin, right, difference = data.margin[number, scored], data.credit[number, scored], data.length_difference[scored]
    cluster, fold = data.clusters[scored], fold[scored]
    for point in selection_curve(margin, right, cluster):
        yield "selection", [point.fraction, point.n, *_numbers(point.accuracy)]
    fitted = calibration(margin, cluster, fold)
    for held in fitted.bins:
        yield "calibration", [held.bin, held.n, held.confidence, *_numbers(held.accuracy)]
    for statistic, estimate in _confidence(fitted, selection_area(margin, right, cluster)):
        yield "confidence", [statistic, *_numbers(estimate)]
    controlled = length_control(margin, difference, cluster)
    yield "length", ["correlation", *_numbers(controlled.correlation)]
    yield "length", ["partial_correlation", *_numbers(controlled.partial_correlation)]
    yield "length", ["length_controlled_accuracy", *_numbers(controlled.accuracy)]
    yield "length", ["length_slope", *_numbers(controlled.slope)]


def _confidence(fitted: Calibration, area: Estimate) -> list[tuple[str, Estimate]]:
    chance = Estimate(fitted.error_if_calibrated, np.nan, np.nan)
    return [("tau", fitted.temperature), ("ece", fitted.error), ("ece_if_calibrated", chance), ("area", area)]


def _numbers(estimate: Estimate) -> list[float]:
    return [estimate.value, estimate.low, estimate.high]
