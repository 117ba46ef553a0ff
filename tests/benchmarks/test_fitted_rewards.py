"""What the planted worlds of the fitted rewards' page are said to show is what their rows show."""

from benchmarks.fitted_rewards import VERDICTS, planted_study


def test_every_planted_bias_counts_for_the_verdict_on_them():
    rows = [line.split("|")[1:-1] for line in planted_study() if line.startswith("|")][2:]
    refused = {name.strip(): cells[-1].strip() == "refused" for name, *cells in rows}
    assert len(refused) == 7
    planted = [told for name, told in refused.items() if name not in {"honest", "a wrong preference that all share"}]
    assert (VERDICTS["H6"] == "yes") == (all(planted) and not refused["honest"])
