"""Images a second of one training step: medlatent against a bare PyTorch loop and against pythae, side by side.

All train the convolutional network of Chen et al. on 3×64×64 images that lie in memory, from the same weights; with
``--systems residual``, also the residual beta-TCVAE and the adversarial VAE of Sarhan et al.; with ``--systems gan``,
GAN, InfoGAN and HSIC-InfoGAN on digits of 28×28. The contenders take turns in one process, a few steps each, so that
other load on the machine meets all of them. Printed are the medians over the rounds, the medians of each round's
ratios, and in brackets the same ratios of the processor's time, which other load moves less. See README.md beside
this file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medlatent.data import open_images
from medlatent.data.phantoms import lesion
from medlatent.losses import deception_loss, discriminator_loss
from medlatent.models import (
    GAN,
    VAE,
    AdversarialVAE,
    BetaTCVAE,
    BetaVAE,
    HSICInfoGAN,
    InfoGAN,
    LatentModel,
    ResidualTCVAE,
)
from medlatent.nets import ConvDecoder, ConvEncoder, ResidualDecoder, ResidualEncoder, count_parameters
from medlatent.training import choose_precision, train

LATENT_DIM, BETA, RATE = 32, 6.0, 1e-4
Contender = Callable[[], tuple[float, float]]  # runs its steps; returns the seconds and the mean loss


def bare_vae_loss(encoder, decoder, x: Tensor, _: int) -> Tensor:
    """The VAE's loss as one writes it down."""
    mean, logvar = encoder(x).chunk(2, 1)
    z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
    reconstruction = F.mse_loss(torch.sigmoid(decoder(z)), x, reduction="sum") / (2 * len(x))
    return reconstruction + 0.5 * (mean**2 + logvar.exp() - logvar - 1).sum(1).mean()


def bare_tcvae_loss(encoder, decoder, x: Tensor, dataset_size: int) -> Tensor:
    """The beta-TCVAE's loss as one writes it down, minibatch-weighted."""
    mean, logvar = encoder(x).chunk(2, 1)
    z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
    reconstruction = F.mse_loss(torch.sigmoid(decoder(z)), x, reduction="sum") / (2 * len(x))

    def log_density(z, mean, logvar):
        return -0.5 * (math.log(2 * math.pi) + logvar + (z - mean) ** 2 * torch.exp(-logvar))

    pairs = log_density(z[:, None], mean[None], logvar[None])
    constant = math.log(len(x) * dataset_size)
    posterior = log_density(z, mean, logvar).sum(1)
    aggregate = torch.logsumexp(pairs.sum(2), 1) - constant
    marginals = (torch.logsumexp(pairs, 1) - constant).sum(1)
    prior = log_density(z, torch.zeros_like(z), torch.zeros_like(z)).sum(1)
    kl = (posterior - aggregate) + BETA * (aggregate - marginals) + (marginals - prior)
    return reconstruction + kl.mean()


