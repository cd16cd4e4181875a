"""``fit`` is the one loop, as the pages run it: the same weights, in evaluation mode, nothing on the screen."""

import torch

from medlatent.course import fit
from medlatent.models import GAN
from medlatent.training import train


def model() -> GAN:
    torch.manual_seed(0)
    return GAN(latent_dim=4, channels=1, size=16, width=2)


def test_fit_is_train_in_32_bits_and_ends_in_evaluation_mode(capfd):
    images = torch.rand(24, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    ours, theirs = model(), model()
    history = fit(ours, images, 3, 8, seed=5, device="cpu")
    shown = capfd.readouterr()
    expected = train(theirs, images, 3, batch_size=8, seed=5, device="cpu", precision="float32", progress=False)
    assert (history.values == expected.values).all()
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))
    assert not ours.training
    assert (shown.out, shown.err) == ("", "")
