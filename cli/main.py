"""The ``featkd`` command. Torch is imported inside commands, so that help is instant."""

import shlex
import sys
import traceback
from typing import Any

import click

from featkd.cli.commands.cache import cache
from featkd.cli.commands.compare import compare
from featkd.cli.commands.demo import demo
from featkd.cli.commands.detect import detect
from featkd.cli.commands.distill import distill
from featkd.cli.commands.distillers import distillers
from featkd.cli.commands.evaluate import evaluate
from featkd.cli.commands.experiment import experiment
from featkd.cli.commands.extract import extract
from featkd.cli.commands.flow import flow
from featkd.cli.commands.manifest import manifest
from featkd.cli.commands.models import models
from featkd.cli.commands.plan import plan
from featkd.cli.commands.recipe import recipe
from featkd.cli.commands.report import report
from featkd.cli.commands.represent import represent
from featkd.cli.commands.sweep import sweep
from featkd.cli.commands.synthesize import synthesize
from featkd.cli.commands.train import train
from featkd.cli.commands.weights import weights
from featkd.cli.failures import describe_failure
from featkd.cli.options import example


class OneLineFailures(click.Group):
    """A group whose commands fail with one line on stderr instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever it raises becomes a line and an exit status."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the outermost boundary
            if ctx.params["debug"]:
                traceback.print_exception(error)
            failure = describe_failure(error, shlex.join(["featkd", *sys.argv[1:]]))
            click.secho(failure.line, fg="red", err=True)
            ctx.exit(failure.exit_status)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click has it
        """Commands in the order in which an experiment needs them."""
        return list(self.commands)


@click.group(
    cls=OneLineFailures,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example("featkd demo"),
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="featkd", message="%(prog)s %(version)s")
def main(*, debug: bool) -> None:
    """Run a video teacher once, cache what it saw, train many students cheaply.

    RECIPE is a YAML file or the name of a shipped recipe ('featkd recipe list'). Every stage goes
    on where it was stopped when its command is run again, and does nothing when it is finished.
    """


for command in (
    demo, recipe, synthesize, manifest, flow, models, weights, distillers, train, plan, extract,
    represent, cache, distill, sweep, evaluate, detect, compare, report, experiment,
):  # fmt: skip
    main.add_command(command)
