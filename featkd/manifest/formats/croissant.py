"""Croissant, the metadata format of MLCommons for datasets: JSON-LD beside the manifest itself.

Source: Croissant Format Specification 1.0, http://mlcommons.org/croissant/1.0.
"""

import json
import re
from pathlib import Path
from typing import Any

from featkd.checksum import sha256_of
from featkd.durable import replace_file
from featkd.errors import ManifestError
from featkd.manifest.formats.partial import PartialManifest
from featkd.manifest.manifest import Manifest
from featkd.manifest.read import read_manifest
from featkd.manifest.schema import COLUMN_NAMES, COLUMNS
from featkd.manifest.structure import path_fault
from featkd.manifest.text_file import read_text
from featkd.manifest.write import write_manifest

DESCRIPTION = "croissant.json"
TABLE = "manifest.parquet"

_CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_CROISSANT_TERMS = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject",
    "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
    "source", "subField", "transform",
)  # fmt: skip
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    **{term: f"cr:{term}" for term in _CROISSANT_TERMS},
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}
_DATA_TYPES = {"text": "sc:Text", "int64": "cr:Int64", "float64": "cr:Float64"}
_SPLIT_URLS = {
    "train": "cr:TrainingSplit",
    "val": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}


class Croissant:
    """A Croissant description of a manifest, with the manifest beside it.

    Attributes:
        name: its name in options and messages.
        columns: columns of a manifest that it holds.
        fields: fields of a manifest's header that it holds, the class list apart.
    """

    name = "croissant"
    columns = frozenset(COLUMN_NAMES)
    fields = frozenset({"dataset", "version", "protocol", "source", "licence"})

    def write(self, manifest: Manifest, folder: Path) -> None:
        """Write the manifest as Parquet, and ``croissant.json``, which describes it."""
        write_manifest(manifest, folder / TABLE)
        description = _description(manifest, folder / TABLE)
        text = json.dumps(description, indent=1, ensure_ascii=False)
        replace_file(folder / DESCRIPTION, f"{text}\n".encode())

    def read(self, folder: Path, root: Path) -> PartialManifest:
        """Read the manifest that a Croissant description names.

        Croissant says what a table holds, in any words; only tables that are manifests are read.

        Raises:
            ManifestError: if ``croissant.json`` names no manifest, or one that was changed since.
        """
        path = folder / DESCRIPTION
        try:
            description = json.loads(read_text(path, "a Croissant description"))
        except json.JSONDecodeError as error:
            raise ManifestError(f"{path} is not JSON: {error}") from error
        table, sha256 = _described_table(description, path)
        if sha256_of(folder / table) != sha256:
            raise ManifestError(
                f"{folder / table} has another checksum than {path} says; expected {sha256}"
            )
        manifest = read_manifest(folder / table, root=root)
        return PartialManifest(manifest.header, manifest.table)


def _description(manifest: Manifest, table: Path) -> dict[str, Any]:
    header = manifest.header
    about = (
        f"{manifest.num_rows} labelled clips of {len(header.classes)} classes. Splits: "
        f"{header.protocol or 'not said how they came about'}. Source: "
        f"{header.source or 'not said'}. The videos are not part of it: paths start from the "
        "folder that its user keeps them in."
    )
    url = re.search(r"https?://[^\s,;)]+", header.source)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": header.dataset,
        "conformsTo": _CONFORMS_TO,
        "description": about,
        "version": header.version,
        **({"license": header.licence} if header.licence else {}),
        **({"url": url[0]} if url else {}),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": table.name,
                "name": table.name,
                "description": "A manifest of featkd: a row for each clip.",
                "contentUrl": table.name,
                "contentSize": f"{table.stat().st_size} B",
                "encodingFormat": "application/x-parquet",
                "sha256": sha256_of(table),
            }
        ],
        "recordSet": [_classes(manifest), _splits(manifest), _clips(table.name)],
    }


def _classes(manifest: Manifest) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "description": "The classes and their labels.",
        "dataType": "sc:Enumeration",
        "key": {"@id": "classes/label"},
        "field": [
            _field("classes/label", "Index of the class, from 0.", "sc:Integer"),
            _field("classes/name", "Name of the class.", "sc:Text"),
        ],
        "data": [
            {"classes/label": label, "classes/name": name}
            for label, name in enumerate(manifest.header.classes)
        ],
    }


def _splits(manifest: Manifest) -> dict[str, Any]:
    names = manifest.splits()
    fields = [_field("splits/name", "Name of the split.", "sc:Text")]
    data = [{"splits/name": name} for name in names]
    if all(name in _SPLIT_URLS for name in names):
        fields.append(_field("splits/url", "What the split is for.", "sc:URL"))
        data = [{**row, "splits/url": _SPLIT_URLS[row["splits/name"]]} for row in data]
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "The splits.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": fields,
        "data": data,
    }


def _clips(table: str) -> dict[str, Any]:
    references = {"label": "classes/label", "split": "splits/name"}
    fields = []
    for column in COLUMNS:
        data_type = _DATA_TYPES[column.dtype_name]
        field = _field(f"clips/{column.name}", column.meaning, data_type)
        field["source"] = {"fileObject": {"@id": table}, "extract": {"column": column.name}}
        if column.name in references:
            field["references"] = {"field": {"@id": references[column.name]}}
        fields.append(field)
    return {
        "@type": "cr:RecordSet",
        "@id": "clips",
        "name": "clips",
        "description": "A labelled stretch of a video each.",
        "key": {"@id": "clips/video_id"},
        "field": fields,
    }


def _field(name: str, meaning: str, data_type: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": name,
        "name": name,
        "description": meaning,
        "dataType": data_type,
    }


def _described_table(description: Any, path: Path) -> tuple[str, str]:
    """Name and checksum of the manifest that a description names."""
    try:
        (clips,) = (one for one in description["recordSet"] if one["@id"] == "clips")
        table = clips["field"][0]["source"]["fileObject"]["@id"]
        (file,) = (one for one in description["distribution"] if one["@id"] == table)
        name, sha256 = file["contentUrl"], file["sha256"]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ManifestError(
            f"{path} describes no manifest; expected a record set 'clips' from a file of its "
            "distribution, as featkd writes it"
        ) from error
    if not isinstance(name, str) or path_fault(name) is not None:
        raise ManifestError(
            f"{path}: contentUrl of {table!r} is {name!r}; expected a file beside it"
        )
    return name, str(sha256)
