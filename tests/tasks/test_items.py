"""Items give back what they were made of, chunk by chunk, from memory and from the disk."""

import json
import multiprocessing
import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise

import numpy as np
import pytest
from cdr_eval.tasks import items as items_module
from cdr_eval.tasks.item import Item, Turn, content_hash
from cdr_eval.tasks.items import Items
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
TURNS = st.lists(
    st.builds(Turn, role=st.sampled_from(["system", "user", "assistant"]), content=TEXT), min_size=1, max_size=3
).map(tuple)


@st.composite
def any_item(draw: st.DrawFn) -> Item:
    n = draw(st.integers(2, 5))
    grades = st.lists(st.floats(allow_nan=False), min_size=n, max_size=n).map(tuple)
    styles = st.lists(st.integers(0, 5), min_size=n, max_size=n).map(tuple)
    pair = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))
    return Item(
        id=draw(TEXT),
        subset=draw(TEXT),
        prompt=draw(TURNS),
        responses=tuple(draw(st.lists(TEXT, min_size=n, max_size=n))),
        grades=draw(grades | st.just(())),
        pairs=tuple(draw(st.lists(pair, max_size=3))),
        styles=draw(styles | st.just(())),
        group=draw(TEXT | st.none()),
        role=draw(TEXT),
        problem=draw(TEXT | st.none()),
        labels=draw(st.dictionaries(TEXT, TEXT, max_size=2)),
    )


LISTS = st.lists(any_item(), max_size=8)


def item(number: int, n: int = 2, length: int = 1) -> Item:
    return Item(f"i{number}", "s", (Turn(role="user", content="q"),), tuple(f"{k}" * length for k in range(n)))


@given(LISTS, st.sampled_from([1, 4, 2_048]), st.sampled_from([0, 64, 2**26]))
def test_items_come_back_with_all_their_fields(made: list[Item], chunk_responses: int, memory: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(items_module, "CHUNK_RESPONSES", chunk_responses)
        patch.setattr(items_module, "MEMORY_BYTES", memory)
        items = Items(made)
    assert items == tuple(made)
    assert items == Items(iter(made))
    assert len(items) == len(made)
    assert [items[i] for i in reversed(range(len(made)))] == made[::-1]
    assert items[::-2] == tuple(made[::-2])
    assert items[1:3] == tuple(made[1:3])
    assert all(items[-i] == made[-i] for i in range(1, len(made) + 1))
    covered = [number for chunk in items.chunks for number in chunk]
    assert covered == list(range(len(made)))
    for number, chunk in enumerate(items.chunks):
        assert items.chunk(number) == tuple(made[i] for i in chunk)


@given(LISTS)
def test_what_is_kept_in_memory_is_flat_in_the_order_of_the_items(made: list[Item]):
    items = Items(made)
    texts = [text for i in made for text in i.responses]
    assert items.ids == [i.id for i in made]
    assert items.subsets == [i.subset for i in made]
    assert items.groups == [i.group or "" for i in made]
    assert items.roles == [i.role for i in made]
    assert items.pairs == {number: i.pairs for number, i in enumerate(made) if i.pairs}
    assert items.chars.tolist() == [len(text) for text in texts]
    assert items.offsets[0] == 0
    assert items.offsets[-1] == len(texts)
    assert items.owners.tolist() == [number for number, i in enumerate(made) for _ in i.responses]
    for number, (start, stop) in enumerate(pairwise(items.offsets)):
        assert texts[start:stop] == list(made[number].responses)
        assert items.counts[number] == stop - start
        if made[number].grades:
            assert tuple(items.grades[start:stop]) == made[number].grades
        else:
            assert np.isnan(items.grades[start:stop]).all()
        assert tuple(items.styles[start:stop]) == (made[number].styles or (-1,) * (stop - start))


def test_items_of_a_problem_or_else_of_a_group_share_a_cluster_and_no_id_is_taken_for_one():
    def of(id: str, problem: str | None = None, group: str | None = None) -> Item:
        return replace(item(0), id=id, prompt=(Turn(role="user", content=id),), problem=problem, group=group)

    made = [of("a", "x"), of("b", "x", "y"), of("x"), of("c", None, "x"), of("d", None, "x"), of("y")]
    clusters = Items(made).clusters
    assert [clusters.index(label) for label in clusters] == [0, 0, 2, 3, 3, 5]


def test_items_of_equal_prompts_share_a_cluster_where_nothing_else_says_what_belongs_together():
    other = (Turn(role="user", content="another"),)
    made = [
        item(0),
        replace(item(1), prompt=other),
        item(2),
        replace(item(3), problem="x"),
        replace(item(4), group="y"),
    ]
    assert Items(made).clusters == ["item i0", "item i1", "item i0", "problem x", "group y"]


def test_a_chunk_ends_with_the_item_that_reaches_a_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(items_module, "CHUNK_RESPONSES", 6)
    assert Items(item(i) for i in range(7)).chunks == [range(3), range(3, 6), range(6, 7)]
    assert Items([item(0), item(1, n=9), item(2)]).chunks == [range(2), range(2, 3)]
    monkeypatch.setattr(items_module, "CHUNK_CHARS", 100)
    # The prompt counts once a response: 2 · (49 + 1) reaches the limit, 2 · (48 + 1) does not.
    assert Items(item(i, length=49) for i in range(2)).chunks == [range(1), range(1, 2)]
    assert Items(item(i, length=48) for i in range(2)).chunks == [range(2)]
    assert Items([]).chunks == []


@pytest.mark.parametrize(("memory", "on_disk"), [(10_000, True), (100_000_000, False)])
def test_large_texts_go_to_the_disk(monkeypatch: pytest.MonkeyPatch, memory: int, on_disk: bool):
    monkeypatch.setattr(items_module, "MEMORY_BYTES", memory)
    monkeypatch.setattr(items_module, "CHUNK_CHARS", 4_000)
    made = [item(i, n=3, length=1_000) for i in range(40)]
    items = Items(made)
    assert (items._file is not None) == on_disk  # pyright: ignore
    assert len(items.chunks) == 20
    assert items == tuple(made)
    assert [items[i] for i in (39, 0, 20, 1)] == [made[i] for i in (39, 0, 20, 1)]


def strangers(items: Items, rounds: int) -> int:
    """How often a chunk, read again and again, was not the one that was asked for."""
    wrong = 0
    for number in list(range(len(items.chunks))) * rounds:
        read = items.chunk(number)
        wrong += [item.id for item in read] != items.ids[items.chunks[number].start : items.chunks[number].stop]
    return wrong


@pytest.mark.parametrize("memory", [10_000, 100_000_000])
def test_threads_and_forked_processes_read_the_chunks_that_they_ask_for(monkeypatch: pytest.MonkeyPatch, memory: int):
    monkeypatch.setattr(items_module, "MEMORY_BYTES", memory)
    monkeypatch.setattr(items_module, "CHUNK_CHARS", 4_000)
    items = Items(item(i, n=3, length=1_000) for i in range(40))
    between = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(strangers, [items] * 4, [25] * 4)) == [0] * 4
    finally:
        sys.setswitchinterval(between)
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=lambda: os._exit(strangers(items, 50) > 0)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert pickle.loads(pickle.dumps(items)) == items


