"""Weights of distillers, each chosen by the same small search on the validation split."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from featkd.errors import UsageError
from featkd.experiment.scores import MEASURES
from featkd.experiment.student_pool import Student, train_students
from featkd.recipes import AnyRecipe
from featkd.recipes.base_table import BaseRowSpec, candidate_name, with_setting
from featkd.types import Progress, Spec


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value that was tried.

    Attributes:
        value: of the weight.
        scores: on the validation split, by seed, as fractions.
    """

    value: float
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.scores)


@dataclass(frozen=True, slots=True)
class FoundWeight:
    """What a search found.

    Attributes:
        key: the setting.
        split: measured on.
        measure: what was measured, by its name in JSON: ``top1``, or ``average`` (mAP).
        seeds: of the students that were trained.
        candidates: every value tried.
    """

    key: str
    split: str
    measure: str
    seeds: tuple[int, ...]
    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> float:
        """The value with the best mean; the smaller of equals."""
        return max(self.candidates, key=lambda tried: (tried.mean, -tried.value)).value

    @property
    def is_at_the_edge(self) -> bool:
        """Whether a value beyond those tried might be better still."""
        values = [tried.value for tried in self.candidates]
        return self.chosen in (min(values), max(values))

    def to_json(self) -> dict[str, object]:
        """As a dictionary of numbers, texts and lists."""
        return {
            "key": self.key,
            "split": self.split,
            "seeds": list(self.seeds),
            "candidates": [
                {"value": tried.value, self.measure: list(tried.scores), "mean": tried.mean}
                for tried in self.candidates
            ],
            "chosen": self.chosen,
            "at_the_edge": self.is_at_the_edge,
        }


def search_weights(
    recipe: AnyRecipe,
    rows: Mapping[str, BaseRowSpec],
    seeds: Sequence[int],
    *,
    num_processes: int,
    progress: Progress,
) -> dict[str, FoundWeight]:
    """Train a student for every value of every row that has some, and measure it.

    Args:
        recipe: its cache must be complete.
        rows: by name; those without a search are left out.
        seeds: of the students of each value.
        num_processes: students that are trained at once.
        progress: shows the work.

    Returns:
        What was found, by row.

    Raises:
        UsageError: the manifest has no validation split.
        FeatkdError: as `train_students`.
    """
    searches = {name: row.search for name, row in rows.items() if row.search is not None}
    distillers: dict[str, Spec] = {
        candidate_name(name, value): with_setting(rows[name].distiller, search.key, value)
        for name, search in searches.items()
        for value in search.values
    }
    if not searches:
        return {}
    if not seeds:
        raise UsageError("weights are to be searched with no seed; expected at least one")
    split = recipe.data.validation_split
    students = [Student(name, seed) for seed in seeds for name in distillers]
    with_candidates = recipe.model_copy(update={"distillers": distillers})
    scores = train_students(
        with_candidates, students, split=split, num_processes=num_processes, progress=progress
    )
    return {
        name: FoundWeight(
            key=search.key,
            split=split,
            measure=MEASURES[recipe.task],
            seeds=tuple(seeds),
            candidates=tuple(
                Candidate(
                    value,
                    tuple(scores[Student(candidate_name(name, value), seed)] for seed in seeds),
                )
                for value in search.values
            ),
        )
        for name, search in searches.items()
    }
