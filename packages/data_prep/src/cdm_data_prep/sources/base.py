"""What every source offers: a list of images with labels, and reading one of them."""

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Item:
    """One image of a source."""

    id: str  # unique in its split
    label: int  # position of its class in the listing's class names
    location: tuple[str | int, ...]  # what the source needs to read it; goes through JSON


@dataclass(frozen=True)
class Listing:
    """All images of a source, and its classes; none where the images have no classes."""

    items: list[Item]
    class_names: tuple[str, ...]


Reader = Callable[[Item], bytes | np.ndarray]
"""Gives an encoded picture, or one that needs no decoding: uint8 [h, w, 3].

Raises OSError or ValueError if it cannot be read.
"""


class Source(Protocol):
    """One collection of images. Small and picklable: workers on other machines get a copy."""

    def listing(self) -> Listing:
        """Lists the images, without reading them. ValueError if the input is not as expected."""
        ...

    def open(self) -> AbstractContextManager[Reader]:
        """A reader; called once for every shard. It holds whatever files reading needs."""
        ...

    def describe(self, item: Item) -> str:
        """Where a person finds the image."""
        ...


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What the command line says about the source; None where it says nothing."""

    input: str | None = None
    validation_input: str | None = None
    validation_fraction: float | None = None
    num_classes: int | None = None
    num: int | None = None
    num_validation: int | None = None
    characters: str | None = None
    seed: int = 0
    resolutions: tuple[int, ...] = ()


# Of SourceOptions, those that every kind accepts.
COMMON_OPTIONS = ("num_classes", "seed", "resolutions")


@dataclass(frozen=True, kw_only=True)
class SourceKind:
    """How the command line makes sources of one kind.

    `make` turns options into the source of each split: always `train`, and `validation` if it has
    images of its own. `defaults` holds the options that mean something to this kind, and their
    values where the command line gives none.
    """

    make: Callable[[SourceOptions], dict[str, Source]]
    defaults: Mapping[str, Any]
    default_name: Callable[[SourceOptions], str]
    expected_classes: int | None = None  # unless --num-classes says otherwise

    def with_defaults(self, name: str, options: SourceOptions) -> SourceOptions:
        """The options with their defaults; ValueError for one that this kind has no use for."""
        filled: dict[str, Any] = {}
        for option in dataclasses.fields(options):
            value = getattr(options, option.name)
            if option.name in COMMON_OPTIONS:
                continue
            if value is not None and option.name not in self.defaults:
                flag = option.name.replace("_", "-")
                raise ValueError(f"--{flag} means nothing to --source {name}; leave it out")
            filled[option.name] = self.defaults.get(option.name) if value is None else value
        if options.validation_input is not None:
            if options.validation_fraction is not None:
                raise ValueError(
                    "--validation-input and --validation-fraction exclude each other; give one"
                )
            filled["validation_fraction"] = None
        return dataclasses.replace(options, **filled)
