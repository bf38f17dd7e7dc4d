"""Text that others have written."""

from pathlib import Path

from featkd.errors import ManifestError


def read_text(path: Path, expected: str) -> str:
    """The text of a file in UTF-8, with or without a byte order mark, line breaks as line feeds.

    Args:
        path: what to read.
        expected: what the file should be, for messages.

    Raises:
        ManifestError: if it cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = error.strerror or error
        raise ManifestError(f"{path} cannot be read: {reason}; expected {expected}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 text; expected {expected}") from error
