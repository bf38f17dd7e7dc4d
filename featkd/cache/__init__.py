"""The cache: what the teacher saw, in parts that are whole or absent."""

from featkd.cache.codec_error import CodecError
from featkd.cache.codec_error import merge as merge_codec_errors
from featkd.cache.commit import Commit, FileDigest
from featkd.cache.copy import copy_cache
from featkd.cache.fingerprint import (
    Fingerprint,
    FingerprintValue,
    Mismatch,
    compare,
    refuse_mismatches,
    require_match,
    sha256_of_state_dict,
)
from featkd.cache.folder_store import FolderStore
from featkd.cache.inventory import ArrayInventory, raw_row_bytes, take_inventory
from featkd.cache.memory_store import MemoryStore
from featkd.cache.number_format import stored_arrays
from featkd.cache.part_layout import PartLayout
from featkd.cache.row_choice import choose_rows
from featkd.cache.row_table import ROW_COLUMNS
from featkd.cache.signal import (
    LOGITS_ARRAY,
    TRAJECTORY_ARRAY,
    CachedSignal,
    SignalRequest,
    SignalSource,
    attention_array,
    feature_array,
)
from featkd.cache.spec import (
    DEFAULT_COMPRESSION,
    DEFAULT_PART_ROWS,
    FORMAT,
    INTEGER_DTYPES,
    ArraySpec,
    Backend,
    CacheHeader,
    Compression,
    FeatureDtype,
    LayerSpec,
)
from featkd.cache.store import CacheStore, SavedModule

__all__ = [
    "DEFAULT_COMPRESSION",
    "DEFAULT_PART_ROWS",
    "FORMAT",
    "INTEGER_DTYPES",
    "LOGITS_ARRAY",
    "ROW_COLUMNS",
    "TRAJECTORY_ARRAY",
    "ArrayInventory",
    "ArraySpec",
    "Backend",
    "CacheHeader",
    "CacheStore",
    "CachedSignal",
    "CodecError",
    "Commit",
    "Compression",
    "FeatureDtype",
    "FileDigest",
    "Fingerprint",
    "FingerprintValue",
    "FolderStore",
    "LayerSpec",
    "MemoryStore",
    "Mismatch",
    "PartLayout",
    "SavedModule",
    "SignalRequest",
    "SignalSource",
    "attention_array",
    "choose_rows",
    "compare",
    "copy_cache",
    "feature_array",
    "merge_codec_errors",
    "raw_row_bytes",
    "refuse_mismatches",
    "require_match",
    "sha256_of_state_dict",
    "stored_arrays",
    "take_inventory",
]
