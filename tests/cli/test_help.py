import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from featkd.cli.main import main

Featkd = Callable[..., Result]


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _commands(child, (*path, name))


COMMANDS = list(_commands(main, ()))


def _example(text: str) -> list[str]:
    match = re.search(r"Example:\n\s+featkd (.*)", text)
    assert match, text
    return shlex.split(match[1])


def _resolve(words: list[str]) -> click.Context:
    """Parse a command line down to its last command without running it."""
    command: click.Command = main
    context = click.Context(main, info_name="featkd")
    while isinstance(command, click.Group):
        command = command.commands[words[0]]
        context = click.Context(command, parent=context, info_name=words[0])
        words = words[1:]
    return command.make_context(context.info_name, words, parent=context.parent)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help__describes_and_shows_an_example_that_parses(
    featkd: Featkd, path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").mkdir()
    result = featkd(*path, "--help")
    assert result.exit_code == 0
    words = _example(result.stdout)
    assert tuple(words[: len(path)]) == path
    assert _resolve(words).command is not None


def test_help__names_every_command_once(featkd: Featkd) -> None:
    lines = featkd("--help").stdout.splitlines()
    for name in main.commands:
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1
    listed = lines[lines.index("Commands:") :]
    assert not any(line.endswith("...") for line in listed)  # a sentence was too long


def test_help__loads_neither_torch_nor_rich() -> None:
    program = (
        "import featkd.cli.main, sys; print([m for m in ('torch', 'rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_version__is_that_of_the_package(featkd: Featkd) -> None:
    assert re.fullmatch(r"\S+ \d+\.\d+\.\d+\n", featkd("--version").stdout)
