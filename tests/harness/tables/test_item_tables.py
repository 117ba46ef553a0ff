"""Tables of single items stay tables on poor data."""

import numpy as np
import pytest
from cdr_eval.harness.statistics.credits import credit
from cdr_eval.harness.tables.item_tables import COLUMNS, ItemData, analyse_pair

pytestmark = pytest.mark.filterwarnings("error")
ITEMS = 120
RNG = np.random.default_rng(0)
MARGIN = RNG.normal(0.5, 1, ITEMS)
LENGTH = RNG.integers(-500, 500, ITEMS).astype(float)


def data(margin: np.ndarray, length: np.ndarray = LENGTH) -> ItemData:
    labels = {0: ("strong", "weak", "vanilla")}
    return ItemData(labels, margin[None], credit(margin[None]), np.arange(ITEMS), length)


POOR = {
    "all ties": data(np.zeros(ITEMS)),
    "always right": data(np.ones(ITEMS)),
    "always wrong": data(-np.ones(ITEMS)),
    "nothing scored": data(np.full(ITEMS, np.nan)),
    "one item scored": data(np.where(np.arange(ITEMS) < ITEMS - 1, np.nan, MARGIN)),
    "items of equal grades": data(np.where(np.arange(ITEMS) < 10, np.inf, MARGIN)),
    "equal lengths": data(MARGIN, np.zeros(ITEMS)),
}


@pytest.mark.parametrize("name", POOR)
def test_poor_items_give_tables_with_the_same_columns_and_no_warning(name: str):
    found = analyse_pair(POOR[name], seed=0)
    assert {stem: table.columns.tolist() for stem, table in found.items()} == COLUMNS
    for stem, table in found.items():
        finite = table[table.statistic != "tau"] if stem == "confidence" else table
        assert not np.isinf(finite.select_dtypes("number")).any().any()
    assert all(table.empty for table in found.values()) == (name == "nothing scored")


def test_a_row_does_not_depend_on_the_rows_beside_it():
    alone = analyse_pair(data(MARGIN), seed=3)
    labels = {0: ("other", "weak", "vanilla"), 1: ("strong", "weak", "vanilla")}
    both = np.stack([-MARGIN, MARGIN])
    beside = analyse_pair(ItemData(labels, both, credit(both), np.arange(ITEMS), LENGTH), seed=3)
    for stem, table in alone.items():
        same = beside[stem][beside[stem].strong == "strong"].reset_index(drop=True)
        assert same.equals(table)
