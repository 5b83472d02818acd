"""From sources to splits: which image belongs where, with which label, in which shard."""

import hashlib
import math
from collections import Counter
from dataclasses import dataclass

from cdm_data_prep.sources import Item, Listing, Source, SourceKind, SourceOptions

IMAGES_PER_SHARD = 1000
MAX_SHARDS = 1024


@dataclass(frozen=True)
class SplitPlan:
    """The images of one split, in the order in which they are written.

    `class_names` is empty for images without classes.
    """

    name: str
    source: Source
    items: list[Item]
    class_names: tuple[str, ...]
    shards: int


def plan_splits(kind: SourceKind, options: SourceOptions, shards: int | None) -> list[SplitPlan]:
    """The splits `train` and, if there are images for it, `validation`.

    `options` have their defaults filled in. `shards` is the most a split gets, None for a number
    that suits its size.

    Raises ValueError for input that is not as expected, a class count that is not the expected one,
    and validation classes that are not among those of training.
    """
    sources = kind.make(options)
    train = sources["train"].listing()
    _check_classes(train, options.num_classes, kind.expected_classes)
    held_out: Listing | None = None
    if "validation" in sources:
        held_out = _relabelled(sources["validation"].listing(), train.class_names)
    elif options.validation_fraction:
        train, held_out = hold_out(train, options.validation_fraction)
    plans = [_plan("train", sources["train"], train, options.seed, shards)]
    if held_out is not None and held_out.items:
        source = sources.get("validation", sources["train"])
        plans.append(_plan("validation", source, held_out, options.seed, shards))
    return plans


def hold_out(listing: Listing, fraction: float) -> tuple[Listing, Listing]:
    """Divides a listing in two: (the rest, about `fraction` of it).

    An image's side depends on its id alone, so it stays where it is when other images are added.
    """
    limit = round(fraction * 2**64)
    sides: tuple[list[Item], list[Item]] = ([], [])
    for item in listing.items:
        sides[_hash("validation", item.id) < limit].append(item)
    if not all(sides):
        raise ValueError(
            f"--validation-fraction {fraction} of {len(listing.items)} images leaves "
            f"{len(sides[0])} for training and {len(sides[1])} for validation; "
            "choose another, or 0 for no validation split"
        )
    return Listing(sides[0], listing.class_names), Listing(sides[1], listing.class_names)


def in_written_order(items: list[Item], seed: int) -> list[Item]:
    """The items in an order drawn from (seed, id).

    Classes are mixed already on disk: equal runs of this order are balanced shards, and a reader
    that goes through them in pieces still sees all classes.
    """
    return sorted(items, key=lambda item: (_hash(str(seed), item.id), item.id))


def default_shards(examples: int) -> int:
    """About one shard for 1,000 images, 1,024 at most."""
    return min(MAX_SHARDS, math.ceil(examples / IMAGES_PER_SHARD))


def _plan(name: str, source: Source, listing: Listing, seed: int, shards: int | None) -> SplitPlan:
    twice = [id for id, times in Counter(item.id for item in listing.items).items() if times > 1]
    if twice:
        raise ValueError(f"the {name} images have the id '{twice[0]}' more than once")
    count = len(listing.items)
    number = min(shards, count) if shards else default_shards(count)
    ordered = in_written_order(listing.items, seed)
    return SplitPlan(name, source, ordered, listing.class_names, number)


def _relabelled(listing: Listing, class_names: tuple[str, ...]) -> Listing:
    """The listing with labels that count in `class_names`."""
    ranks = {name: rank for rank, name in enumerate(class_names)}
    strange = [name for name in listing.class_names if name not in ranks]
    if strange or bool(listing.class_names) != bool(class_names):
        got = ", ".join(strange[:5]) if strange else "no classes"
        raise ValueError(
            f"the validation images have classes that training has not: {got}; "
            f"training has {', '.join(class_names[:5]) or 'none'}{', …' * (len(class_names) > 5)}"
        )
    if not class_names:
        return listing
    items = [
        Item(item.id, ranks[listing.class_names[item.label]], item.location)
        for item in listing.items
    ]
    return Listing(items, class_names)


def _check_classes(listing: Listing, wanted: int | None, usual: int | None) -> None:
    for name in listing.class_names:
        if not name.isprintable():  # bytes of a file name that are no UTF-8 among others
            raise ValueError(f"the class name {name!r} cannot be written as text; rename it")
    found = len(listing.class_names) or 1
    expected = usual if wanted is None else wanted
    if expected is None or found == expected:
        return
    reason = "given by --num-classes" if wanted is not None else "which this source usually has"
    raise ValueError(
        f"the input has {found} classes, expected {expected}, {reason}; "
        f"if {found} is right, say --num-classes {found}"
    )


def _hash(salt: str, text: str) -> int:
    """A number from 0 to 2**64 - 1, the same everywhere and always."""
    data = f"{salt}/{text}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
