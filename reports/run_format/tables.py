"""Every table of a run directory: its file and its columns, declared once here and in the files of their records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from .annotation_and_fit_tables import (
    CoefficientRow,
    ControlRow,
    CurveRow,
    DroppedRow,
    ResponseRow,
    SparseRow,
    StatisticRow,
    UnlabelledRow,
)
from .columns import Column, Record, columns_of
from .evaluation_tables import (
    AccuracyRow,
    BestOfRow,
    CalibrationRow,
    ChainRow,
    ComparisonRow,
    ConfidenceRow,
    EffectRow,
    FixedRow,
    GapStatistic,
    ItemRow,
    LeftOutRow,
    LengthRow,
    MarginRow,
    PairRow,
    PromptRow,
    RecommendationRow,
    ResponseRewardRow,
    RoundingRow,
    SaturationRow,
    SelectionRow,
    TextRow,
    TokenRow,
)

Kind = Literal["pair", "grid", "annotation", "fit"]


@dataclass(frozen=True, slots=True)
class TableFormat:
    """One file of a run directory."""

    stem: str
    suffix: Literal["csv", "parquet"]
    record: type[Record]
    required: tuple[Kind, ...] = ()
    """Kinds of runs that always write it."""

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.stem}.{self.suffix}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Its columns, in their order."""
        return tuple(columns_of(self.record))


TABLES: Final[Mapping[str, TableFormat]] = {
    table.stem: table
    for table in (
        TableFormat("items", "parquet", ItemRow),
        TableFormat("rewards", "parquet", ResponseRewardRow),
        TableFormat("margins", "parquet", MarginRow),
        TableFormat("accuracy", "csv", AccuracyRow, ("pair", "grid", "fit")),
        TableFormat("comparisons", "csv", ComparisonRow),
        TableFormat("pairs", "csv", PairRow, ("grid",)),
        TableFormat("gap_analysis", "csv", GapStatistic),
        TableFormat("gap_fixed", "csv", FixedRow),
        TableFormat("effects", "csv", EffectRow),
        TableFormat("chain", "csv", ChainRow),
        TableFormat("saturation", "csv", SaturationRow),
        TableFormat("recommendation", "csv", RecommendationRow),
        TableFormat("selection", "csv", SelectionRow),
        TableFormat("calibration", "csv", CalibrationRow),
        TableFormat("confidence", "csv", ConfidenceRow),
        TableFormat("length", "csv", LengthRow),
        TableFormat("rounding", "csv", RoundingRow),
        TableFormat("left_out", "csv", LeftOutRow),
        TableFormat("best_of", "csv", BestOfRow),
        TableFormat("coefficients", "csv", CoefficientRow, ("fit",)),
        TableFormat("sparse_path", "csv", SparseRow, ("fit",)),
        TableFormat("learning_curve", "csv", CurveRow, ("fit",)),
        TableFormat("unlabelled", "csv", UnlabelledRow),
        TableFormat("controls", "csv", ControlRow),
        TableFormat("prompts", "parquet", PromptRow),
        TableFormat("texts", "parquet", TextRow),
        TableFormat("tokens", "parquet", TokenRow),
        TableFormat("responses", "parquet", ResponseRow),
        TableFormat("dropped", "parquet", DroppedRow),
        TableFormat("statistics", "csv", StatisticRow, ("annotation",)),
    )
}
"""By stem, in the order of the page that describes them."""
