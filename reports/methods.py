"""The methods paragraph: what was computed, in words that can be pasted into a paper."""

from .common_sections import described
from .document import Block, Paragraph, Section
from .formatting import count, joined, plural
from .run_format.reading import Run
from .run_format.run_info import ANNOTATOR, FITTED, AnnotatorInfo, RunInfo

GAP_CAVEAT = (
    "The pairs of a grid share checkpoints, a pair's mirror image is decided by the same differences, and a "
    "checkpoint over itself ties on every item, so that pairs are not independent: intervals of the correlations come "
    "from leaving out one checkpoint at a time (jackknife on Fisher's z) and p-values from permuting checkpoint "
    "labels within families (quadratic assignment procedure). "
    "The naive p-values, which treat pairs as independent, are given only to show the "
    "difference. Much of a correlation over ordered pairs can come from the sign of the gap alone; the sign-only "
    "null says how much."
)


def methods_section(run: Run) -> Section:
    """Generated from run.json alone."""
    blocks: list[Block] = [Paragraph(" ".join(_sentences(run)))]
    if run.gap_analysis:
        blocks.append(Paragraph(GAP_CAVEAT))
    blocks.append(Paragraph(_caveats(run)))
    return Section("Methods", tuple(blocks))


def _sentences(run: Run) -> list[str]:
    info = run.info
    task = info.task
    unit = "mean per token" if info.mean_per_token else "sum over tokens"
    dtypes = joined(sorted({c.dtype for c in info.checkpoints if c.dtype}))
    sections = f" in {plural(len(task.sections), 'section')}" if task.sections else ""
    sentences = [
        f"We scored {plural(len(info.checkpoints), 'checkpoint')} on {task.name} ({task.source}; content hash "
        f"{task.content_hash[:12]}; {plural(task.items, 'item')} with {plural(task.responses, 'response')}{sections}) "
        "with cdr-eval.",
        f"For each response we took the log-probability of its tokens and its end-of-turn token ({unit}"
        f"{f', models in {dtypes}' if dtypes else ''}), and formed {plural(len(info.pairs), 'pair')} under "
        f"{joined([variant for variant in info.variants if variant not in (ANNOTATOR, FITTED)])}.",
        *(f"Beside them stands {_head(annotator)}." for annotator in info.annotators),
        *(f"{fitted.name} is {fitted.told}." for fitted in info.fitted),
        f"Reward accuracy is the mean credit of the items; the rule: {task.rule}.",
    ]
    if task.sections:
        sentences.append(
            "A section's accuracy weights its subsets by their published counts, and overall is the plain mean of "
            f"{task.overall}."
        )
    sentences.append(
        f"95% intervals of sections and overall are from {count(info.resamples)} bootstrap resamples of items, "
        f"stratified by subset and clustered by shared problem (seed {info.seed}); those of subsets are Wilson's at "
        "the effective n that shared problems leave."
    )
    if any(c.scores_used for c in info.checkpoints):
        sentences.append(_score_source(info))
    if info.family:
        sentences.append(f"Chat templates: {_templates(info)}.")
    sentences.append(f"Versions: {described(info.versions)}.")
    return sentences


def _head(annotator: AnnotatorInfo) -> str:
    pairs = plural(annotator.training_pairs, "pair")
    return f"the annotator {annotator.name}, a Bradley-Terry reward head on {annotator.base} trained on {pairs}"


def _score_source(info: RunInfo) -> str:
    """Which sources supplied the scores, and for which benchmarks; of two with one value the preferred."""
    only, preference = info.score_source.get("only"), info.score_source.get("preference")
    order = [only] if only is not None else preference if isinstance(preference, list) else []
    supplied: dict[str, list[str]] = {}
    for checkpoint in info.checkpoints:
        for benchmark, value in checkpoint.scores_used.items():
            sources = [s.source for s in checkpoint.scores if (s.benchmark, s.value) == (benchmark, value)]
            sources.sort(key=lambda source: order.index(source) if source in order else len(order))
            supplied.setdefault(sources[0] if sources else "an unknown source", []).append(benchmark)
    listed = [f"{source} ({joined(list(dict.fromkeys(names)))})" for source, names in supplied.items()]
    why = "the one source asked for" if only is not None else "for each score the first source in order of preference"
    return f"Benchmark scores are from {joined(listed)}: {why}."


def _templates(info: RunInfo) -> str:
    names, templates = info.family.get("names"), info.family.get("template")
    if isinstance(names, list) and isinstance(templates, list):
        found = [f"{described(name)}: {described(text)}" for name, text in zip(names, templates, strict=False)]
        return "; ".join(dict.fromkeys(found))
    return described(info.family)


def _caveats(run: Run) -> str:
    info = run.info
    parts = [
        "Caveats: the intervals describe the sampling of items, not of training runs; no p-value of a comparison "
        "of accuracies is adjusted for the number of comparisons unless the text says so."
    ]
    if info.task.missing_subsets:
        parts.append(f"{plural(len(info.task.missing_subsets), 'subset')} of the task are missing from the data.")
    without = [c.name for c in info.checkpoints if not c.scores_used]
    if info.kind == "grid" and without:
        parts.append(
            f"No benchmark score is known for {joined(without)}: their pairs are left out of the gap analysis."
        )
    return " ".join(parts)
