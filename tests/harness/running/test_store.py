"""The score store: nothing is lost, nothing damaged is believed, and a key is a hash of all that can change a score."""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.running.packed import pack
from cdr_eval.harness.running.store import ScoreKeys, ScorerReport, ScoreStore
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.model_registry.checkpoint_files import localise
from cdr_eval.model_registry.schema import Checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st


@st.composite
def requests_(draw: st.DrawFn) -> ScoringRequest:
    tokens = draw(st.lists(st.integers(0, 2**31 - 1) | st.integers(0, 2), min_size=2, max_size=6))
    scored = draw(st.sets(st.integers(1, len(tokens) - 1), min_size=1))
    return ScoringRequest(tuple(tokens), tuple(sorted(scored)))


REQUESTS = requests_()


def key_of(keys: ScoreKeys, request: ScoringRequest) -> bytes:
    """A request's key, from the arrays that a run packs it into."""
    packed = pack([request])
    return keys.keys(packed.token_ids, packed.scored, packed.offsets)[0]


def key(name: str) -> bytes:
    return hashlib.md5(name.encode()).digest()


def filled(folder: Path, names: str = "abc", value: float = 0.0) -> ScoreStore:
    """A store with one chunk that holds a score for each letter."""
    store = ScoreStore(folder)
    store.append([key(n) for n in names], [value - i for i in range(len(names))], [7] * len(names), "m")
    return store


def chunk_of(folder: Path) -> Path:
    (chunk,) = folder.glob("*.parquet")
    return chunk


def test_what_was_appended_is_found_now_and_by_the_next_process(tmp_path: Path):
    store = filled(tmp_path)
    for opened in (store, ScoreStore(tmp_path)):
        values, found = opened.lookup([key("b"), key("z"), key("a"), key("b")])
        assert found.tolist() == [True, False, True, True]
        assert np.array_equal(values, [-1.0, np.nan, 0.0, -1.0], equal_nan=True)
        assert len(opened) == 3


@settings(max_examples=25, deadline=None)
@given(
    chunks=st.lists(
        st.dictionaries(st.binary(min_size=16, max_size=16), st.floats(width=64), min_size=1, max_size=5), max_size=6
    )
)
def test_every_float_comes_back_bit_by_bit(tmp_path_factory: pytest.TempPathFactory, chunks: list[dict[bytes, float]]):
    folder = tmp_path_factory.mktemp("store")
    store = ScoreStore(folder)
    first: dict[bytes, float] = {}
    for chunk in chunks:
        new = {k: v for k, v in chunk.items() if k not in first}
        first |= new
        if new:
            store.append(list(new), list(new.values()), [1] * len(new), "m")
    keys = list(first)
    for opened in (store, ScoreStore(folder)):
        values, found = opened.lookup(keys)
        assert found.all()
        assert np.array_equal(values, list(first.values()), equal_nan=True)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    seed=st.integers(0, 2**32),
    refreshed=st.booleans(),
)
def test_lookup_over_many_appended_runs_is_a_dict_s(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], seed: int, refreshed: bool
):
    """Keys of few bytes, zero bytes among them, so that chunks repeat each other's; the first score counts."""
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("store")
    store = ScoreStore(folder)
    reader = ScoreStore(folder)
    expected: dict[bytes, float] = {}
    pool = [bytes(rng.choice([0, 1, 255], size=16).astype(np.uint8)) for _ in range(300)]
    for number, size in enumerate(sizes):
        keys = [pool[i] for i in rng.choice(len(pool), size=size, replace=False).tolist()]
        values = rng.normal(size=size)
        store.append(keys, values.tolist(), [1] * size, "m")
        for k, value in zip(keys, values.tolist(), strict=True):
            expected.setdefault(k, value)
        if refreshed and number % 3 == 0:
            reader.refresh()
    values, found = store.lookup(pool)
    assert found.tolist() == [k in expected for k in pool]
    assert values[found].tolist() == [expected[k] for k in pool if k in expected]
    assert np.isnan(values[~found]).all()
    reader.refresh()
    assert reader.lookup(pool)[1].tolist() == found.tolist()


