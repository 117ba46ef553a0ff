"""Which checkpoints may be compared, and what a reader is told about how they were made comparable."""

import shutil
from pathlib import Path

import pytest
import yaml
from cdr_eval.errors import UserError
from cdr_eval.harness import Options
from cdr_eval.harness.rendering.groups import Group, open_group
from cdr_eval.model_registry.checkpoint_files import find_checkpoint
from cdr_eval.model_registry.registry import Registry, load_registry
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tests.checkpoints import CHATML, ZEPHYR, byte_level_tokenizer, metaspace_tokenizer, save_llama


def group(*named: Path | str, registry: Registry | None = None, options: Options | None = None) -> Group:
    """The group of the checkpoints that these names stand for."""
    known = registry or load_registry()
    checkpoints = [find_checkpoint(str(name), known) for name in named]
    pairs = [(checkpoints[0].name, checkpoints[-1].name)]
    return open_group(checkpoints, pairs, known.common_family(checkpoints), known, options or Options())


def with_tokenizer(folder: Path, source: Path, tokenizer: PreTrainedTokenizerFast, template: str | None) -> Path:
    """A copy of a checkpoint with another tokenizer."""
    shutil.copytree(source, folder)
    for file in (*folder.glob("token*"), *folder.glob("*.jinja")):
        file.unlink()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def declared(llamas: Path, tmp_path: Path) -> Registry:
    """A registry file that declares `base` and `sft` as one family and `dpo` as another."""

    def checkpoint(name: str) -> dict[str, object]:
        score = {"benchmark": "arena_hard", "value": 20.0, "source": "mine"}
        return {"name": f"my-{name}", "model": str(llamas / name), "label": name, "stage": "sft", "scores": [score]}

    families = [
        {"name": "one", "description": "d", "members": ["my-base", "my-sft"], "chat_template": ZEPHYR},
        {"name": "two", "description": "d", "members": ["my-dpo"]},
    ]
    data = {
        "sources": {"mine": {"title": "Mine"}},
        "families": families,
        "checkpoints": [checkpoint(name) for name in ("base", "sft", "dpo")],
    }
    file = tmp_path / "registry.yaml"
    file.write_text(yaml.safe_dump(data))
    return load_registry((file,))


def test_folders_of_one_tokenizer_may_be_compared(llamas: Path):
    found = group(llamas / "sft", llamas / "base")
    assert [member.local.name for member in found.members] == ["sft", "base"]
    assert (found.family, found.template_source, found.notes) == ("", "tokenizer of sft", ())
    assert {member.renderer.max_length for member in found.members} == {4096}
    assert len({member.local.weights for member in found.members}) == 2


def test_folders_of_different_tokenizers_are_refused_unless_the_user_wants_them(llamas: Path, tmp_path: Path):
    other = with_tokenizer(tmp_path / "other", llamas / "base", metaspace_tokenizer("chatml"), CHATML)
    with pytest.raises(UserError, match=r"sft and other have different tokenizers.*--allow-cross-family"):
        group(llamas / "sft", other)
    allowed = group(llamas / "sft", other, options=Options(allow_cross_family=True))
    assert any("sft and other have different tokenizers" in note for note in allowed.notes)
    assert "--allow-cross-family" in allowed.notes[0]


def test_a_tokenizer_with_one_merge_less_is_a_different_one(llamas: Path, tmp_path: Path):
    other = with_tokenizer(tmp_path / "other", llamas / "base", byte_level_tokenizer("chatml", size=300), CHATML)
    with pytest.raises(UserError, match="have different tokenizers"):
        group(llamas / "sft", other)


def test_another_template_of_its_own_is_replaced_and_noted(llamas: Path, tmp_path: Path):
    other = with_tokenizer(tmp_path / "other", llamas / "base", byte_level_tokenizer("chatml"), ZEPHYR)
    found = group(llamas / "sft", other)
    assert {member.renderer.template for member in found.members} == {CHATML}
    assert any(note.startswith("other has a chat template of its own") for note in found.notes)


