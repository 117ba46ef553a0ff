"""The registry: every known checkpoint, family and score, merged from the catalog and the user's files."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from .files import merge_checkpoints, merge_families, read_registry_file
from .schema import BenchmarkScore, Checkpoint, Family, Source

CATALOG = Path(__file__).parent / "catalog"
KNOWN_BENCHMARKS = ("arena_hard", "alpaca_eval_2_lc", "alpaca_eval_2_wr")
"""Benchmarks of models in the order in which their gaps are shown; the first is the default."""

ROUNDING = 0.05
"""Half a unit of the last printed digit: the same measurement, printed to one decimal, may differ by this."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Scores of one checkpoint on one benchmark that differ by more than rounding."""

    checkpoint: Checkpoint
    benchmark: str
    scores: tuple[BenchmarkScore, ...]
    """All of the benchmark's scores, the one that is used by default first."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Checkpoints, families and sources by name, in the order of the files."""

    checkpoints: dict[str, Checkpoint]
    families: dict[str, Family]
    sources: dict[str, Source]
    score_preference: tuple[str, ...]
    """Keys of `sources`, the most preferred first; a source that is not named comes after these."""

    def lookup(self, name: str) -> Checkpoint | None:
        """The checkpoint of this name, hub id, model path or alias; None where there is no such one.

        Raises UserError where several checkpoints share a hub id (revisions of one model).
        """
        if name in self.checkpoints:
            return self.checkpoints[name]
        found = [c for c in self.checkpoints.values() if name == c.model or name in c.aliases]
        if len(found) > 1:
            names = ", ".join(c.name for c in found)
            raise UserError(f"{name!r} is the model of several checkpoints: pass one of the names {names}.")
        return found[0] if found else None

    def find(self, name: str) -> Checkpoint:
        """As `lookup`, but raises UserError with the nearest names where there is no such checkpoint."""
        checkpoint = self.lookup(name)
        if checkpoint is None:
            known = [*self.checkpoints, *(c.model for c in self.checkpoints.values())]
            raise UserError(f"There is no checkpoint {name!r} in the registry{_nearest(name, known)}")
        return checkpoint

    def family(self, name: str) -> Family:
        """The family of this name. Raises UserError with the nearest names."""
        if name not in self.families:
            raise UserError(f"There is no family {name!r} in the registry{_nearest(name, self.families)}")
        return self.families[name]

    def families_of(self, name: str) -> tuple[Family, ...]:
        """The families that have the checkpoint of this name as a member."""
        return tuple(family for family in self.families.values() if name in family.members)

    def common_family(self, checkpoints: Sequence[Checkpoint]) -> Family | None:
        """The first family that holds all of the checkpoints, one that is not registered by what it stands on."""
        names = {c.name if c.name in self.checkpoints else c.trained_from or c.name for c in checkpoints}
        return next((family for family in self.families.values() if names <= set(family.members)), None)

    def members(self, family: str) -> tuple[Checkpoint, ...]:
        """The family's checkpoints in its order. Raises UserError for a member that does not exist."""
        members = self.family(family).members
        for name in members:
            if name not in self.checkpoints:
                hint = _nearest(name, self.checkpoints)
                raise UserError(f"Family {family!r} has the member {name!r}, which is no checkpoint{hint}")
        return tuple(self.checkpoints[name] for name in members)

    def pairs(self, family: str, include_self: bool = True) -> list[tuple[Checkpoint, Checkpoint]]:
        """All ordered (strong, weak) pairs of the family's n members: n², or n(n−1) without self-pairs."""
        members = self.members(family)
        return [(s, w) for s in members for w in members if include_self or s.name != w.name]

    def scores(self, checkpoint: Checkpoint, benchmark: str) -> tuple[BenchmarkScore, ...]:
        """The checkpoint's scores on a benchmark from all sources, the most preferred source first."""
        order = {source: rank for rank, source in enumerate(self.score_preference)}
        found = (score for score in checkpoint.scores if score.benchmark == benchmark)
        return tuple(sorted(found, key=lambda score: order.get(score.source, len(order))))

    def score(self, checkpoint: Checkpoint, benchmark: str, source: str | None = None) -> BenchmarkScore | None:
        """The score from the most preferred source, or from `source` and no other; None where there is none.

        Raises UserError where the registry has no such source.
        """
        if source is not None and source not in self.sources:
            raise UserError(f"There is no score source {source!r}{_nearest(source, self.sources)}")
        found = self.scores(checkpoint, benchmark)
        return next((score for score in found if source is None or score.source == source), None)

    def used_scores(self, name: str, source: str | None = None, among: Sequence[str] = ()) -> dict[str, BenchmarkScore]:
        """Benchmark → the score that is used of the checkpoint called `name`; empty for one that is not here.

        It comes from `source` and no other; without one from the source that the checkpoints `among` have in common
        (`common_source`), so that gaps take both ends from one, and else from the most preferred.
        """
        if name not in self.checkpoints:
            return {}
        checkpoint, found = self.checkpoints[name], dict[str, BenchmarkScore]()
        for benchmark in self.benchmarks([checkpoint]):
            shared = source or self.common_source(benchmark, among)
            score = self.score(checkpoint, benchmark, shared)
            if score is None and source is None:
                score = self.score(checkpoint, benchmark)
            if score is not None:
                found[benchmark] = score
        return found

    def common_source(self, benchmark: str, among: Sequence[str]) -> str | None:
        """The most preferred source that scores all of these checkpoints that any source scores; None without one.

        Base models are not asked about: sources leave them out, and the paper sets them to 0.
        """
        known = [self.checkpoints[name] for name in among if name in self.checkpoints]
        scores = [self.scores(c, benchmark) for c in known if c.stage != "base"]
        sources = [[score.source for score in found] for found in scores if found]
        order = [*self.score_preference, *(source for found in sources for source in found)]
        return next((source for source in order if sources and all(source in found for found in sources)), None)

    def default_benchmark(self, family: str) -> str:
        """The benchmark whose gap comes first for a family, or for checkpoints of none."""
        found = self.families.get(family)
        return found.default_benchmark if found else KNOWN_BENCHMARKS[0]

    def ordered_benchmarks(
        self, names: Iterable[str], first: Sequence[str] = (), source: str | None = None
    ) -> list[str]:
        """The benchmarks that some checkpoint has a score to use on: those of `first`, the well-known, the others."""
        found = [benchmark for name in names for benchmark in self.used_scores(name, source)]
        return [benchmark for benchmark in dict.fromkeys([*first, *KNOWN_BENCHMARKS, *found]) if benchmark in found]

    def benchmarks(self, checkpoints: Iterable[Checkpoint] | None = None) -> tuple[str, ...]:
        """The benchmarks that any of the checkpoints (None: all) has a score on, in order of appearance."""
        among = self.checkpoints.values() if checkpoints is None else checkpoints
        return tuple(dict.fromkeys(score.benchmark for c in among for score in c.scores))

    def conflicts(self) -> list[Conflict]:
        """Where two sources print different values: further apart than rounding to one decimal explains."""
        found: list[Conflict] = []
        for checkpoint in self.checkpoints.values():
            for benchmark in self.benchmarks([checkpoint]):
                scores = self.scores(checkpoint, benchmark)
                values = [score.value for score in scores]
                if max(values) - min(values) > ROUNDING + 1e-9:
                    found.append(Conflict(checkpoint, benchmark, scores))
        return found


def load_registry(extra: Sequence[Path] = ()) -> Registry:
    """The built-in catalog with the extra YAML files merged over it, in their order. Raises UserError.

    A later record of a known name replaces the keys that it names; its scores replace those of the same benchmark
    and source and are otherwise added, and so are a family's members. A later file's score preference goes first.
    """
    registry = Registry({}, {}, {}, ())
    preference: tuple[str, ...] = ()
    for path in [*sorted(CATALOG.glob("*.yaml")), *extra]:
        file = read_registry_file(path)
        merge_families(registry.families, file, path)
        merge_checkpoints(registry.checkpoints, file, path)
        registry.sources.update(file.sources)
        preference = tuple(dict.fromkeys(file.score_preference + preference))
    return Registry(registry.checkpoints, registry.families, registry.sources, preference)


def _nearest(name: str, known: Iterable[str]) -> str:
    by_folded = {text.casefold(): text for text in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.5)
    if not close:
        return "; `cdr-eval models` lists what there is."
    return f"; did you mean {' or '.join(by_folded[text] for text in close)}?"
