import re
from pathlib import Path

import pytest

from featkd.errors import ManifestError
from featkd.manifest.text_file import read_text


@pytest.mark.parametrize("content", [b"a\nb\n", b"\xef\xbb\xbfa\nb\n", b"a\r\nb\r\n"])
def test_read_text__marks_and_line_breaks_of_other_systems(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    assert read_text(path, "a list") == "a\nb\n"


def test_read_text__what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    for problem in (r"cannot be read: No such file or directory", "is not UTF-8 text"):
        with pytest.raises(
            ManifestError, match=rf"{re.escape(str(path))} {problem}; expected a list"
        ):
            read_text(path, "a list")
        path.write_bytes(b"\xff\xfe\x00")
