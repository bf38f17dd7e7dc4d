"""``featkd demo``."""

from pathlib import Path

import click

from featkd.cli.options import any_path, example, output_options, set_option


@click.command(
    epilog=example("featkd demo --workdir /tmp/demo --set student.training.num_epochs=6")
)
@click.option(
    "--workdir",
    type=any_path,
    default=Path("runs/demo"),
    show_default=True,
    help="Folder for everything the demo writes.",
)
@set_option
@output_options
def demo(*, workdir: Path, overrides: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Run a whole experiment on generated videos.

    Minutes on a CPU: twelve motions to tell apart, a miniature I3D as teacher, smaller students
    trained without a teacher, with its logits, and with the generative method. Needs no data and no
    network. Writes the videos, the cache, every run, report.html and summary.json below the work
    folder. A demo that was stopped goes on; a finished one shows its figures again.
    """
    from featkd.cli.demo_stages import demo_recipe, run_demo
    from featkd.cli.demo_tables import print_demo
    from featkd.cli.progress import show_progress

    recipe = demo_recipe(workdir, overrides)
    with show_progress(quiet=quiet) as progress:

        def announce(stage: str, sentence: str) -> None:
            progress.note(f"\n== {stage} ==\n{sentence}")

        outcome = run_demo(recipe, progress, announce)
    print_demo(outcome, as_json=as_json)
