from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from cdr_eval.harness.alignment_gap.checkpoint_pairs import PAIR_SETS
from cdr_eval.harness.alignment_gap.gap_tables import analyse_grid
from cdr_eval.harness.alignment_gap.grid_data import grid_accuracy

from tests.harness.alignment_gap.gap_example import Shape, simulated_grid

pytestmark = pytest.mark.filterwarnings("error")
STEMS = {"gap_analysis", "gap_fixed", "effects", "chain", "saturation", "recommendation"}


@pytest.fixture(scope="module")
def tables():
    return analyse_grid(simulated_grid(), resamples=200, seed=0)


def value_of(table, **labels):
    rows = table[np.logical_and.reduce([table[k] == v for k, v in labels.items()])]
    assert len(rows) == 1, labels
    return rows.iloc[0]


def test_every_file_has_rows_and_the_labels_that_reports_look_up(tables):
    assert set(tables) == STEMS
    assert all(len(table) for table in tables.values())
    gap = tables["gap_analysis"]
    assert set(gap.pair_set) == set(PAIR_SETS)
    assert set(gap.family) == {"family-0", "family-1", "pooled"}
    assert set(gap.scope) == {"Chat", "Reasoning", "overall"}
    assert not gap.duplicated(["pair_set", "family", "scope", "benchmark", "statistic"]).any()


def test_point_values_are_those_of_pandas_on_the_accuracies(tables):
    data = simulated_grid()
    overall = np.round(grid_accuracy(data).observed[-1], 12)  # ties but for rounding are ties
    score = data.scores["arena_hard"]
    frame = pd.DataFrame({"gap": score[data.strong] - score[data.weak], "accuracy": overall, "family": data.family})
    apart = frame[data.strong != data.weak]
    for family, rows in [*apart.groupby("family"), ("pooled", apart)]:
        for method in ("pearson", "spearman", "kendall"):
            found = value_of(
                tables["gap_analysis"],
                pair_set="ordered, no self",
                family=family,
                scope="overall",
                benchmark="arena_hard",
                statistic=method,
            )
            assert np.isclose(found.value, rows.gap.corr(rows.accuracy, method=method))


def test_accuracies_of_chain_and_recommendation_are_the_grids(tables):
    data = simulated_grid()
    accuracy = grid_accuracy(data)
    number = {
        (data.checkpoints[s], data.checkpoints[w]): p
        for p, (s, w) in enumerate(zip(data.strong, data.weak, strict=True))
    }
    for row in tables["recommendation"].itertuples():
        s = accuracy.scopes.index(row.name)
        assert np.isclose(row.accuracy, accuracy.observed[s, number[row.strong, row.weak]])
        assert row.ci_low <= row.accuracy <= row.ci_high
    for row in tables["chain"].itertuples():
        s = accuracy.scopes.index(row.scope)
        over_weak, over_own = (accuracy.observed[s, number[row.checkpoint, w]] for w in (row.weak, row.reference))
        assert np.isclose(row.accuracy, over_weak)
        if row.relation == "weaker":
            assert np.isclose(row.difference, over_weak - over_own)
        else:
            assert row.weak == row.reference and np.isnan(row.difference)


def test_units_are_the_problems_of_a_scope_that_a_pair_scored_in_part_at_least():
    data = simulated_grid()
    data.credit[np.random.default_rng(0).random(data.credit.shape) < 0.7] = np.nan
    found = grid_accuracy(data)
    for scope, units in zip(found.scopes, found.units, strict=True):
        inside = data.scopes.items_of(scope)
        for scored, count in zip(~np.isnan(data.credit), units, strict=True):
            assert count == len(set(data.bootstrap.clusters[inside & scored].tolist()))


def test_every_scope_names_one_cheapest_pair_among_the_tied(tables):
    for _, rows in tables["recommendation"].groupby("name"):
        assert rows.cheapest.sum() == 1 and rows[rows.cheapest].tied.all()
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))


