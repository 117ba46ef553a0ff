"""The tuning experiments, small: three arms and one seed."""

from dataclasses import replace

import numpy as np
import pytest
from cdr_eval.tasks.items import Items
from cdr_eval.tasks.minilab.world import is_good, training_prompts

from benchmarks import label_rewards, off_policy, online_reward, weak_annotator, weak_labels
from benchmarks.tuning_loop import POLICY, Lab, Outcome, difference, verdict


def test_labels_of_a_judge_a_ratio_and_chance_are_tuned_on_and_compared(tmp_path):
    lab, names = Lab(tmp_path, 150, per_section=12), (label_rewards.RANDOM, "DPO-3/SFT vanilla", label_rewards.ORACLE)
    pairs, arms = label_rewards.experiment(lab, names, seeds=(0,))
    start = lab.outcome(POLICY, "start")
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
    chosen = label_rewards.choices(label_rewards.ORACLE, Items(mixed), {}, 0)
    assert all(item.grades[a] > item.grades[b] for item, a, b in chosen)


def test_a_human_errs_as_often_as_the_noise_says_and_weights_follow_confidence(tmp_path):
    items = weak_labels.pairs_of(Lab(tmp_path, 400).items(8))
    unequal = items.grades[::2] != items.grades[1::2]
    better = items.grades[::2] > items.grades[1::2]
    for noise in (0.0, 0.35):
        wrong = weak_labels.human_labels(items, noise, 0) != better
        assert wrong[unequal].mean() == pytest.approx(noise, abs=0.1)
    labels = weak_labels.by_reward(items, items.grades + np.tile([0.0, 1e-9], len(items)))
    assert np.nanmean(labels.right) == 1.0
    assert np.isnan(labels.right).sum() == (~unequal).sum()
    labels = replace(labels, margin=np.linspace(0, 4, len(items)))
    weights = {name: weak_annotator.weights_of(way, labels) for name, way in weak_annotator.WAYS.items()}
    assert all((np.diff(weights[f"BT × C{number}"]) >= 0).all() for number in (1, 2, 3, 4))
    assert [weights[f"BT × C{number}"][-1] for number in (3, 4)] == pytest.approx([1, 0.8])
    for share in (75, 50, 30):
        top = weights[f"BT, top {share}%, equal steps"]
        assert top.mean() == pytest.approx(share / 100, abs=0.01)
        assert labels.margin[top == 1].min() > labels.margin[top == 0].max()
    assert weights["BT × oracle"].all()
    assert weights["BT × oracle, unequal pairs alone"].tolist() == unequal.tolist()
    odd = np.arange(len(items)) % 2 == 1
    wrong = weak_labels.labels_of(items, (better ^ odd).astype(np.float64), labels.margin)
    left_out = weak_annotator.weights_of(weak_annotator.WAYS["BT × oracle"], wrong) == 0
    assert left_out.tolist() == (unequal & odd).tolist()


def test_annotators_label_what_they_have_not_learned_from_and_ways_to_use_it_are_compared(tmp_path, monkeypatch):
    for name in ("HEAD", "WEAK"):
        monkeypatch.setattr(weak_labels, name, replace(getattr(weak_labels, name), epochs=1.0))
    lab, top, human = Lab(tmp_path, 60, per_section=4), "BT, top 30%, equal epochs", weak_annotator.HUMAN
    cells = {("WS-DPO", "DPO"): (0,), (top, "IPO"): (0,), (human, "DPO"): (0, 1), (human, "IPO"): (0,)}
    plan = {weak_annotator.Place(0.2, loss, way): seeds for (way, loss), seeds in cells.items()}
    results = weak_annotator.experiment(lab, plan)
    assert list(results.arms) == list(plan)
    assert set(results.annotators) == {(0.2, "WS"), (0.2, "BT")}
    labels = weak_labels.Annotators(lab, weak_labels.pairs_of(lab.items(8)), 0.2, 0)
    learned, others = (
        {item.prompt[0]["content"] for item in labels.labels(source).items} for source in ("human on 30%", "human")
    )
    assert not learned & others
    ws, best, both, first = results.arms.values()
    assert len(others) == results.pairs == ws.pairs
    assert best.pairs == round(0.3 * results.pairs)
    assert (len(both.outcomes), both.right) == (2, first.right)
    assert "| WS-DPO |" in "\n".join(weak_annotator.report(lab, results, ""))


def test_what_sharpening_alone_brings_is_read_off_the_start_at_its_temperatures():
    starts = {t: Outcome(np.array([good]), 0.0, 0.0, distinct) for t, good, distinct in ((1.0, 0.4, 5), (0.5, 0.6, 4))}
    found = [label_rewards.sharpened(starts, distinct)[0] for distinct in (6, 5, 4.5, 4, 3)]
    assert found == pytest.approx([0.4, 0.4, 0.5, 0.6, 0.6])


def test_a_policy_trained_online_is_looked_at_along_its_way(tmp_path):
    looks = online_reward.experiment(Lab(tmp_path, 60, per_section=12), steps=4, step=2)
    assert [look.step for look in looks] == [0, 2, 4]
    assert looks[0].reward != looks[2].reward
    assert "| 4 | " in "\n".join(online_reward.report(looks, 1.0))


def test_rewards_are_held_against_the_grammar_and_the_policy_on_the_same_prompts(tmp_path):
    kept = off_policy.experiment(Lab(tmp_path, 150, per_section=12), seeds=(0,), count=96)
    assert len({len(one.grammar) for one in kept.values()} | {len(one.policy) for one in kept.values()}) == 1
    assert kept["DPO-3/SFT vanilla"].policy.mean() > 0.6
    assert set(kept) == {*off_policy.RATIOS, off_policy.ANNOTATOR, off_policy.OWN}


def test_intervals_of_a_difference_cover_it():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 400))
    found = difference(a, b)
    assert found.low < found.value < found.high
    spread = 100 * (a - b).std() / np.sqrt(400)
    assert found.high - found.low == pytest.approx(2 * 1.96 * spread, rel=0.05)
    assert verdict(difference(a + 0.2, b)) == "yes"
    assert verdict(difference(a, b + 0.2)) == "no"
