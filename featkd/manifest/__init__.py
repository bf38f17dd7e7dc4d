"""Manifests: one table says which videos exist, with labels, splits, lengths and checksums."""

from featkd.manifest.build import BuildResult, BuildWarning, Rejected, build_from_folders
from featkd.manifest.clips import Clips
from featkd.manifest.descriptor import DatasetDescriptor, read_descriptor
from featkd.manifest.manifest import Manifest
from featkd.manifest.problem import Problem
from featkd.manifest.read import read_manifest
from featkd.manifest.schema import COLUMNS, Column, ManifestHeader
from featkd.manifest.validate import check_table
from featkd.manifest.validate_files import check_contents, check_files
from featkd.manifest.write import write_manifest

__all__ = [
    "COLUMNS",
    "BuildResult",
    "BuildWarning",
    "Clips",
    "Column",
    "DatasetDescriptor",
    "Manifest",
    "ManifestHeader",
    "Problem",
    "Rejected",
    "build_from_folders",
    "check_contents",
    "check_files",
    "check_table",
    "read_descriptor",
    "read_manifest",
    "write_manifest",
]
