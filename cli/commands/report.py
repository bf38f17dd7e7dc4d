"""``featkd report``."""

from pathlib import Path

import click

from featkd.cli.options import any_path, example, json_option


@click.command(epilog=example("featkd report runs/demo --output demo.html"))
@click.argument("workdir", type=any_path)
@click.option(
    "--output",
    metavar="FILE",
    type=any_path,
    help="Where to write.  [default: <workdir>/report.html]",
)
@json_option
def report(*, workdir: Path, output: Path | None, as_json: bool) -> None:
    """Write a report, one HTML file.

    Tables, curves and confusion matrices. Reads every run of the work folder, finished or not. The
    file needs no network and no other file.
    """
    from featkd.cli.tables import print_json
    from featkd.evaluation import write_report

    path = output or workdir / "report.html"
    write_report(workdir, path)
    if as_json:
        print_json({"report": path, "bytes": path.stat().st_size})
    else:
        click.echo(f"report written to {path}")
