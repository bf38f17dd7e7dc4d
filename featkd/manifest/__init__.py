"""Manifests: one table says which videos exist, with labels, splits, lengths and checksums."""

from featkd.manifest.build import BuildResult, BuildWarning, Rejected, build_from_folders
from featkd.manifest.clips import Clips
from featkd.manifest.descriptor import DatasetDescriptor, read_descriptor
from featkd.manifest.difference import Change, ManifestDifference, compare_manifests
from featkd.manifest.manifest import Manifest
from featkd.manifest.merge import Part, merge_manifests
from featkd.manifest.problem import Problem
from featkd.manifest.read import read_manifest
from featkd.manifest.schema import COLUMNS, Column, ManifestHeader
from featkd.manifest.split import draw_splits
from featkd.manifest.statistics import ManifestStatistics, measure_manifest, quantiles
from featkd.manifest.subset import renumber_classes, take_subset
from featkd.manifest.validate import check_table
from featkd.manifest.validate_files import check_contents, check_files
from featkd.manifest.write import write_manifest

__all__ = [
    "COLUMNS",
    "BuildResult",
    "BuildWarning",
    "Change",
    "Clips",
    "Column",
    "DatasetDescriptor",
    "Manifest",
    "ManifestDifference",
    "ManifestHeader",
    "ManifestStatistics",
    "Part",
    "Problem",
    "Rejected",
    "build_from_folders",
    "check_contents",
    "check_files",
    "check_table",
    "compare_manifests",
    "draw_splits",
    "measure_manifest",
    "merge_manifests",
    "quantiles",
    "read_descriptor",
    "read_manifest",
    "renumber_classes",
    "take_subset",
    "write_manifest",
]
