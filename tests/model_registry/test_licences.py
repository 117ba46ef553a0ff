"""Licences as model cards name them, and cards that name none."""

from pathlib import Path

import pytest
from cdr_eval.model_registry.licences import licence_of


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: 'llama3 community'\nlicense_link: x\n---\n", "llama3 community"),
        ("# A model\nlicense: mit\n", ""),
        ("---\ntags:\n- a\n---\nlicense: mit\n", ""),
        ("---\nlicense: <b>`x`\n---\n", ""),
        ("---\nlicense: mit\n", ""),
        ("Once\n---\nlicense: mit\n---\n", ""),
        ("", ""),
    ],
)
def test_the_front_matter_names_the_licence(tmp_path: Path, card: str, licence: str) -> None:
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    assert licence_of(tmp_path) == licence


def test_a_folder_without_a_card_names_none(tmp_path: Path) -> None:
    assert licence_of(tmp_path) == ""
    (tmp_path / "README.md").write_bytes(b"---\nlicense: mit\n\xff\xfe---\n")
    assert licence_of(tmp_path) == "mit"
