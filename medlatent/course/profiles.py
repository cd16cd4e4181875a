"""Profiles: how large a run is. ``ci``: seconds to two minutes; ``laptop``: minutes; ``paper``: the paper's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from ..plans import PROFILES

T = TypeVar("T")


def choose(profiles: Mapping[str, T], name: str) -> T:
    """The settings of one profile.

    Args:
        profiles: settings by the name of the profile: ``ci``, ``laptop`` and ``paper``, all three of them.
        name: which one.

    Raises:
        ValueError: the name is unknown, or a profile is not described.
    """
    if missing := [n for n in PROFILES if n not in profiles]:
        raise ValueError(f"the profile {missing[0]!r} is not described")
    if name not in profiles:
        raise ValueError(f"unknown profile {name!r}: choose one of {', '.join(profiles)}")
    return profiles[name]
