"""The page that says what every file of a run directory holds, made from the schema.

python -m cdr_eval.reports.run_format.description > reports/run_format/COLUMNS.md
"""

from collections.abc import Iterator
from typing import get_type_hints

from .columns import GAP_PREFIX, Record, records_in
from .run_info import RUN_FORMAT, RunInfo
from .tables import TABLES


def columns_page() -> str:
    """Markdown: run.json with its records, then every table with its columns."""
    lines = [
        "# Files of a run directory",
        "",
        f"Format {RUN_FORMAT}. CSV files are UTF-8 with a heading; an empty cell or NaN is a missing number. A text "
        "that a spreadsheet would take for a formula has an apostrophe in front there. `SHA256SUMS` holds the "
        "checksums of all files listed here; `leaderboard.md`, `report.html` and `figures/` are made from them.",
        "",
        "## run.json",
        "",
        *_record_lines(RunInfo, ""),
    ]
    for table in TABLES.values():
        rows = [
            f"| {f'{GAP_PREFIX}<benchmark>' if c.unit.kind == 'gaps' else c.name} | {c.unit.text} | {c.meaning} |"
            for c in table.columns
        ]
        heading = ["| column | unit | meaning |", "| :-- | :-- | :-- |"]
        lines += ["", f"## {table.file}", "", table.record.__doc__ or "", "", *heading, *rows]
    return "\n".join(lines) + "\n"


def _record_lines(record: type[Record], prefix: str) -> Iterator[str]:
    """A list of the keys of a JSON object, those of objects within it below."""
    types = get_type_hints(record)
    for name, field in record.model_fields.items():
        yield f"{'  ' * prefix.count('.')}- `{name}`: {field.description}"
        for inner in records_in(types[name]):
            yield from _record_lines(inner, f"{prefix}{name}.")


if __name__ == "__main__":
    print(columns_page(), end="")
