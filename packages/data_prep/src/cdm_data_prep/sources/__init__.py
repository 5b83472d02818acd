"""Where images come from: one file for each kind of source, listed at the bottom of this one."""

from cdm_data_prep.sources import folder, glyphs, imagenet
from cdm_data_prep.sources.base import Item, Listing, Reader, Source, SourceKind, SourceOptions

__all__ = ["SOURCES", "Item", "Listing", "Reader", "Source", "SourceKind", "SourceOptions"]

SOURCES: dict[str, SourceKind] = {
    "folder": folder.KIND,
    "glyphs": glyphs.KIND,
    "imagenet": imagenet.KIND,
}
