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
from featkd.manifest.facts import journal_beside
from featkd.manifest.listing import ListedClip, ListedSegment, Listing, Remark
from featkd.manifest.manifest import Manifest
from featkd.manifest.problem import Problem
from featkd.manifest.read import read_manifest
from featkd.manifest.schema import COLUMNS, Column, ManifestHeader
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
    "Clips",
    "Column",
    "DatasetDescriptor",
    "ListedClip",
    "ListedSegment",
    "Listing",
    "Manifest",
    "ManifestHeader",
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
    "describe_dataset",
    "described_datasets",
    "journal_beside",
    "read_annotations",
    "read_class_names",
    "read_descriptor",
    "read_listing",
    "read_manifest",
    "shipped_descriptor",
    "write_annotations",
    "write_manifest",
]
