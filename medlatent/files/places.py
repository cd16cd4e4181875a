"""Where the project keeps what its package reads."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent


def project_folder(name: str) -> Path:
    """A folder of the project, such as ``results``: beside the package in a checkout, else in the working directory."""
    beside = PROJECT / name
    return beside if beside.is_dir() else Path(name)