def test_in_a_family_without_template_one_of_the_members_own_is_used_and_noted(llamas: Path, tmp_path: Path):
    folders = {"my-sft": llamas / "sft", "my-base": tmp_path / "base", "my-plain": tmp_path / "plain"}
    with_tokenizer(folders["my-base"], llamas / "base", byte_level_tokenizer("chatml"), ZEPHYR)
    with_tokenizer(folders["my-plain"], llamas / "base", byte_level_tokenizer("chatml"), None)
    family = {"name": "mine", "description": "d", "members": ["my-plain", "my-base", "my-sft"]}
    known = [{"name": name, "label": name, "model": str(path), "stage": "sft"} for name, path in folders.items()]
    file = tmp_path / "registry.yaml"
    file.write_text(yaml.safe_dump({"families": [family], "checkpoints": known}))
    registry = load_registry((file,))
    for named in (("my-sft", "my-base"), ("my-base", "my-sft"), family["members"]):
        found = group(*named, registry=registry)
        assert (found.family, found.template_source) == ("mine", "tokenizer of my-base")
        assert {member.renderer.template for member in found.members} == {ZEPHYR}
        assert [note.partition(",")[0] for note in found.notes] == ["my-sft has a chat template of its own"]
    assert group("my-sft", "my-plain", registry=registry).notes == ()


def test_a_base_model_without_template_takes_its_partners(llamas: Path, tmp_path: Path):
    base = with_tokenizer(tmp_path / "plain", llamas / "base", byte_level_tokenizer("chatml"), None)
    for named in ((llamas / "sft", base), (base, llamas / "sft")):
        found = group(*named)
        assert found.template_source == "tokenizer of sft"
        assert {member.renderer.template for member in found.members} == {CHATML}
        assert found.notes == ()


def test_without_any_template_a_file_must_be_passed(llamas: Path, tmp_path: Path):
    folders = [
        with_tokenizer(tmp_path / name, llamas / name, byte_level_tokenizer("chatml"), None) for name in ("sft", "base")
    ]
    with pytest.raises(UserError, match="Neither sft nor base has a chat template; pass one with --chat-template FILE"):
        group(*folders)
    file = tmp_path / "template.jinja"
    with pytest.raises(UserError, match="cannot be read"):
        group(*folders, options=Options(chat_template=file))
    file.write_text(CHATML)
    found = group(*folders, options=Options(chat_template=file))
    assert found.template_source == str(file)
    assert found.members[0].renderer.template == CHATML


def test_several_templates_without_a_default_count_as_none(llamas: Path, tmp_path: Path):
    tokenizer = byte_level_tokenizer("chatml")
    folder = with_tokenizer(tmp_path / "several", llamas / "base", tokenizer, None)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = {"tool_use": CHATML, "rag": CHATML}
    tokenizer.save_pretrained(folder)
    assert group(llamas / "sft", folder).template_source == "tokenizer of sft"
    with pytest.raises(UserError, match="has a chat template; pass one with --chat-template"):
        group(folder, folder)


def test_a_template_that_gives_tokenizers_different_texts_is_refused(llamas: Path, tmp_path: Path):
    tokenizer = byte_level_tokenizer("chatml")
    tokenizer.eos_token = "<|im_end|>"
    other = with_tokenizer(tmp_path / "other", llamas / "base", tokenizer, CHATML)
    file = tmp_path / "template.jinja"
    file.write_text("{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}")
    options = Options(chat_template=file, allow_cross_family=True)
    with pytest.raises(UserError, match=r"gives sft and other different texts.*spells its markers out"):
        group(llamas / "sft", other, options=options)


def test_a_bos_that_differs_is_no_different_text(llamas: Path, tmp_path: Path):
    tokenizer = byte_level_tokenizer("chatml")
    tokenizer.bos_token = "<|im_start|>"
    other = with_tokenizer(tmp_path / "other", llamas / "base", tokenizer, CHATML)
    file = tmp_path / "template.jinja"
    file.write_text("{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}</s>{% endfor %}")
    assert len(group(llamas / "sft", other, options=Options(chat_template=file)).members) == 2


