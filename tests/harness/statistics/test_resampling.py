"""The streamed bootstrap against the same one in plain loops, and against textbook formulas."""

from collections import Counter

import numpy as np
import pytest
from cdr_eval.harness.statistics import resampling
from cdr_eval.harness.statistics.arrays import Floats
from cdr_eval.harness.statistics.intervals import percentile_interval
from cdr_eval.harness.statistics.resampling import Bootstrap, draw_counts
from cdr_eval.harness.statistics.scopes import Scopes, Sections
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from tests.harness.statistics.drawn_items import multiplicities

TWO_SECTIONS: Sections = {"A": {"a": 30, "b": 10}, "B": {"c": 5, "d": 2}}
ITEMS = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from("abcd"), st.sampled_from([0.0, 0.5, 1.0, 1 / 3, np.nan])),
    min_size=1,
    max_size=40,
)


def plain_strata(clusters, subsets):
    """The clusters of each set of subsets in order of their first item, those of small strata together at the end."""
    covered = {c: frozenset(s for d, s in zip(clusters, subsets, strict=True) if c == d) for c in clusters}
    size = Counter(covered.values())
    stratum = {c: of if size[of] >= resampling.LEAST_CLUSTERS else None for c, of in covered.items()}
    order = sorted(dict.fromkeys(stratum.values()), key=lambda of: of is None)
    return [[c for c in stratum if stratum[c] == of] for of in order]


def plain_draws(clusters, subsets, resamples, rng):
    """The same in loops: stratum by stratum, all resamples at once."""
    weights = np.zeros((resamples, len(clusters)))
    for members in plain_strata(clusters, subsets):
        for r, row in enumerate(rng.integers(len(members), size=(resamples, len(members))).tolist()):
            for drawn in row:
                weights[r] += [c == members[drawn] for c in clusters]
    return weights


@settings(max_examples=50, deadline=None)
@given(ITEMS, st.integers(0, 2**32), st.integers(1, 40))
def test_streamed_resamples_are_those_of_one_draw_whatever_the_portions(items, seed, portion):
    clusters, subsets = [c for c, _, _ in items], [s for _, s, _ in items]
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "LEAST_CLUSTERS", 3)
        expected = plain_draws(clusters, subsets, 13, rng)
        patch.setattr(resampling, "DRAWS_AT_ONCE", portion)
        assert (multiplicities(clusters, subsets, 13, seed) == expected).all()
        scopes = Scopes.of(subsets, {})
        bootstrap, after = Bootstrap.of(np.array(clusters), scopes.subsets, 13, seed), np.random.default_rng(seed)
        bootstrap.accuracies(np.ones((2, len(items))), scopes, after)
        assert after.integers(2**40) == rng.integers(2**40)


@settings(max_examples=50, deadline=None)
@given(ITEMS, st.integers(0, 2**32), st.sampled_from([{}, TWO_SECTIONS]))
def test_a_resample_scores_as_if_its_items_were_written_out(items, seed, sections):
    clusters, subsets = [c for c, _, _ in items], [s for _, s, _ in items]
    credits = np.array([[c for _, _, c in items], [0.5] * len(items)])
    scopes = Scopes.of(subsets, sections)
    bootstrap = Bootstrap.of(np.array(clusters), scopes.subsets, 6, seed)
    found = bootstrap.accuracies(credits, scopes, bootstrap.generator())
    for r, times in enumerate(plain_draws(clusters, subsets, 6, np.random.default_rng(seed)).astype(int)):
        written = np.repeat(np.arange(len(items)), times)
        expected = Scopes.of([subsets[i] for i in written], sections).accuracies(credits[:, written])
        assert expected.keys() <= found.keys()
        for name, values in found.items():  # a section of which nothing is drawn is undefined
            assert values[:, r] == pytest.approx(expected.get(name, [np.nan] * 2), nan_ok=True, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abc")), min_size=1, max_size=40),
    st.integers(0, 2**32),
)
def test_clusters_are_drawn_whole_and_every_stratum_keeps_its_number_of_clusters(items, seed):
    clusters = [c for c, _ in items]
    strata = [s for _, s in items]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "LEAST_CLUSTERS", 3)
        weights, found = multiplicities(clusters, strata, 20, seed), plain_strata(clusters, strata)
    for row in weights:
        multiplicity: dict[str, float] = {}
        for c, w in zip(clusters, row, strict=True):
            assert multiplicity.setdefault(c, float(w)) == w
        for members in found:
            assert sum(multiplicity[c] for c in members) == len(members)


def test_standard_error_of_a_stratified_mean_matches_the_textbook_formula():
    rng = np.random.default_rng(0)
    strata = np.repeat(["a", "b"], [300, 100])
    values = np.where(strata == "a", rng.normal(0, 1, 400), rng.normal(5, 3, 400))
    means = resampled_means(values, np.arange(400), strata, 20_000)
    within = [values[strata == s].var() * (strata == s).sum() for s in "ab"]
    assert np.isclose(means.std(), np.sqrt(sum(within)) / 400, rtol=0.03)
    assert np.isclose(means.mean(), values.mean(), atol=0.01)


