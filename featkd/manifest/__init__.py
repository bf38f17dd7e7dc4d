"""Manifests: one table says which videos exist, with labels, splits, lengths and checksums."""

from featkd.manifest.annotations import (
    AnnotationHeader,
    Annotations,
    annotations_path,
    read_annotations,
    write_annotations,
)
from featkd.manifest.build import build_from_folders
from featkd.manifest.build_lists import build_from_lists, build_ucf101_by_group, read_listing
from featkd.manifest.build_result import BuildResult, BuildWarning, Rejected
from featkd.manifest.clips import Clips
from featkd.manifest.datasets import LIST_FORMATS, read_class_names
from featkd.manifest.descriptor import (
    DatasetDescriptor,
    describe_dataset,
    described_datasets,
    read_descriptor,
    shipped_descriptor,
)
from featkd.manifest.difference import Change, ManifestDifference, compare_manifests
from featkd.manifest.facts import journal_beside
from featkd.manifest.listing import ListedClip, ListedSegment, Listing, Remark
from featkd.manifest.manifest import Manifest
from featkd.manifest.merge import Part, merge_manifests
from featkd.manifest.problem import Problem
from featkd.manifest.read import read_manifest
from featkd.manifest.schema import COLUMNS, Column, ManifestHeader
from featkd.manifest.split import draw_splits
from featkd.manifest.statistics import ManifestStatistics, measure_manifest, quantiles
from featkd.manifest.subset import renumber_classes, take_subset
from featkd.manifest.validate import check_table
from featkd.manifest.validate_annotations import check_annotations
from featkd.manifest.validate_descriptor import check_descriptor
from featkd.manifest.validate_files import check_contents, check_extra_files, check_files
from featkd.manifest.validate_lists import check_listing
from featkd.manifest.write import write_manifest

__all__ = [
    "COLUMNS",
    "LIST_FORMATS",
    "AnnotationHeader",
    "Annotations",
    "BuildResult",
    "BuildWarning",
    "Change",
    "Clips",
    "Column",
    "DatasetDescriptor",
    "ListedClip",
    "ListedSegment",
    "Listing",
    "Manifest",
    "ManifestDifference",
    "ManifestHeader",
    "ManifestStatistics",
    "Part",
    "Problem",
    "Rejected",
    "Remark",
    "annotations_path",
    "build_from_folders",
    "build_from_lists",
    "build_ucf101_by_group",
    "check_annotations",
    "check_contents",
    "check_descriptor",
    "check_extra_files",
    "check_files",
    "check_listing",
    "check_table",
    "compare_manifests",
    "describe_dataset",
    "described_datasets",
    "draw_splits",
    "journal_beside",
    "measure_manifest",
    "merge_manifests",
    "quantiles",
    "read_annotations",
    "read_class_names",
    "read_descriptor",
    "read_listing",
    "read_manifest",
    "renumber_classes",
    "shipped_descriptor",
    "take_subset",
    "write_annotations",
    "write_manifest",
]
