"""The page of columns is what the schema says, and the schema says something of every column."""

from pathlib import Path

from cdr_eval.reports.run_format import description
from cdr_eval.reports.run_format.tables import TABLES


def test_the_committed_page_is_made_from_the_schema():
    page = Path(description.__file__).with_name("COLUMNS.md")
    made = description.columns_page()
    assert page.read_text(encoding="utf-8") == made, "python -m cdr_eval.reports.run_format.description > COLUMNS.md"


def test_every_table_and_column_is_described():
    page = description.columns_page()
    for table in TABLES.values():
        part = page.split(f"## {table.file}\n")[1].split("\n## ")[0]
        for column in table.columns:
            assert column.meaning in part
