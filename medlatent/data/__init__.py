"""Images with known meaning: one ``ImageSet`` for every source, phantom or real."""

from .errors import DataError
from .imageset import Card, Factor, ImageSet
from .labels import describe_columns
from .source import ClassifierSpec, Source, StandIn, all_sources, find_source
from .sources import at_hand, open_images, own_sets, packed_folder
from .splits import SPLITS, split_by_group

__all__ = [
    "SPLITS",
    "Card",
    "ClassifierSpec",
    "DataError",
    "Factor",
    "ImageSet",
    "Source",
    "StandIn",
    "all_sources",
    "at_hand",
    "describe_columns",
    "find_source",
    "open_images",
    "own_sets",
    "packed_folder",
    "split_by_group",
]
