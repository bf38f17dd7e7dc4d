"""From a folder to its flow."""

from pathlib import Path

from featkd.flow.given import GivenFlow
from featkd.flow.reader import FlowReader
from featkd.flow.store import HEADER_FILE, FlowStore


def open_flow(folder: Path) -> FlowReader:
    """Open a folder of flow, whoever made it.

    Args:
        folder: made by `compute_flow`, or images or arrays that others computed; see `FlowStore`
            and `GivenFlow`.

    Raises:
        FlowError: it is not a folder, or its header is damaged.
    """
    return FlowStore(folder) if (folder / HEADER_FILE).exists() else GivenFlow(folder)
