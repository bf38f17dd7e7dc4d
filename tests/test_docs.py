"""The documents say what is so: their code runs, their commands and links exist."""

import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import torch

from featkd.cli.main import main
from featkd.distillers import DISTILLERS
from featkd.recipes import load_recipe

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
WITH_CODE = [README, ROOT / "CONTRIBUTING.md", ROOT / "docs" / "detection.md"]
DOCUMENTS = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def blocks(path: Path, *languages: str) -> list[str]:
    """Contents of the fenced blocks in any of the languages."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [content for language, content in found if language in languages]


def command_lines() -> Iterator[list[str]]:
    """The words of each line of the documents that calls featkd."""
    for path in DOCUMENTS:
        for block in blocks(path, "bash", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                if words and Path(words[0]).name == "featkd":
                    yield words[1:]


def leaf_commands(
    group: click.Group, parents: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaf_commands(command, (*parents, name))
        else:
            yield (*parents, name), command


def parse(words: list[str]) -> None:
    """Read a command line as click would, looking at no file.

    Raises:
        click.UsageError: there is no such command or option, or an argument is missing.
    """
    command: click.Command = main
    context = click.Context(command)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no such command: {name}")
        command = found
        context = click.Context(command, parent=context, info_name=name)
    if words == ["--help"]:
        return
    values, rest, _ = command.make_parser(context).parse_args(list(words))
    if rest:
        raise click.UsageError(f"too many arguments: {rest}")
    for parameter in command.params:
        value = values.get(parameter.name)
        if parameter.required and not isinstance(value, str | tuple | list):
            raise click.UsageError(f"missing: {parameter.name}")
        if isinstance(parameter.type, click.Choice) and isinstance(value, str):
            parameter.type.convert(value, parameter, context)
        if parameter.name == "overrides" and isinstance(value, list):
            load_recipe("demo", value)


@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: path.name)
def test_python__runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        namespace = {"__name__": "documented"}
        sources = blocks(path, "python")
        assert sources
        for number, source in enumerate(sources, start=1):
            code = compile(source, f"{path.name}, block {number}", "exec")
            exec(code, namespace)  # noqa: S102 - our own documents
    finally:
        torch.set_num_threads(num_threads)
    capsys.readouterr()


@pytest.mark.parametrize("words", list(command_lines()), ids=" ".join)
def test_command__exists(words):
    parse(words)


@pytest.mark.parametrize(
    "words",
    [
        ["destil", "demo"],
        ["distill", "demo", "--distillers", "kd"],
        ["distill", "demo", "--signal", "recorded"],
        ["train"],
        ["train", "demo", "twice"],
        ["recipe", "copy", "demo"],
    ],
    ids=" ".join,
)
def test_parse__refuses(words):
    with pytest.raises(click.UsageError):
        parse(words)


@pytest.mark.parametrize("words", [words for words, _ in leaf_commands(main)], ids=" ".join)
def test_command__is_in_readme(words):
    if words == ("demo",):
        assert "make demo" in README.read_text("utf-8")
        return
    called = [" ".join(line) for line in command_lines()]
    assert any(line.startswith(" ".join(words)) for line in called)


@pytest.mark.parametrize("name", list(DISTILLERS))
def test_distiller__is_in_readme(name):
    assert f"| `{name}` |" in README.read_text("utf-8")


def test_yaml__is_a_recipe(tmp_path):
    sources = [source for path in DOCUMENTS for source in blocks(path, "yaml")]
    assert sources
    for source in sources:
        path = tmp_path / "documented.yaml"
        path.write_text(source)
        load_recipe(path)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_link__leads_somewhere(path):
    text = path.read_text("utf-8")
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        else:
            assert (path.parent / target.partition("#")[0]).exists(), target


def test_picture__is_svg_without_outside_parts():
    tree = ET.parse(ROOT / "docs" / "flow.svg")  # noqa: S314 - our own picture
    assert tree.getroot().tag == "{http://www.w3.org/2000/svg}svg"
    text = (ROOT / "docs" / "flow.svg").read_text("utf-8")
    assert not re.search(r"@import|url\((?!#)|href=", text)
