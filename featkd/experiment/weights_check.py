"""Looking at weights before they are used."""

from pathlib import Path

from featkd.experiment.workspace import Workspace
from featkd.models import (
    MatchReport,
    NetworkCard,
    digest_of,
    match_weights,
    read_foreign_weights,
    read_state_file,
    read_weights,
    resolve_spec,
    translate_i3d,
)
from featkd.models.checkpoint import CARD
from featkd.models.hub.spec import read_config
from featkd.models.state_file import metadata_of
from featkd.recipes import Recipe


def inspect_weights(path: Path) -> dict[str, object]:
    """What a file or a Hugging Face folder says of itself, ready for a table or JSON.

    Args:
        path: state dictionary, network saved by featkd, or folder of a Hugging Face model.

    Raises:
        CheckpointError: missing or damaged.
        ModelError: the folder has no ``config.json``.
    """
    found: dict[str, object] = {"file": str(path), "sha256": digest_of(path)}
    if path.is_dir():
        config = read_config(path)
        return {**found, "layout": "huggingface", "network": config.get("model_type")}
    if CARD in metadata_of(path):
        card, state = read_weights(path)
        return {
            **found,
            "layout": "featkd",
            "tensors": len(state),
            "network": card.model.name,
            "classes": len(card.classes),
            "frames": card.num_frames,
            "size": card.preprocess.size,
            "origin": None if card.origin is None else card.origin.file,
        }
    file = read_state_file(path)
    found |= {"wrappers": list(file.wrappers), "tensors": len(file.state)}
    translated = translate_i3d(file.state)
    if translated is None:
        return {**found, "layout": "plain", "first_names": list(file.state)[:3]}
    described = translated.describe()
    return {
        **found,
        "layout": translated.layout,
        "network": described.name,
        "width": described.width,
        "input_channels": described.in_channels,
        "classes": described.num_classes,
        "attention_head": "released" if described.has_attention_head else None,
    }


def compare_with_recipe(path: Path, recipe: Recipe, network: str) -> MatchReport:
    """How weights fit a network of a recipe; nothing is loaded.

    Args:
        path: of the weights.
        recipe: the recipe, whose manifest gives the number of classes.
        network: ``teacher`` or ``student``.

    Raises:
        CheckpointError: the weights are missing, damaged, or of an unknown layout.
        ManifestError: the manifest cannot be read.
        ModelError: the network cannot be built.
    """
    section = recipe.teacher if network == "teacher" else recipe.student
    card = NetworkCard(
        model=resolve_spec(section.model),
        classes=Workspace(recipe).manifest.header.classes,
        num_frames=recipe.views.train.num_frames,
        preprocess=section.preprocess,
    )
    built = card.build()
    weights = read_foreign_weights(path, card.model, len(card.classes))
    replaces = section.weights is not None and section.weights.classifier == "replace"
    return match_weights(
        built.state_dict(),
        weights.state,
        replaced=built.classifier_names() if replaces else (),
        file_names=weights.file_names,
    )
