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
    ]
    if run.accuracy:
        sentences += _measured(info)
    if info.unlabelled is not None:
        also = "also " if run.accuracy else ""
        sentences.append(
            f"The accuracy of every pair was {also}estimated without labels, from how pairs that share no checkpoint "
            "agree."
        )
    sentences += _score_sources(info)
    if info.family:
        sentences.append(f"Chat templates: {_templates(info)}.")
    sentences.append(f"Versions: {described(info.versions)}.")
    return sentences


def _measured(info: RunInfo) -> list[str]:
    """What accuracies by labels are, and their intervals."""
    task = info.task
    weighted = (
        "A section's accuracy weights its subsets by their published counts, and overall is the plain mean of "
        f"{task.overall}."
    )
    return [
        f"Reward accuracy is the mean credit of the items; the rule: {task.rule}.",
        *([weighted] if task.sections else []),
        f"95% intervals of sections and overall are from {count(info.resamples)} bootstrap resamples of items, "
        "stratified by subset, in which items of one problem, or else of one group or prompt, are drawn together "
        f"(seed {info.seed}); those of subsets are Wilson's at the effective n that this leaves.",
    ]


def _head(annotator: AnnotatorInfo) -> str:
    pairs = plural(annotator.training_pairs, "pair")
    return f"the annotator {annotator.name}, a Bradley-Terry reward head on {annotator.base} trained on {pairs}"


def _score_sources(info: RunInfo) -> list[str]:
    """Which sources supplied the scores, and for which benchmarks; nothing of a run that does not say."""
    supplied: dict[str, list[str]] = {}
    for checkpoint in info.checkpoints:
        for benchmark, source in checkpoint.score_sources.items():
            supplied.setdefault(source, []).append(benchmark)
    if not supplied:
        return []
    listed = [f"{source} ({joined(list(dict.fromkeys(names)))})" for source, names in supplied.items()]
    why = (
        "for each benchmark the most preferred source that scores all checkpoints of a family but base models, or "
        "else the most preferred of each checkpoint"
        if info.score_source.get("only") is None
        else "the one source asked for"
    )
    return [f"Benchmark scores are from {joined(listed)}: {why}."]


def _templates(info: RunInfo) -> str:
    names, templates = info.family.get("names"), info.family.get("template")
    if isinstance(names, list) and isinstance(templates, list):
        found = [f"{described(name)}: {described(text)}" for name, text in zip(names, templates, strict=False)]
        return "; ".join(dict.fromkeys(found))
    return described(info.family)


def _caveats(run: Run) -> str:
    info = run.info
    parts = ["Caveats: the intervals describe the sampling of items, not of training runs"]
    if run.accuracy:
        parts[0] += (
            "; no p-value of a comparison of accuracies is adjusted for the number of comparisons unless the text says "
            "so"
        )
    parts[0] += "."
    if info.task.missing_subsets:
        parts.append(f"{plural(len(info.task.missing_subsets), 'subset')} of the task are missing from the data.")
    without = [c.name for c in info.checkpoints if not c.scores_used]
    if run.gap_analysis and without:
        parts.append(
            f"No benchmark score is known for {joined(without)}: their pairs are left out of the gap analysis."
        )
    return " ".join(parts)
