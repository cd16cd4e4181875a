"""Several files, or a folder, that change together or not at all; and what killed processes left is completed."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .claims import Claimed, claim, remove_if_dead
from .fields import check_fields, read_json, write_json
from .one import HOST, beside, discard, naming, sweep, sync, sync_folder, temporary_beside, text_of

FORMAT, VERSION = "medlatent.journal", 1


@contextmanager
def replacing_together(
    *paths: str | os.PathLike, remove: Sequence[str | os.PathLike] = ()
) -> Iterator[tuple[Path, ...]]:
    """Temporary paths beside ``paths`` that take their places together when the block ends well, or not at all.

    Write a file or a folder at each temporary path; nothing is there yet. An error, Ctrl-C included, leaves everything
    as it was. A process that is killed between two renames leaves a journal, ``.NAME.journal`` of the first path: with
    it :func:`recover`, or the next call with the same first path, completes what was begun. Of two processes that
    change the same paths, the later one has the last word: where it must not, :func:`claim` the place around it.

    Args:
        paths: of files or folders, all in one folder.
        remove: what vanishes at the same moment, in the same folder.

    Raises:
        ValueError: the paths do not lie in one folder, or one is named twice.
        FileNotFoundError: nothing was written at one of the temporary paths.
        Claimed: another process is at the same change.
        OSError: a path cannot be written; the message names it.
    """
    places, vanishing = [Path(path) for path in paths], [Path(path) for path in remove]
    _check_together([*places, *vanishing])
    folder, journal = places[0].parent, beside(places[0], "journal")
    temporaries: list[Path] = []
    try:
        for place in places:
            temporaries.append(temporary_beside(place))
            temporaries[-1].unlink()  # what comes there may be a folder
        with ExitStack() as names:
            for place, temporary in reversed([*zip(places, temporaries, strict=True)]):  # the first names what none did
                names.enter_context(naming(place, temporary))
            yield tuple(temporaries)
            with claim(journal):
                _complete(journal)
                steps = [_step(place, new) for place, new in zip(places, temporaries, strict=True)]
                _carry_out(journal, steps + [_step(place, None) for place in vanishing])
    finally:
        needed = text_of(journal)
        for temporary in temporaries:
            if temporary.name not in needed:  # else they are all that is left of the change
                with suppress(OSError):
                    discard(temporary)
    sync_folder(folder)


def recover(folder: str | os.PathLike, name: str | None = None) -> list[str]:
    """Completes in a folder what killed processes began, and sweeps up after them.

    Changes that :func:`replacing_together` had begun to make are completed; what dead processes of this machine left
    half written is removed, with their locks, and what was set aside for a change that is complete. What a living
    process is at stays.

    Args:
        folder: where to look; what lies deeper is left alone.
        name: only what belongs to this file or folder in it.

    Returns:
        What was done or found, one sentence each; none if everything is as it should be.

    Raises:
        ValueError: a journal is damaged; the message names it.
    """
    folder = Path(folder)
    said: list[str] = []
    if not folder.is_dir():
        return said
    for journal in sorted(p for p in folder.iterdir() if re.fullmatch(r"\..+\.journal", p.name)):
        if name is None or journal == beside(folder / name, "journal"):
            try:
                with claim(journal):
                    said += _complete(journal)
            except Claimed as busy:
                said.append(str(busy))
    names = [name, f".{name}.journal"] if name else []
    said += sweep(folder, *names)
    locks = [beside(folder / n, "lock") for n in names] or sorted(folder.glob(".*.lock"))
    for lock in locks:
        remove_if_dead(lock)
    return said


def is_there(path: str | os.PathLike) -> bool:
    """Whether a file or folder is there, once what a killed process had begun to put there is complete.

    Ask so before long work that ends in writing it: else it might be found out only then that it was there.

    Raises:
        ValueError: the journal of that change is damaged; the message names it.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - "." has no name, and a link shall stay one
    if not path.exists():
        recover(path.parent, path.name)
    return path.exists()


def _check_together(paths: list[Path]) -> None:
    if len({path.parent.absolute() for path in paths}) != 1:
        raise ValueError(f"what changes together must lie in one folder, not {', '.join(map(str, paths))}")
    if twice := [path for path in paths if paths.count(path) > 1]:
        raise ValueError(f"{twice[0]} is named twice in one change")


