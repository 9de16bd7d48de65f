"""The one way in which blocks are computed: map each, merge in their order.

The implementations (threads here, clusters later) live in `gradline.engines` and are handed in by the wiring. Because
the results are merged in the order of the items, never in the order in which they finish, every engine gives the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
R = TypeVar("R")


class Engine(Protocol):
    """Computes `compute(item)` for each item, anywhere, and folds the results with `merge` in the items' order."""

    def map_merge(self, items: Iterable[T], compute: Callable[[T], R], merge: Callable[[R, R], R]) -> R | None:
        """The merged result, or None where there is no item."""
        ...