def test_what_a_scorer_had_to_say_is_kept_with_its_scores(tmp_path: Path):
    identity, other = (ScoreKeys(weights, "float32", "shared-prefix").identity for weights in ("w", "v"))
    store = ScoreStore(tmp_path)
    assert store.report(identity) == ScorerReport()
    store.add_report(identity, ScorerReport())
    assert not (tmp_path / "scorers").exists()
    store.add_report(identity, ScorerReport(["Shared prefixes are computed again."], {"largest": 1e-6}))
    opened = ScoreStore(tmp_path)
    assert opened.report(identity) == ScorerReport(["Shared prefixes are computed again."], {"largest": 1e-6})
    assert opened.report(other) == ScorerReport()
    opened.add_report(identity, ScorerReport(["Shared prefixes are computed again.", "Smaller batches."]))
    both = ["Shared prefixes are computed again.", "Smaller batches."]
    assert store.report(identity) == ScorerReport(both, {"largest": 1e-6})
    store.add_report(identity, ScorerReport([], {"largest": 2e-6}))
    assert opened.report(identity) == ScorerReport(both, {"largest": 2e-6})
    assert len(ScoreStore(tmp_path)) == 0


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"{}", b'{"notes": 3, "trial": {}}', b'{"notes": [], "trial": 1}']
)
def test_a_damaged_report_is_none(tmp_path: Path, content: bytes):
    store = ScoreStore(tmp_path)
    (tmp_path / "scorers").mkdir()
    (tmp_path / "scorers" / "abc.json").write_bytes(content)
    assert store.report("abc") == ScorerReport()
    store.add_report("abc", ScorerReport(["A fallback."]))
    assert store.report("abc").notes == ["A fallback."]


def test_a_report_that_cannot_be_written(tmp_path: Path):
    store = ScoreStore(tmp_path)
    (tmp_path / "scorers").write_text("")
    with pytest.raises(UserError, match="free space there or pass another --store"):
        store.add_report("abc", ScorerReport(["A fallback."]))


def test_nothing_asked_and_nothing_stored(tmp_path: Path):
    store = ScoreStore(tmp_path / "not" / "yet" / "there")
    assert [len(part) for part in store.lookup([])] == [0, 0]
    values, found = store.lookup([key("a")])
    assert np.isnan(values).all()
    assert not found.any()


def test_a_stored_nan_is_there(tmp_path: Path):
    store = ScoreStore(tmp_path)
    store.append([key("a"), key("b")], [float("nan"), float("-inf")], [1, 1], "m")
    values, found = ScoreStore(tmp_path).lookup([key("a"), key("b")])
    assert found.all()
    assert np.isnan(values[0])
    assert values[1] == -np.inf


@settings(max_examples=300, deadline=None)
@given(REQUESTS, REQUESTS)
def test_keys_are_equal_exactly_where_tokens_and_scored_positions_are(first: ScoringRequest, second: ScoringRequest):
    keys = ScoreKeys("weights", "float32", "reference")
    assert (key_of(keys, first) == key_of(keys, second)) == (first == second)
    assert len(key_of(keys, first)) == 16


def test_keys_change_with_weights_dtype_and_scorer_and_are_the_same_in_every_process():
    request = ScoringRequest((1, 2, 3), (1, 2))
    settings_ = [("w", "float32", "reference"), ("v", "float32", "reference"), ("w", "bfloat16", "reference")]
    settings_ += [("w", "float32", "shared-prefix"), ("wfloat32", "", "reference"), ("w", "float32reference", "")]
    keys = [key_of(ScoreKeys(*s), request) for s in settings_]
    assert len(set(keys)) == len(keys)
    # The bytes that are hashed, written out: a change here would lose every user's scores.
    content = b"1\0w\0float32\0reference" + np.array([1, 2, 3, -1, 1, 2], dtype="<i4").tobytes()
    assert keys[0] == hashlib.blake2b(content, digest_size=16).digest()


def test_moved_tokens_do_not_collide_with_scored_positions():
    keys = ScoreKeys("w", "float32", "reference")
    requests = [((1, 2), (1,)), ((1, 2, 1), ()), ((1,), ()), ((1, 2), (0,))]
    packed = pack([ScoringRequest(tokens, scored) for tokens, scored in requests])
    assert len(set(keys.keys(packed.token_ids, packed.scored, packed.offsets))) == 4


