"""From an exception to one line for people and an exit status for scripts."""

import errno
from typing import NamedTuple

from featkd.errors import FeatkdError

FAILED = 1
INTERRUPTED = 130

_OS_SENTENCES = {
    errno.ENOENT: "{file} does not exist",
    errno.EACCES: "{file} may not be read or written: permission denied",
    errno.EPERM: "{file} may not be read or written: permission denied",
    errno.EROFS: "{file} cannot be written: the disk is read-only",
    errno.EEXIST: "{file} exists already",
    errno.EISDIR: "{file} is a directory; expected a file",
    errno.ENOTDIR: "{file} lies below something that is not a directory",
    errno.ENOSPC: "{file} cannot be written: no room left; make room and run the command again",
    errno.EDQUOT: "{file} cannot be written: your quota is used up; make room and run it again",
}


class Failure(NamedTuple):
    """What a failed command says on stderr, and its exit status."""

    line: str
    exit_status: int


def describe_failure(error: BaseException, command_line: str) -> Failure:
    """Say in one line what went wrong and, where it helps, what to do.

    Args:
        error: what a command raised.
        command_line: as it was typed, to be repeated after an interruption.
    """
    match error:
        case KeyboardInterrupt():
            return Failure(
                f"Stopped. Everything finished so far is kept; go on with: {command_line}",
                INTERRUPTED,
            )
        case FeatkdError():
            return Failure(f"error: {_one_line(error)}", FAILED)
        case OSError():
            return Failure(f"error: {_describe_os_error(error)}", FAILED)
    return Failure(
        f"unexpected error: {type(error).__name__}: {_one_line(error)}; "
        "run again with --debug, as in: featkd --debug ...",
        FAILED,
    )


def _describe_os_error(error: OSError) -> str:
    file = error.filename if error.filename is not None else "a file"
    if isinstance(file, bytes):
        file = file.decode(errors="replace")
    sentence = _OS_SENTENCES.get(error.errno or 0)
    if sentence is None:
        return f"{file}: {error.strerror or _one_line(error)}"
    return sentence.format(file=file)


def _one_line(error: BaseException) -> str:
    """The message without its line breaks."""
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())
