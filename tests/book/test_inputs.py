"""What a notebook's result depends on: its key changes with these files and with no others."""

import functools
from pathlib import Path

import execute
import pytest
from inputs import inputs

from medlatent.closure import import_closure

ROOT = Path(__file__).resolve().parents[2]

FILES = {
    "requirements.txt": "numpy\n",
    "requirements.lock": "numpy==2.4.6\n",
    "medlatent/__init__.py": '__version__ = "1"\n',
    "medlatent/losses/__init__.py": "from .elbo import elbo\nfrom .hsic import hsic\n",
    "medlatent/losses/elbo.py": "from ..numbers import PI\n\ndef elbo(): return PI\n",
    "medlatent/losses/hsic.py": "def hsic(): return 1\n",
    "medlatent/numbers.py": "PI = 3\n",
    "medlatent/models/__init__.py": "from .base import Model, load\nfrom .vae import VAE\nfrom .gan import GAN\n",
    "medlatent/models/base.py": "class Model: ...\n\ndef load(): ...\n",
    "medlatent/models/vae.py": "from ..losses import elbo\nfrom .base import Model\n\nclass VAE(Model): ...\n",
    "medlatent/models/gan.py": "import medlatent.losses.hsic\nfrom .base import Model\n\nclass GAN(Model): ...\n",
    "medlatent/explore/__init__.py": "from .widget import Explorer\n",
    "medlatent/explore/widget.py": "def Explorer():\n    from ..late import late\n",
    "medlatent/explore/web/explorer.js": "draw()\n",
    "medlatent/late.py": "late = 1\n",
    "medlatent/sources/__init__.py": "",
    "medlatent/sources/door.py": (
        "import importlib\n\ndef open(name): return importlib.import_module(f'.{name}', __package__)\n"
    ),
    "medlatent/sources/lesion.py": "",
    "medlatent/startup/__init__.py": "from ..numbers import PI\nTABLE = [PI]\n",
    "medlatent/startup/plain.py": "",
    "medlatent/records.py": (
        "from .models import load\n\n"
        "def results_folder(): ...\n\n"
        "def find_record(slug, name): return results_folder() / slug\n\n"
        "def all_records(): return results_folder().glob('*')\n\n"
        "def choose(): ...\n"
    ),
    "results/vae/run.json": "{}",
    "results/gan/run.json": "{}",
    "results/gan/run.safetensors": "0",
    "book/quiz/small.json": "[]",
}


