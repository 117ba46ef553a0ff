import numpy as np
from cdr_eval.harness.statistics.resampling import draw_counts, resample_weights
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abc")), min_size=1, max_size=40),
    st.integers(0, 2**32),
)
def test_clusters_are_drawn_whole_and_every_stratum_keeps_its_number_of_clusters(items, seed):
    clusters = [f"problem-{c}" for c, _ in items]
    strata = [s for _, s in items]
    weights = resample_weights(clusters, strata, 20, np.random.default_rng(seed))
    covered = {c: frozenset(s for d, s in zip(clusters, strata, strict=True) if c == d) for c in clusters}
    for row in weights:
        multiplicity: dict[str, float] = {}
        for c, w in zip(clusters, row, strict=True):
            assert multiplicity.setdefault(c, float(w)) == w
        for stratum in set(covered.values()):
            members = [c for c in covered if covered[c] == stratum]
            assert sum(multiplicity[c] for c in members) == len(members)


def test_standard_error_of_a_stratified_mean_matches_the_textbook_formula():
    rng = np.random.default_rng(0)
    strata = np.repeat(["a", "b"], [300, 100])
    values = np.where(strata == "a", rng.normal(0, 1, 400), rng.normal(5, 3, 400))
    weights = resample_weights(np.arange(400), strata, 20_000, rng)
    means = weights @ values / 400
    within = [values[strata == s].var() * (strata == s).sum() for s in "ab"]
    assert np.isclose(means.std(), np.sqrt(sum(within)) / 400, rtol=0.03)
    assert np.isclose(means.mean(), values.mean(), atol=0.01)


def test_clustered_items_have_the_standard_error_of_their_clusters():
    rng = np.random.default_rng(1)
    cluster_values = rng.normal(size=200)
    values = np.repeat(cluster_values, 6)
    weights = resample_weights(np.repeat(np.arange(200), 6), np.tile(list("abcdef"), 200), 20_000, rng)
    assert np.isclose((weights @ values / 1200).std(), cluster_values.std() / np.sqrt(200), rtol=0.03)


def test_draw_counts_are_multinomial():
    counts = draw_counts(4, 50_000, np.random.default_rng(2))
    assert (counts.sum(axis=1) == 4).all()
    assert np.allclose(counts.var(axis=0), 4 * 0.25 * 0.75, rtol=0.03)


def test_same_seed_same_weights_and_float32():
    first = resample_weights([1, 1, 2], ["x", "y", "x"], 5, np.random.default_rng(3))
    again = resample_weights([1, 1, 2], ["x", "y", "x"], 5, np.random.default_rng(3))
    assert first.dtype == np.float32
    assert (first == again).all()
