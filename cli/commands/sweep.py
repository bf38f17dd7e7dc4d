"""``featkd sweep``."""

import click

from featkd.cli.options import example, output_options, read_seeds, recipe_options


def _read_names(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    return None if value is None else tuple(name.strip() for name in value.split(","))


def _read_variations(
    _context: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> dict[str, list[object]]:
    import yaml

    variations: dict[str, list[object]] = {}
    for text in given:
        key, _, values = text.partition("=")
        try:
            listed = yaml.safe_load(f"[{values}]")
        except yaml.YAMLError:
            listed = None
        if not key or not listed or key in variations:
            raise click.BadParameter(
                f"{text!r}; expected KEY=V1,V2 with values in YAML, each key once"
            )
        variations[key] = listed
    return variations


@click.command(
    epilog=example("featkd sweep demo --seeds 0,1 --vary distillers.kd.tau=2,4 --evaluate")
)
@recipe_options
@click.option(
    "--distillers",
    "names",
    metavar="NAME,NAME",
    callback=_read_names,
    help="Names from the recipe's section 'distillers', separated by commas.  [default: all]",
)
@click.option(
    "--seeds",
    metavar="N,N",
    callback=read_seeds,
    default="0",
    show_default=True,
    help="Seeds of the students, separated by commas.",
)
@click.option(
    "--vary",
    "variations",
    metavar="KEY=V1,V2",
    multiple=True,
    callback=_read_variations,
    help="Train students with each of these values: of a distiller (distillers.kd.tau=2,4) or of "
    "all of them (student.model.width=0.25,0.5). May be given several times, for every "
    "combination.",
)
@click.option(
    "--max-together",
    metavar="N",
    type=click.IntRange(min=1),
    help="Students in memory at once; further ones wait.  [default: 16]",
)
@click.option(
    "--allow-mismatch",
    "allowed",
    metavar="FIELD",
    multiple=True,
    help="As for 'featkd distill'. May be given several times.",
)
@click.option(
    "--evaluate", "measure", is_flag=True, help="Also measure the students on the test split."
)
@output_options
@click.pass_context
def sweep(
    ctx: click.Context,
    *,
    recipe_source: str,
    overrides: tuple[str, ...],
    names: tuple[str, ...] | None,
    seeds: tuple[int, ...],
    variations: dict[str, list[object]],
    max_together: int | None,
    allowed: tuple[str, ...],
    measure: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train many students from one pass over videos and cache.

    Reads what 'distill' reads, but decodes a view once for all students that see it at the same
    time. Writes the run folders that 'distill' would, <workdir>/students/<name>-seed<k>; a varied
    student has its values in its name, as kd+tau_2. Students of different seeds see the clips in
    different orders and share no pass, unless student.training.batch_order is 'recipe'.

    A student that fails does not end the others; the exit status is 1 then. Stopped students go on
    from their last finished epoch; finished ones are not trained again.
    """
    from featkd.cli.progress import show_progress
    from featkd.cli.sweep_table import print_sweep
    from featkd.experiment import sweep as train_students
    from featkd.experiment import vary
    from featkd.experiment.open_workspace import open_workspace
    from featkd.experiment.scores import record_score
    from featkd.experiment.sweep import MAX_TOGETHER
    from featkd.recipes import load_any_recipe

    workspace = open_workspace(load_any_recipe(recipe_source, overrides))
    members = vary(names or tuple(workspace.recipe.distillers), seeds, variations)
    with show_progress(quiet=quiet) as progress:
        students = train_students(
            workspace,
            members,
            allowed=allowed,
            max_together=max_together or MAX_TOGETHER,
            progress=progress,
        )
        failed = [student for student in students if student.state == "failed"]
        if measure:
            for student in students:
                if student not in failed:
                    record_score(workspace, student.folder, progress)
    print_sweep(students, workspace.recipe.task, as_json=as_json)
    if ctx.find_root().params.get("debug"):
        for student in failed:
            click.echo(student.error_traceback, err=True)
    if failed:
        ctx.exit(1)