class Timer:
    """Seconds between entry and exit, the device's queue emptied at both."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, 0.0

    def __enter__(self) -> Timer:
        self._wait()
        self.began = time.perf_counter()
        return self

    def __exit__(self, *_) -> None:
        self._wait()
        self.seconds = time.perf_counter() - self.began

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def networks(device: torch.device, kind: type[LatentModel] = VAE) -> list[nn.Module]:
    """The same networks with the same weights for everyone: encoder, decoder and, if there is one, discriminator."""
    torch.manual_seed(0)
    if not issubclass(kind, ResidualTCVAE):
        found = [ConvEncoder(outputs=2 * LATENT_DIM), ConvDecoder(LATENT_DIM)]
    else:
        slope = kind.slope
        found = [ResidualEncoder(outputs=2 * LATENT_DIM, slope=slope), ResidualDecoder(LATENT_DIM, slope=slope)]
    if kind is AdversarialVAE:
        found.append(ResidualEncoder(outputs=1, slope=kind.slope))
    return [net.to(device) for net in found]


def loop(loss_of: Callable, parameters: list, images: Tensor, batch_size: int, steps: int) -> Contender:
    """The bare loop: a permutation, Adam with its defaults, the loss looked at after the last step."""
    optimiser = torch.optim.Adam(parameters, lr=RATE)

    def run() -> tuple[float, float]:
        with Timer(images.device) as timer:
            total, order = 0.0, torch.randperm(len(images), device=images.device)
            for step in range(steps):
                loss = loss_of(images[order[step * batch_size : (step + 1) * batch_size]])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total = total + loss.detach()
            mean = float(total) / steps
        return timer.seconds, mean

    return run


def bare(loss: Callable, images: Tensor, batch_size: int, steps: int, kind: type[LatentModel] = BetaTCVAE) -> Contender:
    """The networks of a model and one of the losses above."""
    encoder, decoder = networks(images.device, kind)[:2]
    parameters = [*encoder.parameters(), *decoder.parameters()]
    return loop(lambda x: loss(encoder, decoder, x, len(images)), parameters, images, batch_size, steps)


def bare_adversarial(images: Tensor, batch_size: int, steps: int) -> Contender:
    """The two steps of the adversarial VAE as one writes them down."""
    encoder, decoder, discriminator = networks(images.device, AdversarialVAE)
    generator = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=RATE)
    judge = torch.optim.Adam(discriminator.parameters(), lr=RATE)

    def run() -> tuple[float, float]:
        with Timer(images.device) as timer:
            total, order = 0.0, torch.randperm(len(images), device=images.device)
            for step in range(steps):
                x = images[order[step * batch_size : (step + 1) * batch_size]]
                kept = {}

                def decode(z, kept=kept):
                    kept["logits"] = decoder(z)
                    return kept["logits"]

                loss = bare_tcvae_loss(encoder, decode, x, len(images))
                fake = torch.sigmoid(kept["logits"])
                loss = loss + deception_loss(discriminator(fake)).mean()
                generator.zero_grad()
                loss.backward()
                generator.step()
                judgement = discriminator_loss(discriminator(x), discriminator(fake.detach())).mean()
                judge.zero_grad()
                judgement.backward()
                judge.step()
                total = total + loss.detach()
            mean = float(total) / steps
        return timer.seconds, mean

    return run


def bare_gan(kind: type[GAN], images: Tensor, batch_size: int, steps: int) -> Contender:
    """The two steps of a GAN as one writes them down, with Q where there is one, with HSIC where that is its place."""
    model = build(kind).to(images.device).train()
    generator, trunk, head = model.generator, model.discriminator.trunk, model.discriminator.head
    reader = model.reader if kind is InfoGAN else None
    judges = [*model.discriminator.parameters(), *(reader.parameters() if reader else ())]
    artist = torch.optim.Adam(generator.parameters(), lr=model.config["generator_rate"], betas=(0.5, 0.999))
    judge = torch.optim.Adam(judges, lr=model.config["discriminator_rate"], betas=(0.5, 0.999))

    def draw(n: int) -> Tensor:
        if kind is GAN:
            return torch.randn(n, model.latent_dim, device=images.device)
        category = F.one_hot(torch.randint(10, (n,), device=images.device), 10).float()
        return torch.cat(
            [category, torch.rand(n, 2, device=images.device), torch.randn(n, 62, device=images.device)], 1
        )

    def of_code(code: Tensor, features: Tensor) -> Tensor:
        category, mean, logvar = reader(features)
        error = 0.5 * (math.log(2 * math.pi) + logvar + (code[:, 10:12] - mean) ** 2 * torch.exp(-logvar))
        return F.cross_entropy(category, code[:, :10]) + 0.1 * error.sum(1).mean()

    def dependence(x: Tensor, c: Tensor) -> Tensor:
        kx, kc = (torch.exp(-(torch.cdist(v, v) ** 2) / (2 * 5.0**2)) for v in (x.flatten(1), c))
        h = torch.eye(len(x), device=x.device) - 1 / len(x)
        return torch.trace(kx @ h @ kc @ h) / (len(x) - 1) ** 2

    def run() -> tuple[float, float]:
        with Timer(images.device) as timer:
            total, order = 0.0, torch.randperm(len(images), device=images.device)
            for step in range(steps):
                x = images[order[step * batch_size : (step + 1) * batch_size]]
                code = draw(len(x))
                fake = torch.sigmoid(generator(code))
                real, features = head(trunk(x)), trunk(fake.detach())
                loss = (F.softplus(-real) + F.softplus(head(features))).mean()
                if reader:
                    loss = loss + of_code(code, features)
                judge.zero_grad()
                loss.backward()
                judge.step()
                features = trunk(fake)
                loss = F.softplus(-head(features)).mean()
                if reader:
                    loss = loss + of_code(code, features)
                elif kind is HSICInfoGAN:
                    loss = loss - dependence(fake, code[:, :12])
                artist.zero_grad()
                loss.backward()
                artist.step()
                total = total + loss.detach()
            mean = float(total) / steps
        return timer.seconds, mean

    return run


def medlatent(kind: type[LatentModel], precision: str, images: Tensor, batch_size: int, steps: int) -> Contender:
    """``medlatent.training.train`` itself: drawing of batches, history, progress and checks included."""
    model = build(kind)

    def run() -> tuple[float, float]:
        history = train(
            model, images, steps, batch_size=batch_size, device=images.device.type, precision=precision, progress=False
        )
        return history.seconds, float(history["loss"].mean())

    return run


def build(kind: type[LatentModel]) -> LatentModel:
    """A model with the weights of :func:`networks`; variance 1 makes its reconstruction term pythae's.

    GANs, on digits, have their own defaults.
    """
    if issubclass(kind, GAN):
        torch.manual_seed(0)
        return kind(channels=1, size=28)
    options = {"beta": BETA, "estimator": "mws"} if issubclass(kind, BetaTCVAE) else {}
    model = kind(latent_dim=LATENT_DIM, variance=1.0, learning_rate=RATE, **options)
    for name, net in zip(("encoder", "decoder", "discriminator"), networks(torch.device("cpu"), kind), strict=False):
        getattr(model, name).load_state_dict(net.state_dict())
    return model


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keeps the trainer's log and progress bars off the tables."""
    logging.disable(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
    logging.disable(logging.NOTSET)


def pythae_contenders(images: Tensor, batch_size: int, steps: int) -> dict[str, Contender]:
    """pythae's BetaTCVAE on the same network: in the bare loop, and in pythae's own trainer."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import BetaTCVAE as Peer
    from pythae.models import BetaTCVAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = networks(images.device)[0]

        def forward(self, x: Tensor) -> ModelOutput:
            mean, logvar = self.net(x).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = networks(images.device)[1]

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=torch.sigmoid(self.net(z)))

    def peer() -> Peer:
        config = BetaTCVAEConfig(
            input_dim=(3, 64, 64), latent_dim=LATENT_DIM, alpha=1.0, beta=BETA, gamma=1.0, use_mss=False
        )
        return Peer(config, Encoder(), Decoder()).to(images.device)

    model = peer()
    found = {
        "pythae BetaTCVAE, bare loop": loop(
            lambda x: model({"data": x}, dataset_size=len(images)).loss,
            list(model.parameters()),
            images,
            batch_size,
            steps,
        )
    }

    chosen = images[: steps * batch_size].cpu()
    folder = tempfile.TemporaryDirectory(prefix="train_step_")
    with silence():
        trainer = BaseTrainer(
            peer(),
            BaseDataset(chosen, torch.zeros(len(chosen))),
            training_config=BaseTrainerConfig(
                output_dir=folder.name,
                per_device_train_batch_size=batch_size,
                learning_rate=RATE,
                no_cuda=images.device.type != "cuda",
            ),
        )
        trainer.prepare_training()

    def run(folder=folder) -> tuple[float, float]:  # which lives as long as the trainer may write to it
        with silence(), Timer(images.device) as timer:
            mean = float(trainer.train_step(1))
        return timer.seconds, mean

    return found | {"pythae BetaTCVAE, its trainer": run}


def residual_contenders(images: Tensor, batch_size: int, steps: int) -> dict[str, Contender]:
    """The five systems of Sarhan et al., and the two new ones in bare loops."""
    setting = images, batch_size, steps
    found = {
        "bare residual": bare(bare_tcvae_loss, *setting, kind=ResidualTCVAE),
        "bare adversarial": bare_adversarial(*setting),
    }
    precisions = ["float32"]
    if choose_precision("auto", images.device) != torch.float32:
        precisions.append("bfloat16")
    for precision in precisions:
        for kind in (VAE, BetaVAE, BetaTCVAE, ResidualTCVAE, AdversarialVAE):
            name = f"medlatent {kind.__name__}, {precision}"
            found[name] = medlatent(kind, "auto" if precision == "bfloat16" else precision, *setting)
    return found


def gan_contenders(images: Tensor, batch_size: int, steps: int) -> dict[str, Contender]:
    """Each GAN in a bare loop and in ours; what Q costs is the difference between InfoGAN and HSIC-InfoGAN."""
    setting, found = (images, batch_size, steps), {}
    for kind in (GAN, InfoGAN, HSICInfoGAN):
        model = build(kind)
        print(f"{kind.__name__}: {count_parameters(model):,} parameters", end="; ")
        if kind is InfoGAN:
            print(f"of Q's own {count_parameters(model.reader):,}", end="; ")
        found[f"bare {kind.__name__}"] = bare_gan(kind, *setting)
        found[f"medlatent {kind.__name__}, float32"] = medlatent(kind, "float32", *setting)
        if choose_precision("auto", images.device) != torch.float32:
            found[f"medlatent {kind.__name__}, bfloat16"] = medlatent(kind, "auto", *setting)
    print()
    return found


def contenders(images: Tensor, batch_size: int, steps: int) -> dict[str, Contender]:
    """Everyone who takes part, by name, in the order of the turns."""
    setting = images, batch_size, steps
    found = {
        "bare VAE": bare(bare_vae_loss, *setting),
        "medlatent VAE, float32": medlatent(VAE, "float32", *setting),
        "bare beta-TCVAE": bare(bare_tcvae_loss, *setting),
        "medlatent BetaTCVAE, float32": medlatent(BetaTCVAE, "float32", *setting),
    }
    if choose_precision("auto", images.device) != torch.float32:
        found["medlatent VAE, bfloat16"] = medlatent(VAE, "auto", *setting)
        found["medlatent BetaTCVAE, bfloat16"] = medlatent(BetaTCVAE, "auto", *setting)
    try:
        found |= pythae_contenders(*setting)
    except ImportError as error:
        print(f"(without pythae: {error})")
    return found


def floor_and_peer(name: str) -> tuple[str, str | None]:
    """Whom a contender is compared with."""
    if "GAN" in name:
        return f"bare {name.split()[1].rstrip(',')}", None
    if "residual" in name.lower():
        return "bare residual", None
    if "adversarial" in name.lower():
        return "bare adversarial", None
    return ("bare VAE", None) if " VAE" in name else ("bare beta-TCVAE", "pythae BetaTCVAE, bare loop")


def compare(images: Tensor, batch_size: int, steps: int, rounds: int, take_part: Callable = contenders) -> None:
    """Prints one table."""
    found = take_part(images, batch_size, steps)
    wall: dict[str, list[float]] = {name: [] for name in found}
    processor: dict[str, list[float]] = {name: [] for name in found}
    losses = {}
    for turn in range(rounds + 1):
        for name, run in found.items():
            began = time.process_time()
            seconds, losses[name] = run()
            if turn:  # the first round warms up
                wall[name].append(seconds)
                processor[name].append(time.process_time() - began)
    print(f"{'':36}{'images/s':>10}{'s/1000 steps':>14}{'to bare':>14}{'to pythae':>14}{'loss':>10}")
    for name in found:
        median = statistics.median(wall[name])
        cells = f"{name:36}{steps * batch_size / median:>10,.0f}{1000 * median / steps:>14.0f}"
        for other in floor_and_peer(name):
            both = [f"{ratio(times[other], times[name]):.2f}" for times in (wall, processor)] if other in found else []
            cells += f"{' '.join(f'({r})' if i else r for i, r in enumerate(both)):>14}"
        print(f"{cells}{losses[name]:>10.2f}")


def ratio(theirs: list[float], ours: list[float]) -> float:
    """How many times faster, the median of the rounds."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--images", type=int, default=512, help="images a round: so many steps as that makes")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--systems", choices=["plain", "residual", "gan"], default="plain")
    options = parser.parse_args()

    device = torch.device(options.device)
    if options.systems == "gan":
        images = open_images("mnist.digits", options.images).batch(slice(None)).to(device)
    else:
        images = lesion.render(lesion.sample_factors(options.images, seed=0)).to(device).float() / 255
    for threads in options.threads:
        torch.set_num_threads(threads)
        for batch_size in options.batch_sizes:
            load = os.getloadavg()[0]
            print(f"\nbatch {batch_size}, {threads} thread(s), {device}, load average before {load:.1f}")
            take_part = {"plain": contenders, "residual": residual_contenders, "gan": gan_contenders}[options.systems]
            compare(images, batch_size, max(1, options.images // batch_size), options.rounds, take_part)


if __name__ == "__main__":
    main()