def _step(place: Path, new: Path | None) -> dict:
    """One line of a journal: the name of the place, of what comes there, and under which the old is set aside."""
    old = f".{place.name[:50]}.{HOST}-{os.getpid()}-{secrets.token_hex(4)}.old"
    if new is None:
        return {"place": place.name, "new": None, "old": old, "stamp": None}
    if not new.exists():
        raise FileNotFoundError(errno.ENOENT, "nothing was written that could take its place", str(place))
    if place.exists() and place.is_dir() != new.is_dir():
        kinds = ("file", "folder") if place.is_dir() else ("folder", "file")
        raise ValueError(f"{place}: a {kinds[0]} cannot take the place of a {kinds[1]}")
    new.chmod(0o755 if new.is_dir() else 0o644)
    sync(new)
    return {"place": place.name, "new": new.name, "old": old, "stamp": _stamp(new)}


def _stamp(path: Path) -> list[int]:
    """By what a file or folder is known again after it was renamed."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _carry_out(journal: Path, steps: list[dict]) -> None:
    folder = journal.parent
    try:
        write_json(journal, {"steps": steps}, FORMAT, VERSION)
        for step in steps:
            place, old = folder / step["place"], folder / step["old"]
            if step["new"] is None:
                if place.exists():
                    os.replace(place, old)  # noqa: PTH105
            else:
                _set_aside(place, old)
                os.replace(folder / step["new"], place)  # noqa: PTH105
    except BaseException:
        if journal.exists():
            for step in reversed(steps):
                _undo(folder, step)
            journal.unlink()
        raise
    _finish(journal, steps)


def _set_aside(place: Path, old: Path) -> None:
    if place.is_file():
        with suppress(OSError):  # a file system without links
            os.link(place, old)
            return  # it stays in its place, too, until the new one takes it: no reader finds nothing there
    if place.exists():
        os.replace(place, old)  # noqa: PTH105


def _undo(folder: Path, step: dict) -> None:
    place, old = folder / step["place"], folder / step["old"]
    new = folder / step["new"] if step["new"] else None
    if new and not new.exists():
        os.replace(place, new)  # noqa: PTH105
    if old.exists():
        if place.exists():  # the same file under two names
            old.unlink()
        else:
            os.replace(old, place)  # noqa: PTH105


def _finish(journal: Path, steps: list[dict]) -> None:
    """Removes the journal, and then what was set aside: while a journal is there, it can tell what was done.

    What cannot be removed is left to :func:`recover`.
    """
    sync_folder(journal.parent)
    with suppress(OSError):
        journal.unlink()
        sync_folder(journal.parent)
        for step in steps:
            discard(journal.parent / step["old"])


def _complete(journal: Path) -> list[str]:
    """Carries out what is left of a journal, and says so; the caller has claimed it."""
    if not journal.exists():
        return []
    folder, kinds = journal.parent, {"place": str, "new": str | None, "old": str, "stamp": list | None}
    steps, said = read_json(journal, FORMAT, VERSION, {"steps": list})["steps"], []
    for step in steps:
        if not isinstance(step, dict):
            raise ValueError(f"{journal}: the field 'steps' holds {step!r}, which is no step")
        check_fields(journal, step, kinds)
        names = {step["place"]: "", step["new"]: ".partial", step["old"]: ".old"}
        if wrong := [n for n, end in names.items() if n is not None and not (_is_beside(n) and n.endswith(end))]:
            raise ValueError(f"{journal}: {wrong[0]!r} is no name of a file beside it; look at it, and delete it")
    for step in steps:
        place, old = folder / step["place"], folder / step["old"]
        if step["new"] is None:
            if place.exists() and not old.exists():
                os.replace(place, old)  # noqa: PTH105
        elif (new := folder / step["new"]).exists():
            if place.is_dir():
                os.replace(place, old)  # noqa: PTH105
            os.replace(new, place)  # noqa: PTH105
        elif not place.exists() or _stamp(place) != step["stamp"]:
            said.append(f"{place}: a change was interrupted, and what should have come there is gone")
    _finish(journal, steps)
    changed = ", ".join(step["place"] for step in steps)
    return said or [f"{folder}: an interrupted change of {changed} was completed"]


def _is_beside(name: str) -> bool:
    return name not in ("", "..") and Path(name).name == name
