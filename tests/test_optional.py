"""A package of an extra that is missing: the message says what to install."""

import subprocess
import sys

import pytest

# A finder that comes first and knows nothing of one package, as if it were not installed.
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
exec(sys.argv[2])
"""


@pytest.mark.executes
@pytest.mark.parametrize(
    ("package", "code"),
    [
        ("pydicom", "import medlatent.data.dicom"),
        ("pydicom", "import medlatent.course.exercises.images"),
        ("pydicom", "from medlatent.data.phantoms._common import dicom_uid; dicom_uid('thorax', 1)"),
        ("nibabel", "import medlatent.data.acdc"),
        ("requests", "import medlatent.data.download"),
        ("requests", "import medlatent.data.lidc_ct"),
        ("nibabel", "from medlatent.__main__ import main; main(['data', 'acdc', '--help'])"),
        ("pydicom", "from medlatent.__main__ import main; main(['data', 'chest_ct', '--help'])"),
        ("requests", "from medlatent.obtain import script; script('mnist', ['--help'])"),
        ("PIL", "from medlatent.obtain import script; script('ham10000', ['--help'])"),
        ("skimage", "import numpy; from medlatent.data.ham10000 import measure; measure(numpy.eye(4, dtype=bool))"),
    ],
)
def test_a_missing_package_names_its_extra(root, package, code):
    command = [sys.executable, "-c", WITHOUT, package, code]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert f"needs the package {package}" in last
    assert 'pip install "medlatent[data]", or in a checkout: pip install -e ".[data]"' in last


@pytest.mark.executes
@pytest.mark.parametrize("package", ["nibabel", "pydicom", "requests", "skimage"])
def test_which_sets_there_are_is_said_without_the_extra(root, package):
    code = "from medlatent.__main__ import main; sys.exit(main(['data']))"
    command = [sys.executable, "-c", WITHOUT, package, code]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "CC BY-NC-SA 4.0" in done.stdout
