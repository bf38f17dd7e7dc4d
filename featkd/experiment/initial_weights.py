"""What a network starts from before it is trained: weights from elsewhere, or its teacher's."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from featkd.errors import UsageError
from featkd.models import (
    HuggingFaceSpec,
    Network,
    NetworkCard,
    Origin,
    VideoClassifier,
    digest_of,
    preprocess_problem,
    read_foreign_weights,
    start_from,
)
from featkd.recipes import WeightsSection


@dataclass(frozen=True)
class WeightsOfFile:
    """Weights that a section of the recipe names.

    Attributes:
        section: the file, and what becomes of its classifier.
        card: of the network that takes them.
        is_student: whether the network is a student: what its distiller gave it may be missing in
            the file, and starts anew.
    """

    section: WeightsSection
    card: NetworkCard
    is_student: bool = False

    def settings(self) -> dict[str, str]:
        """Digest of the file, and what becomes of its classifier.

        Raises:
            CheckpointError: there is no such file.
        """
        return {"sha256": digest_of(self.section.file), "classifier": self.section.classifier}

    def load(self, network: Network) -> dict[str, object]:
        """Read the file and load it strictly.

        Returns:
            ``origin`` and the names that ``matched``, were ``replaced`` or are absent ``counters``.

        Raises:
            CheckpointError: it does not fit; names what does not.
            ModelError: a new classifier is asked for, and which module that is is not known.
            UsageError: it knows other classes, or the model's folder has another normalisation.
        """
        return self.load_with_origin(network)[1]

    def load_with_origin(self, network: Network) -> tuple[Origin, dict[str, object]]:
        """As `load`, with the origin for a card."""
        card, path = self.card, self.section.file
        keeps = self.section.classifier == "keep"
        if isinstance(card.model, HuggingFaceSpec) and path.is_dir():
            problem = preprocess_problem(path, card.preprocess)
            if problem is not None:
                raise UsageError(f"{problem}; expected the same")
        weights = read_foreign_weights(path, card.model, len(card.classes))
        if keeps and weights.classes not in (None, card.classes):
            raise UsageError(
                f"{path} knows {len(weights.classes or ())} classes that are not the manifest's "
                f"{len(card.classes)}; expected the same names in the same order, or "
                "classifier: replace"
            )
        unknown: tuple[str, ...] = ()
        if self.is_student and isinstance(network, VideoClassifier):
            unknown = network.names_unknown_to(weights.state)
        report = weights.load(network, replace_classifier=not keeps, unknown=unknown)
        return weights.origin, {
            "origin": weights.origin.model_dump(),
            "matched": list(report.matched),
            "replaced": list(report.replaced),
            "counters": list(report.counters),
        }


@dataclass(frozen=True)
class WeightsOfTeacher:
    """The layers of the teacher that fit the student.

    Attributes:
        state: the teacher's state dictionary.
        sha256: its digest.
    """

    state: Mapping[str, Tensor]
    sha256: str

    def settings(self) -> dict[str, str]:
        """Digest of the teacher."""
        return {"teacher": self.sha256}

    def load(self, network: Network) -> dict[str, object]:
        """Take over what fits, as `featkd.models.start_from` does.

        Returns:
            ``layers``: what became of each tensor.

        Raises:
            ModelError: nothing fits.
        """
        layers = [transfer._asdict() for transfer in start_from(network, self.state)]
        return {"teacher": self.sha256, "layers": layers}


InitialWeights = WeightsOfFile | WeightsOfTeacher
"""Weights that a run begins with."""
