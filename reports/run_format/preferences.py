"""Which response of each item of a run is the chosen one."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import UserError


def chosen_and_rejected(items: pd.DataFrame, texts: pd.DataFrame) -> NDArray[np.intp]:
    """(2, items) places, among all responses, of the one of higher grade and of the other.

    Raises UserError where an item has not two responses of unequal grades.
    """
    if (items["responses"] != 2).any():
        raise UserError("This format holds a chosen and a rejected response of each item: the run has others.")
    grades = texts["grade"].to_numpy(dtype=np.float64).reshape(-1, 2)
    ungraded = (grades[:, 0] == grades[:, 1]) | np.isnan(grades).any(axis=1)
    if ungraded.any():
        raise UserError(f"{ungraded.sum()} items of the run say not which response is better, as this format does.")
    first = np.arange(0, grades.size, 2, dtype=np.intp)
    swapped = (grades[:, 0] < grades[:, 1]).astype(np.intp)
    return np.stack([first + swapped, first + 1 - swapped])
