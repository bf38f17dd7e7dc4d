"""``featkd recipe``."""

from pathlib import Path

import click

from featkd.cli.options import any_path, example, json_option, set_option


@click.group(epilog=example("featkd recipe copy demo mine.yaml"))
def recipe() -> None:
    """List, show, copy and check recipes.

    A recipe is one YAML file that holds everything an experiment depends on.
    """


@recipe.command("list", epilog=example("featkd recipe list"))
@json_option
def list_recipes(*, as_json: bool) -> None:
    """List the recipes that come with featkd. Writes nothing."""
    from featkd.cli.tables import print_json, print_table
    from featkd.recipes import load_any_recipe, shipped_recipes

    described = {name: load_any_recipe(name).description for name in shipped_recipes()}
    if as_json:
        print_json(described)
    else:
        print_table(["recipe", "description"], list(described.items()))


@recipe.command(epilog=example("featkd recipe show demo --set student.model.width=0.5"))
@click.argument("recipe_source", metavar="NAME")
@set_option
@json_option
def show(*, recipe_source: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print a recipe with every default filled in.

    NAME is a shipped recipe or a file. Writes nothing.
    """
    from featkd.cli.tables import print_json
    from featkd.recipes import dump_recipe, load_any_recipe

    resolved = load_any_recipe(recipe_source, overrides)
    if as_json:
        print_json(resolved.model_dump(mode="json"))
    else:
        click.echo(dump_recipe(resolved), nl=False)


@recipe.command(epilog=example("featkd recipe copy demo mine.yaml"))
@click.argument("name")
@click.argument("destination", metavar="DEST", type=any_path)
def copy(*, name: str, destination: Path) -> None:
    """Copy a shipped recipe to a file of your own, to change it there.

    Writes DEST, which must not exist yet.
    """
    from featkd.errors import UsageError
    from featkd.recipes import shipped_recipes

    shipped = shipped_recipes()
    if name not in shipped:
        raise UsageError(f"there is no recipe {name!r}; shipped are {', '.join(shipped)}")
    try:
        with destination.open("x", encoding="utf-8") as file:
            file.write(shipped[name])
    except FileExistsError as error:
        raise UsageError(f"{destination} exists already; expected a new file's name") from error
    click.echo(f"recipe {name} copied to {destination}")


@recipe.command(epilog=example("featkd recipe validate mine.yaml"))
@click.argument("file")
@json_option
def validate(*, file: str, as_json: bool) -> None:
    """Check a recipe: unknown keys, wrong values, missing sections.

    Reads FILE alone, not the videos it names; writes nothing. Exits with 1 where something is
    wrong.
    """
    from featkd.cli.tables import print_json
    from featkd.recipes import load_any_recipe

    resolved = load_any_recipe(file)
    if as_json:
        print_json({"file": file, "name": resolved.name, "valid": True})
    else:
        click.echo(f"{file} is a valid recipe, {resolved.name!r}")
