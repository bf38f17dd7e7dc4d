"""Whether a cache is what a recipe's training expects: every field in which it is not."""

from collections.abc import Collection

from featkd.cache import (
    ArraySpec,
    CacheStore,
    Fingerprint,
    Mismatch,
    attention_array,
    compare,
    feature_array,
)
from featkd.cache.signal import TRAJECTORY_ARRAY
from featkd.distillers import Requirements
from featkd.errors import UsageError
from featkd.experiment.arrays import (
    FRAMES_CRC_ARRAY,
    REPRESENTATION_LAYER,
    TRAJECTORY_LAYER,
    codec_key,
    frames_array,
    is_teacher_layer,
    logits_arrays,
)
from featkd.experiment.fingerprint import representation_fingerprint, trajectory_fingerprint
from featkd.experiment.row_index import ABSENT, RowIndex
from featkd.experiment.workspace import BaseWorkspace

TAPS_FIELD = "teacher.taps"
VIEWS_FIELD = "views.num_views"
VIDEOS_FIELD = "rows.videos"


class CacheCheck:
    """Compares a cache with a recipe, as far as some needs go.

    Args:
        workspace: the recipe.
        store: its cache.
        teacher: fingerprint that the teacher's layers should have.
        needs: what is going to be read.
    """

    def __init__(
        self, workspace: BaseWorkspace, store: CacheStore, teacher: Fingerprint, needs: Requirements
    ) -> None:
        self._recipe = workspace.recipe
        self._store = store
        self._teacher = teacher
        self._needs = needs
        self._representation = representation_fingerprint(workspace, teacher)
        layer = store.layers().get(TRAJECTORY_LAYER)
        # Of which file it is a copy is for extraction to know: training may do without the file.
        sha256 = None if layer is None else layer.fingerprint.get("trajectory.sha256")
        self._trajectory = trajectory_fingerprint(workspace, teacher, sha256)
        self.held: dict[str, ArraySpec] = {
            array.name: array for layer in store.layers().values() for array in layer.arrays
        }

    def arrays(self) -> list[str]:
        """The arrays that are needed, as far as the cache has them."""
        names = [*self._expected_dtypes(), *map(attention_array, self._needs.attention_layers)]
        names += [TRAJECTORY_ARRAY] if self._needs.trajectory else []
        return [name for name in names if name in self.held]

    def require_allowable(self, fields: Collection[str]) -> None:
        """Check that exceptions could be made for some fields.

        Raises:
            UsageError: one is no field of a fingerprint, or names what the cache lacks.
        """
        known = {*self._teacher, *self._representation, *self._trajectory}
        known |= {VIDEOS_FIELD, FRAMES_CRC_ARRAY}
        known |= {f"codec.{name}" for name in self.arrays()}
        for field in fields:
            if field in {TAPS_FIELD, VIEWS_FIELD}:
                raise UsageError(
                    f"a mismatch of {field} cannot be allowed: what the cache lacks cannot be "
                    "trained on; add it: featkd extract"
                )
            if field not in known:
                raise UsageError(
                    f"{field!r} is no field of the fingerprint; expected one of "
                    f"{', '.join(sorted(known))}"
                )

    def mismatches(self, index: RowIndex) -> list[Mismatch]:
        """Every field that differs, once.

        Args:
            index: of the cache's rows by the recipe's clips.
        """
        found = [
            *self._compare_layers(),
            *self._compare_arrays(),
            *self._compare_rows(index),
        ]
        return list({item.field: item for item in reversed(found)}.values())[::-1]

    def _compare_layers(self) -> list[Mismatch]:
        found = []
        for name, layer in self._store.layers().items():
            if is_teacher_layer(name):
                found += compare(layer.fingerprint, self._teacher)
            if name == REPRESENTATION_LAYER and (
                self._needs.attention_layers or self._needs.modules
            ):
                found += compare(layer.fingerprint, self._representation)
            if name == TRAJECTORY_LAYER and self._needs.trajectory:
                found += compare(layer.fingerprint, self._trajectory)
        return found

    def _compare_arrays(self) -> list[Mismatch]:
        expected = self._expected_dtypes()
        missing = sorted((set(expected) | self._expected_frames()) - set(self.held))
        found = []
        if missing:
            there = [name for name in self.held if name.startswith(("features/", "frames/"))]
            found.append(Mismatch(TAPS_FIELD, (*sorted(there),), (*missing,)))
        found += [
            Mismatch(f"codec.{name}", self.held[name].dtype, dtype)
            for name, dtype in expected.items()
            if name in self.held and self.held[name].dtype != dtype
        ]
        return found

    def _compare_rows(self, index: RowIndex) -> list[Mismatch]:
        found = []
        num_views = self._recipe.views.train.num_views
        if index.num_views < num_views:
            found.append(Mismatch(VIEWS_FIELD, index.num_views, num_views))
        present = int((index.rows != ABSENT).all(axis=1).sum())
        if present != len(index.rows):
            found.append(Mismatch(VIDEOS_FIELD, present, len(index.rows)))
        return found

    def _expected_dtypes(self) -> dict[str, str]:
        names = [feature_array(tap) for tap in self._needs.taps]
        names += logits_arrays(self._recipe) if self._needs.logits else ()
        return {name: self._recipe.extract.codec(codec_key(name))[0] for name in names}

    def _expected_frames(self) -> set[str]:
        frames = self._recipe.extract.frames
        return set() if frames is None else {frames_array(frames.size, frames.image)}
