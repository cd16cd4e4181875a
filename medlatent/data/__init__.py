"""Images with known meaning: one ``ImageSet`` for every source, phantom or real."""

from .errors import DataError
from .imageset import Card, Factor, ImageSet, split_by_group
from .sources import at_hand, open_images, packed_folder

__all__ = ["Card", "DataError", "Factor", "ImageSet", "at_hand", "open_images", "packed_folder", "split_by_group"]