def resampled_means(values, clusters, subsets, resamples):
    scopes = Scopes.of(list(subsets), {})
    bootstrap = Bootstrap.of(clusters, scopes.subsets, resamples, 1)
    return bootstrap.accuracies(values[None], scopes, bootstrap.generator())["overall"][0]


def test_clustered_items_have_the_standard_error_of_their_clusters():
    rng = np.random.default_rng(1)
    cluster_values = rng.normal(size=200)
    values = np.repeat(cluster_values, 6)
    means = resampled_means(values, np.repeat(np.arange(200), 6), np.tile(list("abcdef"), 200), 20_000)
    assert np.isclose(means.std(), cluster_values.std() / np.sqrt(200), rtol=0.03)


def test_clusters_of_few_kinds_are_drawn_from_the_distribution_of_all_clusters():
    """Three rows of which two agree often and one lacks items, problems of one and of two items, two strata."""
    rng = np.random.default_rng(3)
    n = 12_000
    clusters = np.where(np.arange(n) < 4_000, np.arange(n) // 2, np.arange(n))
    right = rng.random(n) < 0.7
    rows = np.stack([right, np.where(rng.random(n) < 0.8, right, rng.random(n) < 0.4), rng.random(n) < 0.5]).astype(
        float
    )
    rows[0, rng.random(n) < 0.05] = 0.5
    rows[2, rng.random(n) < 0.2] = np.nan
    scopes = Scopes.of(["a" if i < 6_000 else "b" for i in range(n)], {"A": {"a": 2}, "B": {"b": 1}})
    bootstrap = Bootstrap.of(np.unique(clusters, return_inverse=True)[1], scopes.subsets, 3_000, 0)
    kinds, each = (
        bootstrap.accuracies(rows, scopes, np.random.default_rng(seed), alike=alike)
        for seed, alike in ((1, False), (2, True))
    )
    assert kinds.keys() == each.keys()
    for name, found in kinds.items():
        assert all(ks_2samp(ours, theirs).pvalue > 1e-3 for ours, theirs in zip(found, each[name], strict=True))
        np.testing.assert_allclose(np.cov(found), np.cov(each[name]), rtol=0.1, atol=0.04 * np.cov(found).max())


def test_draw_counts_are_multinomial():
    counts = draw_counts(4, 50_000, np.random.default_rng(2))
    assert (counts.sum(axis=1) == 4).all()
    assert np.allclose(counts.var(axis=0), 4 * 0.25 * 0.75, rtol=0.03)


def covered(clusters: list[int], subsets: list[str], truth: float, credits: Floats, seed: int) -> bool:
    scopes = Scopes.of(subsets, {"S": {"x": 100, "y": 30}})
    bootstrap = Bootstrap.of(np.array(clusters), scopes.subsets, 300, seed)
    resampled = bootstrap.accuracies(credits[None], scopes, bootstrap.generator())["overall"]
    low, high = percentile_interval(resampled, axis=1)
    return bool(low[0] <= truth <= high[0])


def test_the_bootstrap_interval_of_a_weighted_score_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(8)
    subsets = ["x"] * 60 + ["y"] * 90
    chances = np.where(np.array(subsets) == "x", 0.7, 0.4)
    truth = (0.7 * 100 + 0.4 * 30) / 130
    draws = (rng.random((400, 150)) < chances).astype(float)
    share = np.mean([covered(list(range(150)), subsets, truth, credits, k) for k, credits in enumerate(draws)])
    assert 0.91 < share < 0.98


def test_items_that_share_a_problem_need_clusters_for_that():
    rng = np.random.default_rng(9)
    subsets = ["x"] * 180
    clusters = np.repeat(np.arange(60), 3).tolist()
    draws = np.repeat((rng.random((300, 60)) < 0.6).astype(float), 3, axis=1)
    clustered = np.mean([covered(clusters, subsets, 0.6, credits, k) for k, credits in enumerate(draws)])
    apart = np.mean([covered(list(range(180)), subsets, 0.6, credits, k) for k, credits in enumerate(draws)])
    assert 0.9 < clustered < 0.98
    assert apart < 0.85


def test_problems_that_hardly_share_their_set_of_subsets_vary_all_the_same():
    """As under a limit: 100 problems, each asked in a few of 8 languages, rarely in the same ones as another."""
    rng = np.random.default_rng(10)
    found: list[bool] = []
    for run in range(100):
        asked = rng.random((100, 8)) < 0.4
        problem, language = np.nonzero(asked)
        right = rng.random(len(problem)) < rng.beta(2, 1, 100)[problem]
        clusters = np.unique(problem, return_inverse=True)[1].tolist()
        subsets = ["abcdefgh"[k] for k in language]
        found.append(covered(clusters, subsets, 2 / 3, right.astype(float), run))
    assert np.mean(found) > 0.87