def test_equal_seeds_give_equal_tables(tables):
    data = simulated_grid()
    again = analyse_grid(data, resamples=200, seed=0)
    for stem, table in tables.items():
        pd.testing.assert_frame_equal(table, again[stem])


def test_a_checkpoint_without_a_score_is_left_out_of_that_benchmark_and_counted():
    data = simulated_grid()
    scores = dict(data.scores)
    scores["arena_hard"] = np.where(np.arange(11) == 2, np.nan, scores["arena_hard"])
    gap = analyse_grid(replace(data, scores=scores), resamples=50, seed=0)["gap_analysis"]
    labels = {"pair_set": "all ordered", "family": "pooled", "scope": "overall"}
    counted = {b: value_of(gap, **labels, benchmark=b, statistic="n_left_out").value for b in scores}
    assert counted == {"arena_hard": 1, "alpaca_eval_2_lc": 0}
    assert value_of(gap, **labels, benchmark="arena_hard", statistic="n_pairs").value == 61 - 11
    both = value_of(gap, **labels, benchmark="arena_hard - alpaca_eval_2_lc", statistic="pearson_difference")
    assert np.isfinite(both.value)


def test_overall_needs_no_sections():
    data = simulated_grid()
    plain = replace(data, scopes=replace(data.scopes, sections={}))
    found = grid_accuracy(plain)
    assert found.scopes == ("overall",)
    assert np.allclose(found.observed[0], np.nanmean(data.credit, axis=1))
    assert set(analyse_grid(plain, resamples=50, seed=0)["effects"].scope) == {"overall"}


def with_credit(data, credit):
    return replace(data, credit=credit)


def poor_grids():
    data = simulated_grid()
    one_item = np.where(np.arange(120) < 119, np.nan, data.credit)
    return {
        "two checkpoints": simulated_grid(Shape(families=(2,))),
        "one checkpoint and itself": simulated_grid(Shape(families=(1,))),
        "families of one": simulated_grid(Shape(families=(1, 1))),
        "three checkpoints without self-pairs": simulated_grid(Shape(families=(3,), self_pairs=False)),
        "no benchmark": replace(data, scores={}),
        "no score": replace(data, scores={"arena_hard": np.full(11, np.nan)}),
        "one score": replace(data, scores={"arena_hard": np.where(np.arange(11) == 0, 1.0, np.nan)}),
        "two scores": replace(data, scores={"arena_hard": np.where(np.arange(11) < 2, np.arange(11.0), np.nan)}),
        "equal scores": replace(data, scores={"arena_hard": np.full(11, 5.0)}),
        "all ties": with_credit(data, np.full_like(data.credit, 0.5)),
        "always right": with_credit(data, np.ones_like(data.credit)),
        "always wrong": with_credit(data, np.zeros_like(data.credit)),
        "nothing scored": with_credit(data, np.full_like(data.credit, np.nan)),
        "one item scored": with_credit(data, one_item),
        "a pair unscored": with_credit(data, np.where(np.arange(61)[:, None] == 3, np.nan, data.credit)),
        "a subset unscored": with_credit(
            data, np.where(data.scopes.subsets == data.scopes.names.index("code"), np.nan, data.credit)
        ),
        "unknown sizes, objectives and references": replace(
            data, parameters=(None,) * 11, objectives=(None,) * 11, trained_from=(None,) * 11
        ),
        "a reference outside the grid": replace(data, trained_from=("elsewhere",) * 11),
    }


@pytest.mark.parametrize("name", poor_grids())
def test_poor_grids_give_tables_with_the_same_columns_and_no_warning(tables, name):
    found = analyse_grid(poor_grids()[name], resamples=40, seed=0)
    assert set(found) == STEMS
    for stem, table in found.items():
        assert table.columns.tolist() == tables[stem].columns.tolist()
        assert not np.isinf(table.select_dtypes("number")).any().any()
