"""Images with known meaning: one ``ImageSet`` for every source, phantom or real."""

from .errors import DataError
from .imageset import Card, Factor, ImageSet, split_by_group
from .source import ClassifierSpec, Source, StandIn, all_sources, find_source
from .sources import at_hand, open_images, packed_folder

__all__ = [
    "Card",
    "ClassifierSpec",
    "DataError",
    "Factor",
    "ImageSet",
    "Source",
    "StandIn",
    "all_sources",
    "at_hand",
    "find_source",
    "open_images",
    "packed_folder",
    "split_by_group",
]
