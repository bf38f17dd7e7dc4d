"""``featkd distillers``."""

import click

from featkd.cli.options import example, json_option


@click.command(epilog=example("featkd distillers"))
@json_option
def distillers(*, as_json: bool) -> None:
    """List the distillation methods, and what each needs.

    Needs are those of the default settings. Reads and writes nothing.
    """
    from featkd.cli.tables import print_json, print_table
    from featkd.distillers import DISTILLERS, CombinedConfig, Requirements

    listed = []
    for name, entry in DISTILLERS.items():
        needs: Requirements = entry.config(kind=name).requires
        listed.append(
            {
                "name": name,
                "aliases": list(entry.config.aliases),
                "cached": needs.cached_names(),
                "modules": [*needs.modules, *(["classifier"] if needs.classifier else [])],
                "student": needs.student_parts(),
                "method": (entry.distiller.__doc__ or "").splitlines()[0],
            }
        )
    if as_json:
        print_json(listed)
        return
    columns = ("name", "aliases", "cached", "modules", "student")
    print_table(
        columns,
        [
            [
                ", ".join(item[column]) if isinstance(item[column], list) else str(item[column])
                for column in columns
            ]
            for item in listed
        ],
    )
    click.echo(
        f"'{CombinedConfig.name()}' adds several up. 'cached' is read for every row, 'modules' "
        "once; 'student' is what the student gets for it and keeps at inference."
    )
