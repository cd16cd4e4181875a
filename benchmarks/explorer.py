"""Milliseconds that a network takes in the reader's browser, beside PyTorch on one thread of the same machine.

Headless Chromium runs the explorer's own script. Each figure is the median over the runs of a fresh code, without the
drawing of the picture; the largest difference of a pixel from PyTorch is printed with it.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import os
import shutil
import statistics
import time

import torch
from playwright.sync_api import Page, sync_playwright
from torch import Tensor, nn

from medlatent.explore import Explorer, trace
from medlatent.nets import count_parameters
from medlatent.records import find_record

MEASURE = """async ({ script, spec, weights, codes }) => {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const { openNetwork } = await import(url);
  const bytes = Uint8Array.from(atob(weights), c => c.charCodeAt(0));
  const began = performance.now();
  const network = await openNetwork(spec, new DataView(bytes.buffer));
  const opened = performance.now() - began;
  const milliseconds = [];
  let image;
  for (const code of codes) {
    const input = Float32Array.from(code);
    const start = performance.now();
    [image] = network.run([input]);
    milliseconds.push(performance.now() - start);
  }
  return { opened, milliseconds, last: Array.from(image), memory: network.memory.length * 4 };
}"""


def generator(width: int, latent_dim: int = 64) -> nn.Module:
    """The generator of a DCGAN, 3×64×64."""
    layers: list[nn.Module] = [nn.Unflatten(1, (latent_dim, 1, 1))]
    channels = [latent_dim, 8 * width, 4 * width, 2 * width, width]
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        layers += [nn.ConvTranspose2d(before, after, 4, 2 if i else 1, 1 if i else 0), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Sigmoid())


class Residual(nn.Module):
    """A bottleneck: narrow, convolve, widen, and add the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.inner = nn.Sequential(
            nn.Conv2d(width, half, 1), nn.ReLU(), nn.Conv2d(half, half, 3, 1, 1), nn.ReLU(), nn.Conv2d(half, width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.inner(x))


def residual(latent_dim: int = 32) -> nn.Module:
    """Residual blocks between nearest upsampling and convolutions, 3×64×64."""
    layers: list[nn.Module] = [nn.Linear(latent_dim, 256 * 16), nn.Unflatten(1, (256, 4, 4))]
    for before, after in ((256, 128), (128, 64), (64, 32), (32, 16)):
        layers += [Residual(before), nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, 1, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(16, 3, 3, 1, 1), nn.Sigmoid())


class Decode(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.decoder = model, model.decoder

    def forward(self, z: Tensor) -> Tensor:
        return self.model.decode(z)


def measure(page: Page, network: nn.Module, latent_dim: int, runs: int) -> dict[str, float]:
    """The medians, in milliseconds, and what else is in the table."""
    codes = torch.randn(runs, latent_dim)
    traced = trace(network, codes[:1])
    found = page.evaluate(
        MEASURE,
        {
            "script": Explorer._esm + "\nexport { openNetwork };",
            "spec": traced.spec,
            "weights": base64.b64encode(traced.data).decode(),
            "codes": codes.tolist(),
        },
    )
    torch_ms = []
    with torch.inference_mode():
        for code in codes:
            start = time.perf_counter()
            image = network(code[None])
            torch_ms.append(1000 * (time.perf_counter() - start))
    return {
        "kB": len(traced.data) / 1000,
        "open": found["opened"],
        "run": statistics.median(found["milliseconds"]),
        "torch": statistics.median(torch_ms),
        "error": float((image.flatten() - torch.tensor(found["last"])).abs().max()),
        "MB": found["memory"] / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    recorded = find_record("vae", "phantoms_vae").load_model()
    networks = {
        "recorded VAE": (Decode(recorded), recorded.decoder, recorded.latent_dim),
        "DCGAN, width 32": (dcgan := generator(32).eval(), dcgan, 64),
        "residual": (blocks := residual().eval(), blocks, 32),
        "DCGAN, width 64": (wide := generator(64).eval(), wide, 64),
    }
    print(f"load average {os.getloadavg()[0]:.1f}, {options.runs} runs")
    columns = ("parameters", "kB", "open ms", "run ms", "torch ms", "error", "MB")
    print(f"{'':18}" + "".join(f"{c:>12}" for c in columns))
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto("about:blank")
        for name, (network, counted, latent_dim) in networks.items():
            row = measure(page, network, latent_dim, options.runs)
            print(
                f"{name:18}{count_parameters(counted):>12,}{row['kB']:>12.0f}{row['open']:>12.1f}{row['run']:>12.2f}"
                f"{row['torch']:>12.2f}{row['error']:>12.1e}{row['MB']:>12.1f}",
                flush=True,
            )
        browser.close()


if __name__ == "__main__":
    main()
