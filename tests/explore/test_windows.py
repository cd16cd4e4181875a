"""What a window explorer carries, what stands in its place where it cannot live, and what it refuses."""

import numpy as np
import pytest
import traitlets

from medlatent.explore import WindowExplorer

HU = np.arange(-1024, -1024 + 12 * 20).reshape(12, 20)
USUAL = {"lung": (-600, 1500), "bone": (400, 1800)}


def test_it_carries_the_picture_in_sixteen_bits():
    explorer = WindowExplorer(HU)
    assert explorer.shape == [12, 20]
    assert np.array_equal(np.frombuffer(explorer.hu, "<i2").reshape(12, 20), HU)
    assert (explorer.centre, explorer.width, explorer.presets) == (40, 400, [])
    assert repr(explorer) == "WindowExplorer(12 × 20: centre 40 HU, width 400 HU)"


def test_whole_numbers_in_floats_are_whole_numbers():
    assert WindowExplorer(HU.astype(np.float32)).hu == WindowExplorer(HU).hu


@pytest.mark.parametrize(("start", "windows"), [((40, 400), 3), ((400, 1800), 2)])
def test_where_it_cannot_live_the_windows_are_shown_and_described(start, windows):
    explorer = WindowExplorer(HU, *start, presets=USUAL, description="A slice")
    data, metadata = explorer._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(data)
    alt = metadata["image/png"]["alt"]
    assert alt.startswith(f"A slice, through {windows} windows in Hounsfield units: ")
    assert ("now, centre 40, width 400" in alt) == (windows == 3)
    assert alt.endswith("lung, centre -600, width 1500; bone, centre 400, width 1800.")


def test_python_moves_the_window_and_may_not_move_it_away():
    explorer = WindowExplorer(HU)
    explorer.centre = -600
    assert repr(explorer).endswith("centre -600 HU, width 400 HU)")
    with pytest.raises(traitlets.TraitError, match="width: expected 10 to 3000 HU, got 0"):
        explorer.width = 0
    assert explorer.width == 400


@pytest.mark.parametrize(
    ("hu", "options", "message"),
    [
        (HU[None], {}, r"expected one picture \(H, W\), got \(1, 12, 20\)"),
        (HU[:0], {}, "expected one picture"),
        (HU + 0.5, {}, "whole numbers in 16 bits, got float64"),
        (HU + 40_000, {}, "whole numbers in 16 bits"),
        (HU, {"width": 0}, "width of the start: expected 10 to 3000"),
        (HU, {"centre": float("nan")}, "centre of the start: expected -1000 to 1000 HU, got nan"),
        (HU, {"width": "wide"}, "width of the start: expected 10 to 3000 HU, got 'wide'"),
        (HU, {"presets": {"lung": (1, 2, 3)}}, "presets: expected a centre and a width by name, got 'lung'"),
        (HU, {"presets": {"lung": 5}}, "presets: expected a centre and a width by name, got 'lung': 5"),
        (HU, {"presets": {3: (40, 400)}}, "presets: expected a centre and a width by name, got 3"),
        (HU, {"presets": [(40, 400)]}, "presets: expected a centre and a width by name"),
        (HU, {"presets": {"far": (2000, 400)}}, "centre of far: expected -1000 to 1000 HU, got 2000"),
    ],
)
def test_what_it_refuses(hu, options, message):
    with pytest.raises(ValueError, match=message):
        WindowExplorer(hu, **options)
