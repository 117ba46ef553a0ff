"""`cdr-eval fit`: a reward from few labels."""

import click

from ...errors import UserError
from .evaluate import all_of_it, end_incomplete, show
from .options import Output, Run, output_options, read_names, refuse, run_options, split
from .run_folders import check_of, free_folder, stem


@click.command()
@click.option("--family", metavar="NAME", help="The checkpoints of this family; default: the minilab's.")
@click.option("--models", metavar="A,B,...", help="These checkpoints.")
@click.option(
    "--conditionings",
    default="identity",
    show_default=True,
    callback=read_names,
    metavar="A,B,...",
    help="What each checkpoint is asked under: identity, empty, criteria:DOMAIN.",
)
@output_options
@run_options
def fit(family: str | None, models: str | None, conditionings: tuple[str, ...], run: Run, output: Output) -> None:
    """Fit the best combination of checkpoints' log-probabilities to the labels of --task, 20 or more.

    Writes fitted.yaml, a reward that `pair`, `grid` and `annotate` take with --reward on any other items, and
    fitted-sparse.yaml, that of the fewest checkpoints. What is reported is judged on items that a fit has not seen.
    """
    if output.shard is not None:
        raise UserError(
            "A fit takes all scores: pass --shard to `cdr-eval grid` on the same task, then fit without it."
        )
    refuse(["router"], "is for cdr-adaptive-router, which no conditioning of a fit is")
    if len(run.tasks) != 1:
        raise UserError("A reward is fitted to one task: pass one with --task.")
    from ...reports.write import write_reports
    from ..fit import fit as fitted

    found = fitted(
        family=family,
        models=split(models),
        task=run.tasks[0],
        conditionings=conditionings,
        registry=run.registry,
        options=run.options,
        asked=check_of(output),
    )
    result = found.result
    name = f"fit-on-{stem(result.run['task']['name'])}"
    out = output.out or free_folder(name, result.run["asked"], overwrite=output.overwrite)
    found.save(out, write_reports, overwrite=output.overwrite)
    use = f"Use it: cdr-eval annotate RESPONSES --reward {out / 'fitted.yaml'}"
    show(result, out, output, use, all_of_it(out))
    end_incomplete([result])