@given(st.lists(st.one_of(st.none(), requests_()), max_size=8))
def test_a_request_has_the_same_key_among_others_as_alone(asked: list[ScoringRequest | None]):
    keys, packed = ScoreKeys("w", "float32", "reference"), pack(asked)
    alone = [key_of(keys, request or ScoringRequest((), ())) for request in asked]
    assert keys.keys(packed.token_ids, packed.scored, packed.offsets) == alone


def test_keys_are_those_of_earlier_versions():
    """Computed by the code that wrote the first stores; another digest would lose every user's scores."""
    known = {
        "3974f034df8608bcb6984b5d22c1fef4": (("weights", "float32", "reference"), (1, 2, 3), (1, 2)),
        "0e51b0fd937b8b2b31a6f1bdde060957": (
            ("0f" * 32, "bfloat16", "shared-prefix"),
            (1, 151643, 7, 70000, 2**31 - 1, 5),
            (1, 3, 4, 5),
        ),
        "23287b5c89fe796fb9e1162e424f441c": (("w", "float16", "lm-eval:hf"), (0, 9), (1,)),
    }
    for digest, (settings_, token_ids, scored) in known.items():
        assert key_of(ScoreKeys(*settings_), ScoringRequest(token_ids, scored)).hex() == digest


def weights_of(folder: Path) -> str:
    return localise(Checkpoint(name="x", model=str(folder), label="x")).weights