@pytest.fixture
def moved(tmp_path):
    """Which of the files change a notebook's key when they change."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "notebooks").mkdir()

    def moved(notebook: str) -> set[str]:
        (tmp_path / "notebooks/01_x.py").write_text(notebook)
        key = functools.partial(execute.key, tmp_path, "notebooks/01_x", {})
        before, found = key(), set()
        for name, text in FILES.items():
            (tmp_path / name).write_text(text + "\n# changed")
            if key() != before:
                found.add(name.removeprefix("medlatent/"))
            (tmp_path / name).write_text(text)
        assert key() == before
        always = {"requirements.txt", "requirements.lock"}
        assert always <= found
        return found - always - {"__init__.py"}

    return moved


LOSSES = {"losses/__init__.py", "losses/elbo.py", "losses/hsic.py", "numbers.py"}
VAE = {"models/__init__.py", "models/base.py", "models/vae.py", "losses/__init__.py", "losses/elbo.py", "numbers.py"}
MODELS = VAE | {"models/gan.py", "losses/hsic.py"}
PACKAGE = {name.removeprefix("medlatent/") for name in FILES if name.endswith(".py")} - {"__init__.py"}


@pytest.mark.parametrize(
    ("notebook", "files"),
    [
        ("import numpy\nx = 1", set()),
        ("from medlatent.losses import elbo", {"losses/__init__.py", "losses/elbo.py", "numbers.py"}),
        ("from medlatent.losses import hsic as criterion", {"losses/__init__.py", "losses/hsic.py"}),
        ("from medlatent import losses\nlosses.hsic()", LOSSES),
        ("import medlatent.losses as l", LOSSES),
        ("from medlatent.losses import *", LOSSES),
        ("from medlatent.models import VAE", VAE),
        ("from medlatent.models import GAN", {"models/__init__.py", "models/base.py", "models/gan.py", *LOSSES}),
        (
            "from medlatent.explore import Explorer",
            {"explore/__init__.py", "explore/widget.py", "late.py"} | {"explore/web/explorer.js"},
        ),
        ("from medlatent.sources.door import open", {"sources/__init__.py", "sources/door.py", "sources/lesion.py"}),
        ("from medlatent.startup import plain", {"startup/__init__.py", "startup/plain.py", "numbers.py"}),
        ("import importlib\nimportlib.import_module('medlatent.late')", {"late.py"}),
        ("show('medlatent.late')", {"late.py"}),
        ("def later():\n    from medlatent.late import late", {"late.py"}),
        ("from medlatent.late import nothing", {"late.py"}),
        ("questions = 'book/quiz/small.json'", {"book/quiz/small.json"}),
    ],
)
def test_a_notebook_depends_on_what_it_imports_and_on_nothing_else(moved, notebook, files):
    assert moved(notebook) == files


@pytest.mark.parametrize(
    "notebook",
    [
        "from medlatent.nowhere import x",
        "import medlatent.models.nowhere",
        "import importlib\nimportlib.import_module(name)",
        "__import__(name)",
        "%matplotlib inline",
        "subprocess.run([sys.executable, '-m', 'medlatent', 'train'])",
        "os.system('python -m medlatent train')",
    ],
)
def test_what_cannot_be_read_depends_on_the_whole_package(moved, notebook):
    assert moved(notebook) >= PACKAGE


GAN_RECORDS, VAE_RECORDS = {"results/gan/run.json", "results/gan/run.safetensors"}, {"results/vae/run.json"}
READ = "from medlatent.records import find_record, results_folder\n"


@pytest.mark.parametrize(
    ("notebook", "files"),
    [
        (READ + 'find_record("gan", "run")', GAN_RECORDS),
        (READ + 'find_record(slug="vae", name=name)', VAE_RECORDS),
        (READ + 'sorted((results_folder() / "gan").glob("*"))', GAN_RECORDS),
        (READ + 'find_record("gan", "run"), find_record("vae", "run")', GAN_RECORDS | VAE_RECORDS),
        (READ + "find_record(slug, name)", GAN_RECORDS | VAE_RECORDS),
        (READ + 'find_record("vae", "run")\nresults_folder().glob("*")', GAN_RECORDS | VAE_RECORDS),
        (READ + 'find_record("vae", "run")\nopen_all = find_record', GAN_RECORDS | VAE_RECORDS),
        ("from medlatent.records import find_record as f\nf('vae', 'run')", GAN_RECORDS | VAE_RECORDS),
        ("from medlatent.records import all_records\nall_records()", GAN_RECORDS | VAE_RECORDS),
        ('open("results/vae/run.json")', VAE_RECORDS),
        ('Path("results").glob("*")', GAN_RECORDS | VAE_RECORDS),
        ("from medlatent.records import choose", set()),
    ],
)
def test_a_notebook_depends_on_the_records_that_it_opens(moved, notebook, files):
    found = moved(notebook)
    assert {name for name in found if name.startswith("results/")} == files
    if "find_record" in notebook:  # a record names the class of its model
        assert found >= MODELS


def test_the_closure_of_a_module_of_the_package(moved, tmp_path):
    moved("")
    found = import_closure(tmp_path, [tmp_path / "medlatent/models/vae.py"])
    assert {str(p.relative_to(tmp_path / "medlatent")) for p in found} == VAE | {"__init__.py"}


def test_the_closures_of_this_course_leave_out_other_chapters():
    named = {str(p.relative_to(ROOT)) for p in inputs(ROOT, ROOT / "notebooks/02_vae_exercises.py")}
    assert "medlatent/losses/elbo.py" in named
    assert "medlatent/explore/web/explorer.js" in named
    assert any(name.startswith("results/vae/") for name in named)
    assert not any(name.startswith("results/hsic_infogan/") for name in named)
    assert "medlatent/__main__.py" not in named


def test_a_chapter_that_evaluates_needs_what_it_measures_by_and_no_other_records():
    named = {str(p.relative_to(ROOT)) for p in inputs(ROOT, ROOT / "notebooks/04_gan.py")}
    measuring = {"results/classifiers/mnist_digits_digit.safetensors", "results/attribute_vae/hearts.safetensors"}
    assert named >= measuring | {"results/latent_directions/meter_phantoms.safetensors"}
    assert not any(name.startswith("results/") and name.endswith(".json") for name in named if "/gan/" not in name)