def test_equality_with_tuples_and_other_things():
    items = Items([item(0), item(1)])
    assert items == (item(0), item(1))
    assert items != (item(1), item(0))
    assert items != (item(0),)
    assert items != [item(0), item(1)]
    with pytest.raises(IndexError):
        items[2]


@given(TEXT, TEXT, TURNS, TEXT, TEXT, TEXT | st.none())
def test_the_hash_of_a_preference_item_is_that_of_its_chosen_and_rejected_keys(
    id: str, subset: str, prompt: tuple[Turn, ...], chosen: str, rejected: str, problem: str | None
):
    """So that the hashes in run records from before items had N responses still hold."""
    made = Item.preference(id, subset, prompt, chosen, rejected, problem)
    keys = {"id": id, "subset": subset, "prompt": prompt, "chosen": chosen, "rejected": rejected, "problem": problem}
    line = json.dumps(keys, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert made.is_preference
    assert content_hash([made, made]) == sha256(line + line).hexdigest()
    assert content_hash(Items([made, made])) == content_hash([made, made])


def test_the_hash_tells_every_field_of_n_responses():
    plain = Item.preference("a", "s", (Turn(role="user", content="q"),), "c", "r")
    others = [
        replace(plain, responses=("c", "r", "x")),
        replace(plain, responses=("c", "r", "x"), grades=(1.0, 0.0, 0.0)),
        replace(plain, grades=()),
        replace(plain, grades=(0.5, 0.0)),
        replace(plain, pairs=((0, 1),)),
        replace(plain, styles=(0, 0)),
        replace(plain, group="g"),
        replace(plain, role="ref"),
        replace(plain, labels={"language": "de"}),
    ]
    assert not any(other.is_preference for other in others)
    assert len({content_hash([made]) for made in (plain, *others)}) == 10
