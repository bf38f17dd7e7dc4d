"""The pipeline of a workspace: its videos, its teachers, its settings."""

from collections.abc import Sequence

from featkd.cache import FolderStore
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.experiment.row_index import RowIndex
from featkd.extract.job import LayerJob
from featkd.extract.pipeline import Pipeline
from featkd.extract.rendering import RowRenderer
from featkd.models import BaseTeacher


def make_pipeline(
    workspace: AnyWorkspace, store: FolderStore, job: LayerJob, teachers: Sequence[BaseTeacher]
) -> Pipeline:
    """The pipeline that fills a layer of a workspace's cache, or of a cache like it."""
    recipe = workspace.recipe
    clips = workspace.train_clips()
    frames = recipe.extract.frames
    keeps_frames = frames is not None and any(n.startswith("frames/") for n in job.array_names)
    sizes = [teachers[0].preprocess_spec.size]
    if frames is not None and keeps_frames:
        sizes.append(frames.size)
    renderer = RowRenderer(
        clips,
        recipe.views.train,
        seed=recipe.seed,
        index=RowIndex(store, clips.video_ids()),
        sizes=sizes,
        read=workspace.frame_reader(teachers[0].preprocess_spec.modality),
    )
    return Pipeline(
        store,
        job,
        teachers,
        renderer,
        frames=frames,
        batch_size=recipe.extract.batch_size,
        num_workers=recipe.loading.num_workers,
    )
