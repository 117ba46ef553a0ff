"""The tuning experiments, small: three arms and one seed."""

import numpy as np
import pytest
from cdr_eval.tasks.minilab.world import is_good, training_prompts

from benchmarks import label_rewards, off_policy, online_reward, weak_annotator
from benchmarks.tuning_loop import Lab, difference, verdict


def test_labels_of_a_judge_a_ratio_and_chance_are_tuned_on_and_compared(tmp_path):
    lab, names = Lab(tmp_path, 150, per_section=12), (label_rewards.RANDOM, "DPO-3/SFT vanilla", label_rewards.ORACLE)
    pairs, start, arms = label_rewards.experiment(lab, names, seeds=(0,))
    accuracies = [arms[name].accuracy for name in names]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] == 1.0
    assert 100 < pairs < 150
    assert all(arm.good.shape == start.good.shape == (48,) for arm in arms.values())
    assert not np.array_equal(arms[label_rewards.ORACLE].good, start.good)


def test_every_arm_chooses_among_the_same_responses(tmp_path):
    items = Lab(tmp_path, 40).items(8)
    prompts = {prompt.text: prompt for prompt in training_prompts(40)}
    for item in items:
        prompt = prompts[item.prompt[0]["content"]]
        assert list(item.grades) == [float(is_good(prompt, text)) for text in item.responses]
    mixed = [item for item in items if len(set(item.grades)) > 1]
    chosen = {arm: list(label_rewards.choices(arm, items.__class__(mixed), {}, 0)) for arm in ("oracle judge",)}
    assert all(item.grades[a] > item.grades[b] for item, a, b in chosen["oracle judge"])


def test_a_human_errs_as_often_as_the_noise_says_and_weights_follow_confidence(tmp_path):
    items = weak_annotator.pairs_of(Lab(tmp_path, 400).items(8))
    unequal = items.grades[::2] != items.grades[1::2]
    better = items.grades[::2] > items.grades[1::2]
    for noise in (0.0, 0.35):
        wrong = weak_annotator.human_labels(items, noise, 0) != better
        assert wrong[unequal].mean() == pytest.approx(noise, abs=0.1)
    labels = weak_annotator.labels_of(items, better.astype(float), np.arange(len(items), dtype=float))
    assert np.nanmean(labels.right) == 1.0
    assert np.isnan(labels.right).sum() == (~unequal).sum()
    weights = {arm: weak_annotator.weights_of(arm, labels) for arm in weak_annotator.ARMS}
    assert (np.diff(weights[weak_annotator.WEIGHTED]) >= 0).all()
    assert weights[weak_annotator.TOP].mean() == pytest.approx(0.5, abs=0.01)
    assert weights[weak_annotator.RIGHT].sum() == unequal.sum()


def test_a_policy_trained_online_is_looked_at_along_its_way(tmp_path):
    looks = online_reward.experiment(Lab(tmp_path, 60, per_section=12), steps=4, step=2)
    assert [look.step for look in looks] == [0, 2, 4]
    assert looks[0].reward != looks[2].reward
    assert "| 4 | " in "\n".join(online_reward.report(looks, 1.0))


def test_rewards_are_held_against_the_grammar_and_the_policy_on_the_same_prompts(tmp_path):
    kept = off_policy.experiment(Lab(tmp_path, 0, per_section=12), seeds=(0,), train=0.1)
    assert len({len(one.grammar) for one in kept.values()} | {len(one.policy) for one in kept.values()}) == 1
    assert kept["DPO-3/SFT vanilla"].policy.mean() > 0.6
    assert set(kept) == {*off_policy.RATIOS, off_policy.ANNOTATOR}


def test_intervals_of_a_difference_cover_it():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 400))
    found = difference(a, b)
    assert found.low < found.value < found.high
    spread = 100 * (a - b).std() / np.sqrt(400)
    assert found.high - found.low == pytest.approx(2 * 1.96 * spread, rel=0.05)
    assert verdict(difference(a + 0.2, b)) == "yes"
    assert verdict(difference(a, b + 0.2)) == "no"
