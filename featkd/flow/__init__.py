"""Optical flow of videos: computed once and kept, or read from what others computed."""

from featkd.flow.compute import FlowSummary, compute_flow
from featkd.flow.method import FlowMethod, FlowSpec, estimate_flow
from featkd.flow.open import open_flow
from featkd.flow.reader import FlowReader
from featkd.flow.store import FlowStore

__all__ = [
    "FlowMethod",
    "FlowReader",
    "FlowSpec",
    "FlowStore",
    "FlowSummary",
    "compute_flow",
    "estimate_flow",
    "open_flow",
]
