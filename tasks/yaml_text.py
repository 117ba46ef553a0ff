"""Reading YAML that holds only text, with the line of every key at hand for messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ..errors import UserError

MAX_BYTES = 1_000_000
Model = TypeVar("Model", bound=BaseModel)
_MESSAGES = {
    "extra_forbidden": "this key is unknown: remove it or mend its spelling",
    "missing": "this key is missing: add it",
    "string_type": "this must be text",
    "string_too_short": "this is empty: fill it in or remove it",
    "tuple_type": "this must be a list",
    "dict_type": "this must be a mapping, key: value",
    "model_type": "this must be a mapping, key: value",
}
"""Kind of a pydantic error to our words for it; other kinds keep pydantic's."""
_NULL = "tag:yaml.org,2002:null"


class _Loader(yaml.SafeLoader):
    """PyYAML's pure Python loader (its C parser crashes on deep nesting), without numbers, dates and aliases.

    What is not a list, a mapping or null is text as it stands: NO and 42 need no quotes. An alias (`*name`) is an
    error, because it lets a small file stand for a huge one.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag == _NULL]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases (`*name`) are not allowed: write the text out", problem_mark=self.get_mark()
            )
        return super().compose_node(parent, index)


@dataclass(frozen=True, slots=True)
class YamlText:
    """The mapping that a YAML file holds, and its node tree."""

    data: dict[str, Any]
    """Values are texts, None, lists and mappings with text keys."""
    root: yaml.Node

    def line(self, keys: Sequence[int | str]) -> int:
        """The line (from 1) of the deepest entry that exists on the path of keys and list positions."""
        node, line = self.root, 1
        for key in keys:
            if isinstance(node, yaml.MappingNode):
                entry = next(((k, v) for k, v in node.value if k.value == key), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
                entry = next(((v, v) for v in node.value[key : key + 1]), None)
            else:
                entry = None
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        return line


def read_yaml(path: Path) -> YamlText:
    """Read a YAML file of at most `MAX_BYTES` that holds a mapping.

    Raises UserError for a file that cannot be read, is not UTF-8, too large, no valid YAML or no mapping.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}): check the path.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: save it as UTF-8.") from error
    if len(raw) > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES:,} bytes: split it into smaller files.")
    try:
        root = yaml.compose(text, Loader=_Loader)
        if isinstance(root, yaml.MappingNode):
            return YamlText(_mapping(root), root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}, line {line}, is not valid YAML: {error.problem}.") from error
    except (yaml.YAMLError, ArithmeticError, ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is not valid YAML: {reason}.") from error
    raise UserError(f"{path} must hold keys with values, such as `domains:`.")


def validated(path: Path, text: YamlText, model: type[Model], data: dict[str, Any]) -> Model:
    """The model of a file's data; raises UserError with file, line and key for the first thing that is wrong."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        keys = [key for key in first["loc"] if key != "[key]"]
        message = _MESSAGES.get(first["type"], first["msg"].removeprefix("Value error, "))
        where = ".".join(str(key) for key in keys) or "the file"
        raise UserError(f"{path}, line {text.line(keys)}, {where}: {message}.") from error


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(entry) for entry in node.value]
    return None if node.tag == _NULL else node.value


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    """The node's data; a repeated key is an error, where YAML keeps the last one silently."""
    data: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a key must be text", problem_mark=key.start_mark)
        if key.value in data:
            problem = f"the key {key.value!r} stands twice: keep one"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        data[key.value] = _plain(value)
    return data
