"""Tables of what can be said of one pair: selection curve, calibration, confidence, length."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from ..alignment_gap.grid_data import MarginData
from ..statistics.confidence import (
    Calibration,
    Estimate,
    Labels,
    calibration,
    folds_of,
    selection_area,
    selection_curve,
)
from ..statistics.length_control import length_control

PAIR: Final = ["strong", "weak", "variant"]
INTERVAL: Final = ["ci_low", "ci_high"]
COLUMNS: Final = {
    "selection": [*PAIR, "fraction", "n", "accuracy", *INTERVAL],
    "calibration": [*PAIR, "bin", "n", "confidence", "accuracy", *INTERVAL],
    "confidence": [*PAIR, "statistic", "value", *INTERVAL],
    "length": [*PAIR, "statistic", "value", *INTERVAL],
}


def analyse_pair(data: MarginData, *, seed: int) -> dict[str, pd.DataFrame]:
    """The tables of COLUMNS for each row of the margins; `seed` draws the folds of the calibration.

    Unscored items are left out; a row without a scored item has no rows in the tables.
    """
    cluster = np.unique(data.clusters, return_inverse=True)[1]
    fold = folds_of(cluster, np.random.default_rng(seed))
    rows: dict[str, list[list[object]]] = {name: [] for name in COLUMNS}
    for number in range(len(data.margin)):
        label = [data.strong[number], data.weak[number], data.variant[number]]
        for table, values in _row_of(data, number, cluster, fold):
            rows[table].append([*label, *values])
    return {name: pd.DataFrame(rows[name], columns=columns) for name, columns in COLUMNS.items()}


def _row_of(data: MarginData, number: int, cluster: Labels, fold: Labels) -> Iterator[tuple[str, list[object]]]:
    scored = ~np.isnan(data.margin[number])
    if not scored.any():
        return
    margin, difference = data.margin[number, scored], data.length_difference[scored].astype(np.float64)
    cluster, fold = cluster[scored], fold[scored]
    for point in selection_curve(margin, cluster):
        yield "selection", [point.fraction, point.n, *_numbers(point.accuracy)]
    fitted = calibration(margin, cluster, fold)
    for held in fitted.bins:
        yield "calibration", [held.bin, held.n, held.confidence, *_numbers(held.accuracy)]
    for statistic, estimate in _confidence(fitted, selection_area(margin, cluster)):
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
