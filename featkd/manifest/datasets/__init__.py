"""The lists of each dataset: one file a form of lists, each read into a `Listing`."""

from collections.abc import Callable, Mapping

from featkd.manifest.class_index import ClassIndex
from featkd.manifest.datasets.activitynet import read_activitynet
from featkd.manifest.datasets.hmdb51 import read_hmdb51
from featkd.manifest.datasets.kinetics import read_kinetics
from featkd.manifest.datasets.kth import read_kth
from featkd.manifest.datasets.list_file import read_class_names, read_frame_lists, read_lists
from featkd.manifest.datasets.something_something import read_something_something
from featkd.manifest.datasets.thumos14 import read_thumos14
from featkd.manifest.datasets.ucf101 import read_ucf101
from featkd.manifest.list_files import ListFiles
from featkd.manifest.listing import Listing

__all__ = ["LIST_FORMATS", "ListReader", "read_class_names"]

ListReader = Callable[[ListFiles, ClassIndex, str], Listing]
"""Reads list files into the clips of a fold, their classes among those of the dataset."""

LIST_FORMATS: Mapping[str, ListReader] = {
    "activitynet": read_activitynet,
    "frames": read_frame_lists,
    "hmdb51": read_hmdb51,
    "kinetics": read_kinetics,
    "kth": read_kth,
    "paths": read_lists,
    "something_something_v2": read_something_something,
    "thumos14": read_thumos14,
    "ucf101": read_ucf101,
}
"""The readers by the name of the form they read: a dataset's own, or plain lists of ``paths`` or of
folders of ``frames``."""