def test_the_shortest_context_holds_for_all(llamas: Path, tmp_path: Path):
    short = save_llama(tmp_path / "short", byte_level_tokenizer("chatml"), 0, positions=128)
    found = group(llamas / "sft", short)
    assert {member.renderer.max_length for member in found.members} == {128}
    found = group(llamas / "sft", short, options=Options(max_length=64))
    assert {member.renderer.max_length for member in found.members} == {64}


def test_a_family_brings_its_template(declared: Registry):
    found = group("my-sft", "my-base", registry=declared)
    assert (found.family, found.template_source, found.notes) == ("one", "family one", ())
    assert found.members[0].renderer.template == ZEPHYR


def test_registered_checkpoints_of_no_common_family_are_refused(declared: Registry):
    with pytest.raises(UserError, match="my-sft and my-dpo share no family of the registry"):
        group("my-sft", "my-dpo", registry=declared)
    with pytest.raises(UserError, match="my-base and my-dpo share no family of the registry"):
        group("my-base", "my-sft", "my-dpo", registry=declared)
    allowed = group("my-sft", "my-dpo", registry=declared, options=Options(allow_cross_family=True))
    assert "because of --allow-cross-family" in allowed.notes[0]


def test_a_folder_of_the_users_may_join_checkpoints_of_a_family(declared: Registry, llamas: Path, tmp_path: Path):
    mine = Path(shutil.copytree(llamas / "dpo", tmp_path / "mine"))
    found = group("my-sft", "my-base", mine, registry=declared)
    assert [member.local.name for member in found.members] == ["my-sft", "my-base", "mine"]


def test_the_path_of_a_registered_checkpoint_stands_for_it(declared: Registry, llamas: Path):
    assert find_checkpoint(str(llamas / "dpo"), declared).name == "my-dpo"


def test_a_folder_that_bears_a_registered_name_is_noted(declared: Registry, llamas: Path, tmp_path: Path):
    folder = Path(shutil.copytree(llamas / "dpo", tmp_path / "my-sft"))
    found = group(folder, "my-base", registry=declared)
    assert found.family == "one"
    assert found.notes == (
        f"{folder} is taken for the registry's my-sft because of its name: its family and benchmark scores are used.",
    )
    assert {b: s.value for b, s in declared.used_scores("my-sft").items()} == {"arena_hard": 20.0}
    assert group("my-sft", "my-base", registry=declared).notes == ()


def test_a_folder_without_weights_config_or_tokenizer_is_refused(llamas: Path, tmp_path: Path):
    folder = Path(shutil.copytree(llamas / "sft", tmp_path / "sft"))
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"tokenizer in .* cannot be loaded"):
        group(folder, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"holds no weights as safetensors; .*--allow-pickle"):
        group(folder, folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(UserError, match="holds no weights as safetensors"):
        group(folder, folder)
    (folder / "config.json").write_text("[1]")
    with pytest.raises(UserError, match=r"config\.json"):
        group(folder, folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="is no JSON object"):
        group(folder, folder)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"holds no config\.json"):
        group(folder, folder)


def test_names_that_stand_for_nothing_are_refused(llamas: Path):
    registry = load_registry()
    with pytest.raises(UserError, match="There is no folder"):
        find_checkpoint(str(llamas / "nope"), registry)
    with pytest.raises(UserError, match="zephyr-7b-beta"):
        find_checkpoint("zephyr-7b-bata", registry)
    assert find_checkpoint("org/model", registry).model == "org/model"
    assert find_checkpoint("HuggingFaceH4/zephyr-7b-beta", registry).name == "zephyr-7b-beta"
    known = find_checkpoint("zephyr-7b-beta", registry)
    assert known.model == "HuggingFaceH4/zephyr-7b-beta"
