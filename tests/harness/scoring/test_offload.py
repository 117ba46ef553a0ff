"""Models whose layers do not all lie on the device are scored along the tree all the same."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.executors import check_executor
from cdr_eval.harness.options import Options
from cdr_eval.harness.scoring.load_options import LoadOptions
from cdr_eval.harness.scoring.loading import load_model
from cdr_eval.harness.scoring.open_models import OpenModels
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.harness.scoring.shared_prefix import SharedPrefixScorer
from cdr_eval.model_registry.checkpoint_files import find_checkpoint, localise
from cdr_eval.model_registry.registry import load_registry

from tests.adapters import save_adapter
from tests.gguf_files import write_gguf

LOAD = LoadOptions("cpu", "float32", False, False)
HERE = ("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head", "model.layers.0")
ON_DISK: dict[str, str] = {**dict.fromkeys(HERE, "cpu"), "model.layers.1": "disk"}


def scored(scorer: SharedPrefixScorer) -> list[float]:
    tokens = [(5, 6, 7, 8, *range(10, 20 + k)) for k in range(6)]
    values = np.zeros(6)
    for indices, sums in scorer.score([ScoringRequest(ids, tuple(range(4, len(ids)))) for ids in tokens]):
        values[indices] = sums
    return values.tolist()


def test_layers_on_the_disk_give_the_same_bits_along_the_tree_and_are_counted(llamas: Path, tmp_path: Path):
    whole = SharedPrefixScorer(load_model(llamas / "sft", LOAD))
    model = load_model(llamas / "sft", LOAD, device_map=ON_DISK, offload_folder=str(tmp_path))
    scorer = SharedPrefixScorer(model)
    assert scorer.fallback is None
    assert scored(scorer) == scored(whole)
    away = sum(p.numel() for p in model.model.layers[1].parameters()) / model.num_parameters()
    assert 0.1 < away < 0.5
    assert scorer.notes == [
        f"{away:.0%} of its weights did not fit on the device and were brought there from memory or disk in every pass."
    ]
    assert whole.notes == []


def test_what_fits_stays_where_it_is(llamas: Path):
    scorer = SharedPrefixScorer(load_model(llamas / "sft", LoadOptions("cpu", "float32", False, False, offload=True)))
    assert scorer.notes == []
    assert np.isfinite(scored(scorer)).all()


@pytest.mark.parametrize("kind", ["adapter", "gguf"])
def test_adapters_and_gguf_files_are_placed_too(llamas: Path, tmp_path: Path, kind: str):
    pytest.importorskip({"adapter": "peft", "gguf": "gguf"}[kind])
    folder = tmp_path / kind
    if kind == "adapter":
        save_adapter(folder, llamas / "base")
    else:
        folder.mkdir()
        write_gguf(folder / "model.gguf", llamas / "base", "Q8_0")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(llamas / "base" / name, folder)
    known = load_registry()
    local = localise(find_checkpoint(str(folder), known), known)
    whole, placed = (SharedPrefixScorer(OpenModels().open(local, load)) for load in (LOAD, replace(LOAD, offload=True)))
    assert placed.fallback is None
    assert scored(placed) == scored(whole)


@pytest.mark.parametrize("how", [{"executor": "ray"}, {"tensor_parallel": 2}])
def test_offload_is_for_one_process(how: dict[str, str]):
    with pytest.raises(UserError, match="--offload is for one process"):
        check_executor(Options(offload=True, **how))  # type: ignore[arg-type]
