"""The cache: what the teacher saw, in parts that are whole or absent."""

from featkd.cache.fingerprint import (
    Fingerprint,
    FingerprintValue,
    Mismatch,
    compare,
    require_match,
    sha256_of_state_dict,
)
from featkd.cache.memory_store import MemoryStore
from featkd.cache.row_table import ROW_COLUMNS
from featkd.cache.signal import (
    LOGITS_ARRAY,
    CachedSignal,
    SignalRequest,
    SignalSource,
    attention_array,
    feature_array,
)
from featkd.cache.spec import (
    DEFAULT_PART_ROWS,
    FORMAT,
    ArraySpec,
    CacheHeader,
    Commit,
    LayerSpec,
    ShardDigest,
)
from featkd.cache.store import CacheStore, SavedModule
from featkd.cache.zarr_store import ZarrStore

__all__ = [
    "DEFAULT_PART_ROWS",
    "FORMAT",
    "LOGITS_ARRAY",
    "ROW_COLUMNS",
    "ArraySpec",
    "CacheHeader",
    "CacheStore",
    "CachedSignal",
    "Commit",
    "Fingerprint",
    "FingerprintValue",
    "LayerSpec",
    "MemoryStore",
    "Mismatch",
    "SavedModule",
    "ShardDigest",
    "SignalRequest",
    "SignalSource",
    "ZarrStore",
    "attention_array",
    "compare",
    "feature_array",
    "require_match",
    "sha256_of_state_dict",
]
