"""Extraction: the frozen teacher sees every view once, and what it says goes into the cache."""

from featkd.extract.local import ExtractSummary, extract

__all__ = ["ExtractSummary", "extract"]
