"""`cdr-eval annotate`: preference data from sampled responses."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ...errors import UserError
from ..annotation.choosing import Choice, Rule
from ..annotation.formats import FORMATS
from ..annotation.settings import WEIGHTS, Annotating
from .evaluate import end_incomplete
from .options import FILE, Output, options_of, output_options, refuse, scoring_options, split
from .run_folders import check_of, free_folder

if TYPE_CHECKING:
    from ..annotate import Annotation


_PAIR = ("variant", "router")
"""Options of the reward of a pair alone."""
_SCORING = (
    *("scorer", "urls", "quantise", "batch_tokens", "store", "tensor_parallel", "offload"),
    *("dtype", "max_length", "chat_template", "allow_cross_family", "allow_pickle", "trust_remote_code"),
    *("mean", "criteria"),
)
"""Those of how checkpoints are scored, by a pair or by a fitted reward."""


@click.command()
@click.argument("data")
@click.option("--strong", metavar="X", help="Registry name, hub id or local folder.")
@click.option("--weak", metavar="Y", help="Registry name, hub id or local folder.")
@click.option("--scores", metavar="COLUMN", help="Take the rewards from this column of DATA instead of a pair.")
@click.option("--annotator", type=FILE, metavar="DIR", help="Take the rewards of this reward head instead of a pair.")
@click.option("--reward", type=FILE, metavar="FILE", help="Take the rewards of this fitted.yaml instead of a pair.")
@click.option("--allow-overlap", is_flag=True, help="Let these label prompts that they were made from.")
@click.option("--variant", default="cdr-adaptive-router", show_default=True, help="See `cdr-eval variants`.")
@click.option("--compare", metavar="A,B,...", help="Variants whose choices are set beside it in the report.")
@click.option("--minilab-judge", is_flag=True, help="Labels from the judge of the minilab's world.")
@click.option(
    "--choose",
    default="best-random",
    show_default=True,
    metavar="RULE",
    help="best-random, best-worst, best-quantile:Q or all-pairs.",
)
@click.option(
    "--length-band",
    metavar="LOW..HIGH",
    help="Of best-random: length of the rejected over that of the chosen; default 0.5..2.",
)
@click.option("--min-distinct", type=click.IntRange(min=2), default=2, show_default=True, help="Responses a prompt.")
@click.option("--keep-truncated", is_flag=True, help="Choose also among responses that were cut at their length limit.")
@click.option("--temperature", default="auto", show_default=True, help="auto, fit:LABELLED-FILE or nats.")
@click.option("--weight", default="confidence", show_default=True, help=f"{', '.join(WEIGHTS)}:A.")
@click.option("--top", default="100%", show_default=True, help="Keep this share of the pairs, the most confident.")
@click.option(
    "--test", type=click.IntRange(min=0), default=0, show_default=True, help="Prompts of DATA for the test split."
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="preference", show_default=True)
@output_options
@scoring_options
def annotate(data: str, output: Output, **given: Any) -> None:
    """Make preference data of DATA, prompts with several responses each, by the reward of a pair of checkpoints.

    DATA is a file, folder or hub dataset such as `cdr-eval sample` writes. The output folder is a run directory and a
    data set of the hub in one, which TRL's trainers read as it is, and `cdr-eval tune` but for text and ranked.
    """
    from ..annotate import annotate as annotated
    from ..annotate import score_shard

    _check_reward(given)
    settings = _settings(given)
    options = options_of(given, quiet=output.quiet)
    reward = {name: given[name] for name in ("strong", "weak", "variant")}
    compare, registry = split(given["compare"]), given["registry"]
    if output.shard is not None:
        if given["strong"] is None or given["weak"] is None:
            raise UserError("--shard scores a part of a pair's responses: pass --strong and --weak.")
        names = score_shard(data, **reward, compare=compare, registry=registry, options=options, shard=output.shard)
        index, count = output.shard
        click.echo(f"Shard {index}/{count} is scored ({', '.join(names) or 'no checkpoint'}).")
        return
    found = annotated(
        data,
        **reward,
        scores=given["scores"],
        annotator=given["annotator"],
        fitted=given["reward"],
        compare=compare,
        minilab_judge=given["minilab_judge"],
        settings=settings,
        registry=registry,
        options=options,
        asked=check_of(output),
    )
    from ...reports.write import write_reports

    name, asked = f"annotation-{Path(data).stem}", found.result.run["asked"]
    out = output.out or free_folder(name, asked, overwrite=output.overwrite)
    found.save(out, write_reports, overwrite=output.overwrite)
    _tell(found, out, output)


def _check_reward(given: dict[str, Any]) -> None:
    """Raise UserError for options that what gives the rewards does not read."""
    for other in ("scores", "annotator", "reward"):
        if given[other] is not None:
            refuse(_PAIR, f"belongs to the reward of a pair, and --{other} gives another")
            if other != "reward":
                refuse(_SCORING, f"belongs to the scoring of checkpoints, which --{other} does without")


def _settings(given: dict[str, Any]) -> Annotating:
    rule, _, quantile = str(given["choose"]).partition(":")
    if rule not in get_args(Rule) or bool(quantile) != (rule == "best-quantile"):
        raise UserError(f"--choose {given['choose']!r} is none of best-random, best-worst, best-quantile:Q, all-pairs.")
    band = given["length_band"]
    if band is not None and rule != "best-random":
        raise UserError("--length-band belongs to --choose best-random: leave it out.")
    weight, _, clip = str(given["weight"]).partition(":")
    if weight not in WEIGHTS or bool(clip) != (weight == "clip"):
        raise UserError(f"--weight {given['weight']!r} is none of none, confidence, sigmoid and clip:A.")
    choice = Choice(
        rule=rule,  # type: ignore[arg-type]
        quantile=_number(quantile, "--choose best-quantile:Q") if quantile else 0.25,
        band=_band(band) if band is not None else (0.5, 2.0),
        min_distinct=given["min_distinct"],
        keep_truncated=given["keep_truncated"],
        seed=given["seed"],
    )
    return Annotating(
        choice=choice,
        temperature=given["temperature"],
        weight=weight,  # type: ignore[arg-type]
        clip=_number(clip, "--weight clip:A") if clip else 1.0,
        top=_share(given["top"]),
        test=given["test"],
        format=given["form"],
    )


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{option} takes a number, not {text!r}.") from None


def _share(text: str) -> float:
    return _number(text.removesuffix("%"), "--top") / (100 if text.endswith("%") else 1)


def _band(text: str) -> tuple[float, float]:
    low, dots, high = text.partition("..")
    if not dots:
        raise UserError("--length-band must be LOW..HIGH with LOW from 0 to 1 and HIGH from 1, such as 0.5..2.")
    return _number(low, "--length-band"), _number(high, "--length-band")


def _tell(found: "Annotation", out: Path, output: Output) -> None:
    from ...reports.summary import summary
    from ...reports.terminal import print_document

    if output.as_json:
        statistics = json.loads(found.result.table("statistics").to_json(orient="records"))
        click.echo(json.dumps({"out": str(out), "run": found.result.run, "statistics": statistics}))
    elif output.quiet:
        click.echo(out)
    else:
        print_document(summary(out))
        click.echo(f"Data set: {out / 'data'}; report with figures: {out / 'report.md'}, or {out / 'report.html'}.")
    end_incomplete([found.result])
