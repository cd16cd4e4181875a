"""Where the project keeps what its package reads."""

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
