"""``featkd cache``."""

from pathlib import Path

import click

from featkd.cli.commands.cache_copies import convert, export
from featkd.cli.options import (
    cache_argument,
    example,
    json_option,
    output_options,
    recipe_options,
    set_option,
)


@click.group(epilog=example("featkd cache show runs/demo/cache"))
def cache() -> None:
    """Show, check, repair, copy and prune caches.

    CACHE is the folder of a cache, <workdir>/cache. Commands that need the teacher or its recipe
    take RECIPE instead and work on the cache of its work folder.
    """


@cache.command(epilog=example("featkd cache show runs/demo/cache"))
@cache_argument
@json_option
def show(*, path: Path, as_json: bool) -> None:
    """Show what a cache holds.

    Its rows, layers and arrays, the room they take, what their number formats cost, and the rows
    without data. Reads the records of CACHE alone; writes nothing.
    """
    from featkd.cache import FolderStore, take_inventory
    from featkd.cli.cache_tables import print_cache

    with FolderStore.open(path) as store:
        print_cache(store, take_inventory(store), as_json=as_json)


@cache.command(epilog=example("featkd cache verify runs/demo/cache --replay demo --rows 50"))
@cache_argument
@click.option(
    "--structure-only",
    is_flag=True,
    help="Only look whether everything is there; do not read every byte.",
)
@click.option(
    "--replay",
    "recipe_source",
    metavar="RECIPE",
    help="Also render random rows again, ask the teacher of RECIPE again, and compare.",
)
@click.option(
    "--rows",
    "num_rows",
    metavar="N",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Rows to replay.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other rows.")
@set_option
@output_options
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    path: Path,
    structure_only: bool,
    recipe_source: str | None,
    num_rows: int,
    seed: int,
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Look for what is wrong with a cache.

    Compares every file of CACHE with the digest that was recorded when it was written; with
    --replay, also what it holds with what videos and teacher give now. Writes nothing. Exits with 1
    where something is wrong; a cache that is not complete is not wrong.
    """
    from featkd.cache.verify import verify as run_verify
    from featkd.cli.cache_tables import print_verification
    from featkd.cli.progress import show_progress
    from featkd.errors import UsageError
    from featkd.experiment.open_workspace import open_workspace
    from featkd.extract.replay import replay
    from featkd.recipes import load_any_recipe

    workspace = open_workspace(load_any_recipe(recipe_source, overrides)) if recipe_source else None
    if workspace is not None and workspace.cache_path.resolve() != path.resolve():
        raise UsageError(
            f"the cache of recipe {recipe_source} is {workspace.cache_path}, not {path}; set "
            "workdir to the folder that the cache lies in"
        )
    with show_progress(quiet=quiet) as progress:
        found = run_verify(path, digests=not structure_only, progress=progress)
        replayed = None
        if workspace is not None and found.damages:
            progress.note("nothing is replayed before the cache is repaired")
        elif workspace is not None:
            replayed = replay(workspace, num_rows=num_rows, seed=seed, progress=progress)
    print_verification(path, found, replayed, as_json=as_json)
    if found.damages or (replayed is not None and replayed.different):
        ctx.exit(1)


@cache.command(epilog=example("featkd cache repair demo --failed"))
@recipe_options
@click.option(
    "--failed",
    is_flag=True,
    help="Also try rows again whose video could not serve.",
)
@output_options
@click.pass_context
def repair(
    ctx: click.Context,
    *,
    recipe_source: str,
    overrides: tuple[str, ...],
    failed: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Put a damaged cache right.

    Looks for damage in <workdir>/cache, restores what can be restored, and computes the parts again
    that are damaged, from the videos and <workdir>/teacher; everything else stays as it is. Exits
    with 1 where damage is left.
    """
    from featkd.cli.cache_tables import print_repair
    from featkd.cli.progress import show_progress
    from featkd.experiment.open_workspace import open_workspace
    from featkd.extract.repair import repair as run_repair
    from featkd.recipes import load_any_recipe

    workspace = open_workspace(load_any_recipe(recipe_source, overrides))
    with show_progress(quiet=quiet) as progress:
        summary = run_repair(workspace, retry_failed=failed, progress=progress)
    print_repair(workspace.cache_path, summary, as_json=as_json)
    if summary.still_damaged:
        ctx.exit(1)


cache.add_command(convert)
cache.add_command(export)


@cache.command(epilog=example("featkd cache prune demo --dry-run"))
@recipe_options
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@json_option
def prune(*, recipe_source: str, overrides: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Delete arrays that no distiller of the recipe needs.

    What 'featkd extract' and 'featkd represent' would write for RECIPE stays, and so do layers that
    others added; arrays that are gone have to be extracted again. Also deletes what interrupted
    work left in <workdir>/cache.
    """
    from featkd.cli.cache_tables import print_pruning
    from featkd.experiment.open_workspace import open_workspace
    from featkd.extract.prune import prune as run_prune
    from featkd.recipes import load_any_recipe

    workspace = open_workspace(load_any_recipe(recipe_source, overrides))
    pruning = run_prune(workspace, dry_run=dry_run)
    print_pruning(workspace.cache_path, pruning, dry_run=dry_run, as_json=as_json)
