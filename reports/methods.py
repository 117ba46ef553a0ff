"""The methods paragraph: what was computed, in words that can be pasted into a paper."""

from .common_sections import described
from .document import Block, Paragraph, Section
from .formatting import count, joined, plural
from .run_format.reading import Run
from .run_format.run_info import RunInfo

GAP_CAVEAT = (
    "The pairs of a grid share checkpoints, a pair's mirror image has one minus its accuracy, and a checkpoint "
    "over itself is at 50% by definition, so that pairs are not independent: intervals of the correlations come "
    "from leaving out one checkpoint at a time (jackknife on Fisher's z) and p-values from permuting checkpoint "
    "labels within families (quadratic assignment procedure). "
    "The naive p-values, which treat pairs as independent, are given only to show the "
    "difference. Much of a correlation over ordered pairs can come from the sign of the gap alone; the sign-only "
    "null says how much."
)


def methods_section(run: Run) -> Section:
    """Generated from run.json alone."""
    blocks: list[Block] = [Paragraph(" ".join(_sentences(run)))]
    if run.info.kind == "grid":
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
        f"{task.content_hash[:12]}; {plural(task.items, 'preference item')}{sections}) with cdr-eval.",
        f"For each response we took the log-probability of its tokens and its end-of-turn token ({unit}"
        f"{f', models in {dtypes}' if dtypes else ''}), and formed {plural(len(info.pairs), 'pair')} under "
        f"{joined(info.variants)}.",
        "Reward accuracy is the share of items whose chosen response gets the higher reward, a tie counting one half.",
    ]
    if task.sections:
        sentences.append(
            "A section's accuracy weights its subsets by their published counts, and overall is the plain mean of "
            "sections."
        )
    sentences.append(
        f"95% intervals of sections and overall are from {count(info.resamples)} bootstrap resamples of items, "
        f"stratified by subset and clustered by shared problem (seed {info.seed}); those of subsets are Wilson's."
    )
    if info.kind == "grid":
        sentences.append(_score_source(info))
    if info.family:
        sentences.append(f"Chat templates: {_templates(info)}.")
    sentences.append(f"Versions: {described(info.versions)}.")
    return sentences


def _score_source(info: RunInfo) -> str:
    only, preference = info.score_source.get("only"), info.score_source.get("preference")
    if only is None and preference is not None:
        return f"Benchmark scores are those of the first source that has one, in the order {described(preference)}."
    return f"Benchmark scores are those of {described(only)}."


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
