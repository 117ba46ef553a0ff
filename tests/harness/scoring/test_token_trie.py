import numpy as np
from cdr_eval.harness.scoring.packing import SegmentLimits, cut_slice
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.harness.scoring.token_trie import Ranges, TokenTrie, build_trie, count_tokens
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.scoring.scoring_requests import tries


def prefixes(requests: list[ScoringRequest]) -> set[tuple[int, ...]]:
    """All different prefixes of what a model reads: one for each token of the trie."""
    return {request.token_ids[:end] for request in requests for end in range(1, request.scored[-1] + 1)}


def spelled(trie: TokenTrie, path: Ranges) -> tuple[int, ...]:
    return tuple(int(token) for start, stop in path for token in trie.token_ids[start:stop])


@given(tries())
def test_every_prefix_is_one_token_of_the_trie(requests: list[ScoringRequest]):
    trie = build_trie(requests)
    rows = [branch.path(row + 1) for branch in trie.branches for row in range(branch.start, branch.stop)]
    assert [row[-1][1] for row in rows] == list(range(1, len(trie.token_ids) + 1))
    assert {spelled(trie, path) for path in rows} == prefixes(requests)
    assert [len(spelled(trie, path)) - 1 for path in rows] == trie.positions.tolist()


@given(tries())
def test_count_is_the_number_of_different_prefixes(requests: list[ScoringRequest]):
    assert count_tokens(requests) == (
        len(prefixes(requests)),
        sum(len(request.token_ids) - 1 for request in requests),
    )


@given(tries())
def test_every_scored_token_is_read_after_the_tokens_before_it(requests: list[ScoringRequest]):
    trie = build_trie(requests)
    paths = {
        row: spelled(trie, branch.path(row + 1)) for branch in trie.branches for row in range(branch.start, branch.stop)
    }
    found = sorted(
        (int(request), (*paths[int(row)], int(target)))
        for row, target, request in zip(trie.read_rows, trie.read_targets, trie.read_requests, strict=True)
    )
    wanted = sorted(
        (index, request.token_ids[: position + 1])
        for index, request in enumerate(requests)
        for position in request.scored
    )
    assert found == wanted
    assert (trie.read_rows[1:] >= trie.read_rows[:-1]).all()


@given(tries(), st.randoms(use_true_random=False))
def test_order_of_the_requests_does_not_matter(requests: list[ScoringRequest], random):
    shuffled = random.sample(requests, len(requests))
    one, other = build_trie(requests), build_trie(shuffled)
    assert one.token_ids.tolist() == other.token_ids.tolist()
    assert one.branches == other.branches


@given(tries(), st.integers(0, 20), st.integers(1, 7), st.integers(0, 500))
def test_each_token_sees_its_path_in_what_is_carried_and_the_slice(
    requests: list[ScoringRequest], more: int, segment: int, call: int
):
    trie = build_trie(requests)
    paths = {row: branch.path(row + 1) for branch in trie.branches for row in range(branch.start, branch.stop)}
    carried: tuple[int, ...] = ()
    start = 0
    while start < len(trie.token_ids):
        layout = cut_slice(trie, start, segment + more, SegmentLimits(segment, call))
        buffer = (*carried, *trie.token_ids[start : layout.stop].tolist())
        assert len(carried) == layout.carried
        assert 0 < layout.stop - start <= segment + more
        covered = [row for part in layout.segments for row in range(part.start, part.stop)]
        assert covered == list(range(layout.stop - start))
        for part in layout.segments:
            assert part.stop - part.start <= segment
            keys = [token for begin, end in part.context for token in buffer[begin:end]]
            above = int(part.positions[0])
            places = [*range(above), *part.positions.tolist()]
            assert len(keys) == len(places)
            causal = np.tri(part.stop - part.start, len(keys), above, dtype=bool)
            for row, sees in enumerate(causal if part.path is None else part.path, start + part.start):
                assert tuple(np.array(keys)[sees]) == spelled(trie, paths[row])
                assert np.array(places)[sees].tolist() == list(range(trie.positions[row] + 1))
        carried = tuple(token for begin, end in layout.carry for token in buffer[begin:end])
        start = layout.stop
    assert carried == ()


def test_short_branches_after_a_long_path_attend_in_one_call_and_long_ones_each_in_their_own():
    def segments(above: int, tokens: int) -> int:
        path = tuple(range(above))
        branches = [ScoringRequest((*path, number, *range(tokens)), (above + tokens,)) for number in range(8)]
        trie = build_trie(branches)
        layout = cut_slice(trie, 0, len(trie.token_ids), SegmentLimits(256, 1_000))
        return sum(part.stop > above for part in layout.segments)

    assert segments(1024, 10) == 1
    assert segments(0, 120) == 8


def test_long_requests_share_their_prefix():
    prefix = tuple(range(1000))
    requests = [ScoringRequest((*prefix, 7, tail), (1000, 1001)) for tail in range(50)]
    assert count_tokens(requests) == (1001, 50 * 1001)