def test_weights_identity_changes_with_what_the_model_computes_and_with_nothing_else(llamas: Path, tmp_path: Path):
    copy = Path(shutil.copytree(llamas / "dpo", tmp_path / "elsewhere"))
    (copy / "README.md").write_text("moved")
    (copy / "tokenizer_config.json").write_text("{}")
    (copy / "config.json").touch()
    assert weights_of(copy) == weights_of(llamas / "dpo")
    assert weights_of(llamas / "sft") != weights_of(llamas / "dpo")
    shutil.copy(copy / "model.safetensors", tmp_path / "kept")
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    assert weights_of(copy) != weights_of(llamas / "dpo")
    shutil.copy(tmp_path / "kept", copy / "model.safetensors")
    assert weights_of(copy) == weights_of(llamas / "dpo")
    config = (copy / "config.json").read_text()
    (copy / "config.json").write_text(config.replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'))
    assert weights_of(copy) != weights_of(llamas / "dpo")


@settings(max_examples=60, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_chunk_with_any_byte_changed_is_set_aside(tmp_path_factory: pytest.TempPathFactory, where: float, flip: int):
    folder = tmp_path_factory.mktemp("store")
    filled(folder, "abc")
    chunk = chunk_of(folder)
    content = bytearray(chunk.read_bytes())
    content[int(where * len(content))] ^= flip
    chunk.write_bytes(content)
    check_damaged(folder, chunk.name)


@pytest.mark.parametrize("length", [0, 1, 4, 100, -1])
def test_a_chunk_cut_short_is_set_aside(tmp_path: Path, length: int):
    filled(tmp_path, "abc")
    chunk = chunk_of(tmp_path)
    chunk.write_bytes(chunk.read_bytes()[:length])
    check_damaged(tmp_path, chunk.name)


def check_damaged(folder: Path, name: str) -> None:
    """The damage is counted, the chunk kept for a look, its scores are missing, and can be written again."""
    store = ScoreStore(folder)
    assert store.damaged == [name]
    assert (folder / "damaged" / name).is_file()
    assert not store.lookup([key("a")])[1].any()
    filled(folder, "abc")
    again = ScoreStore(folder)
    assert again.damaged == []
    assert again.lookup([key("a")])[1].all()


def test_undamaged_chunks_beside_a_damaged_one_are_read(tmp_path: Path):
    filled(tmp_path, "abc")
    chunk = chunk_of(tmp_path)
    filled(tmp_path, "de")
    chunk.write_bytes(b"PAR1 nonsense PAR1")
    _, found = ScoreStore(tmp_path).lookup([key("a"), key("d"), key("e")])
    assert found.tolist() == [False, True, True]


def test_half_written_files_and_strangers_are_ignored(tmp_path: Path):
    filled(tmp_path, "abc")
    (tmp_path / ".0123456789.tmp").write_bytes(b"PAR1 half a chu")
    (tmp_path / "notes.txt").write_text("mine")
    store = ScoreStore(tmp_path)
    assert len(store) == 3
    assert store.damaged == []
    assert (tmp_path / "notes.txt").is_file()


def test_nothing_but_chunks_and_the_format_is_left_behind(tmp_path: Path):
    filled(tmp_path, "abc")
    assert {file.suffix for file in tmp_path.iterdir()} == {"", ".parquet"}
    assert (tmp_path / "FORMAT").read_text() == "1"


def test_two_stores_of_one_folder_see_each_others_scores_after_refresh(tmp_path: Path):
    first, second = ScoreStore(tmp_path), ScoreStore(tmp_path)
    first.append([key("a")], [-1.0], [1], "m")
    second.append([key("b")], [-2.0], [1], "n")
    assert first.lookup([key("a"), key("b")])[1].tolist() == [True, False]
    for store in (first, second):
        store.refresh()
        values, found = store.lookup([key("a"), key("b")])
        assert found.all()
        assert values.tolist() == [-1.0, -2.0]
        assert len(store) == 2


def test_many_writers_to_one_new_folder(tmp_path: Path):
    def write(number: int) -> None:
        store = ScoreStore(tmp_path / "shared")
        for part in range(5):
            store.append([key(f"{number} {part}")], [float(number)], [1], f"m{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    _, found = ScoreStore(tmp_path / "shared").lookup([key(f"{n} {p}") for n in range(8) for p in range(5)])
    assert found.all()


def test_many_readers_that_find_the_same_damage(tmp_path: Path):
    store = ScoreStore(tmp_path)
    for number in range(150):
        store.append([key(str(number))], [0.0], [1], "m")
    for chunk in tmp_path.glob("*.parquet"):
        chunk.write_bytes(b"damaged")
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(ScoreStore, [tmp_path] * 8))
    assert all(len(store) == 0 for store in stores)
    assert len(list((tmp_path / "damaged").iterdir())) == 150


def test_a_chunk_that_vanishes_between_two_looks_is_no_error(tmp_path: Path):
    store = filled(tmp_path, "abc")
    chunk_of(tmp_path).unlink()
    store.refresh()
    assert store.lookup([key("a")])[1].all()  # what was read once stays known
    assert len(ScoreStore(tmp_path)) == 0


@pytest.mark.parametrize("found", ["2", "", "1.1", "\x00", "x" * 1000])
def test_another_format_is_refused_and_left_alone(tmp_path: Path, found: str):
    filled(tmp_path, "abc")
    (tmp_path / "FORMAT").write_text(found)
    with pytest.raises(UserError, match="update cdr-eval or pass another folder with --store") as caught:
        ScoreStore(tmp_path)
    assert len(str(caught.value)) < 300
    assert chunk_of(tmp_path).is_file()


def test_a_file_in_the_place_of_the_folder(tmp_path: Path):
    (tmp_path / "store").write_text("")
    with pytest.raises(UserError, match="pass another with --store"):
        ScoreStore(tmp_path / "store")


def test_pandas_reads_a_store_as_it_is(tmp_path: Path):
    store = filled(tmp_path, "ab", value=-3.5)
    store.append([key("c")], [-9.0], [12], "another model")
    table = pd.concat([pd.read_parquet(chunk) for chunk in sorted(tmp_path.glob("*.parquet"))])
    table = table.sort_values("logprob", ascending=False)
    assert table.columns.tolist() == ["key", "logprob", "tokens", "checkpoint"]
    assert table["key"].tolist() == [key("a"), key("b"), key("c")]
    assert table["logprob"].tolist() == [-3.5, -4.5, -9.0]
    assert table["tokens"].tolist() == [7, 7, 12]
    assert table["checkpoint"].tolist() == ["m", "m", "another model"]
