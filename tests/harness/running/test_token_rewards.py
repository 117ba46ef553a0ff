"""What each token earned adds up to the reward, and the tokens' texts to the response."""

import math
from pathlib import Path
from typing import Any

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, evaluate_grid, evaluate_pair


@pytest.mark.parametrize("mean", [False, True])
def test_the_tokens_of_a_response_add_up_to_its_reward(tmp_path: Path, mean: bool) -> None:
    options = Options(store=tmp_path / "store", limit=24, resamples=50, tokens=5, mean=mean)
    result = evaluate_pair("minilab-dpo-1", "minilab-sft", options=options)
    tokens = result.table("tokens")
    label = ["strong", "weak", "variant"]
    sums = tokens.groupby([*label, "item", "response"], observed=True)["value"].sum().to_dict()
    rewards = result.rewards.set_index([*label, "item", "response"])["reward"].to_dict()
    assert len(sums) > 100
    for key, total in sums.items():
        assert math.isclose(total, rewards[key], abs_tol=2e-4), key
    margins = result.margins
    vanilla = margins[margins["variant"] == "vanilla"].sort_values("margin", kind="stable")
    assert set(tokens["item"]) == set(vanilla["item"].iloc[:5])
    assert not tokens["variant"].str.startswith("judge-").any()
    texts = result.table("texts").set_index(["item", "response"])["text"].to_dict()
    of_vanilla = tokens[tokens["variant"] == "vanilla"].sort_values("position", kind="stable")
    for key, rows in of_vanilla.groupby(["item", "response"], observed=True):
        assert "".join(rows["token"].iloc[:-1]).strip() == texts[key].strip()
    assert any("computed anew" in note and "5 items" in note for note in result.run["notes"])


def test_a_grid_keeps_the_tokens_of_the_items_that_the_fewest_pairs_get_right(tmp_path: Path) -> None:
    options = Options(store=tmp_path / "store", limit=24, resamples=50, tokens=3)
    result = evaluate_grid(models=["minilab-base", "minilab-sft", "minilab-dpo-1"], options=options)
    margins = result.margins[result.margins["strong"] != result.margins["weak"]]
    right = (margins["margin"] > 0).groupby(margins["item"], observed=True).sum()
    tokens = result.table("tokens")
    kept = set(tokens["item"])
    assert len(kept) == 3
    assert max(right[list(kept)]) <= min(right.drop(list(kept)))
    label = ["strong", "weak", "variant", "item", "response"]
    sums = tokens.groupby(label, observed=True)["value"].sum().to_dict()
    rewards = result.rewards.set_index(label)["reward"].to_dict()
    assert len(sums) == 9 * 3 * 2
    assert sums == pytest.approx({key: rewards[key] for key in sums}, abs=2e-4)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"scorer": "lm-eval:hf"}, "leave --scorer lm-eval or --tokens out"),
        ({"tensor_parallel": 2}, "leave --tensor-parallel or --tokens out"),
        ({"executor": "ray", "device": "cuda:77"}, "This machine has no device 'cuda:77'"),
    ],
)
def test_where_a_checkpoint_cannot_be_opened_here_there_are_no_tokens(
    tmp_path: Path, how: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        evaluate_pair("minilab-dpo-1", "minilab-sft", options=Options(store=tmp_path, tokens=1, **how))
