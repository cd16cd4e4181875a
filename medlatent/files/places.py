"""Where the project keeps what its package reads, and what paths on a command line may look like."""

from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent


def project_folder(name: str) -> Path:
    """A folder of the project, such as ``results``: beside the package in a checkout, else in the working directory."""
    beside = PROJECT / name
    return beside if beside.is_dir() else Path(name)


def project_files(pattern: str) -> list[Path]:
    """The files of the project whose paths fit a pattern, such as ``results/*/meter_*.safetensors``, sorted."""
    first, rest = pattern.split("/", 1)
    return sorted(project_folder(first).glob(rest))


def check_home_is_written_out(options: Mapping[str, object]) -> None:
    """Refuses a path that begins with ~, which a shell has left as it is: a folder called ~ would be made here.

    Args:
        options: of a command line, by name; those that are paths, or lists of paths, are looked at.

    Raises:
        ValueError: there is one; the message names the option and how to write it.
    """
    for name, value in options.items():
        for path in value if isinstance(value, list) else [value]:
            if isinstance(path, Path) and path.parts[:1] == ("~",) and not path.exists():
                raise ValueError(
                    f"{name} {path}: only a shell reads ~ as your home folder, where it is first and not quoted; "
                    f"write {path.expanduser()}"
                )
