# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# (hsic-infogan-beyond)=
# # Beyond the claims of HSIC-InfoGAN
#
# A page beside {ref}`hsic-infogan`: what Liu et al. {cite:p}`liu2022` suggest or leave open and do not try. Which part
# of a code moves the picture, what a traversal beyond the trained range shows, what an auxiliary network costs in
# detail, and HSIC-InfoGAN on images of skin lesions. Half an hour. Nothing on it is needed in the chapter, and nothing
# on it has a verdict.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% tags=["hide-input"]
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy import stats

from medlatent import explore, losses
from medlatent.course import choose, code_grid, fit, recorded_runs, show_table
from medlatent.data import open_images
from medlatent.data.phantoms import lesion
from medlatent.evaluation import domain_classifier
from medlatent.metrics import generation
from medlatent.metrics.lesions import MEASURED, measure
from medlatent.models import HSICInfoGAN, InfoGAN, decode_all, draw_images
from medlatent.nets import count_parameters

settings = choose(
    {
        "ci": {
            "data": "mnist.digits",  # 5 000 real digits
            "width": 8,
            "steps": 220,
            "batch_size": 50,
            "small_batch": 32,  # of the lesions
            "generator_rate": 5e-3,  # higher than the paper's: few steps
            "discriminator_rate": 2e-3,
            "lesion_size": 16,
            "lesion_steps": 500,
            "lesion_seeds": 1,
        },
        "laptop": {
            "data": "mnist.digits",
            "width": 16,
            "steps": 4_000,
            "batch_size": 100,
            "small_batch": 100,
            "generator_rate": 1e-3,
            "discriminator_rate": 2e-4,
            "lesion_size": 32,
            "lesion_steps": 5_000,
            "lesion_seeds": 3,
        },
        "paper": {  # 100 epochs of 60 000 digits: pack them first
            "data": "mnist",
            "width": 64,
            "steps": 60_000,
            "batch_size": 100,
            "small_batch": 100,
            "generator_rate": 1e-3,
            "discriminator_rate": 2e-4,
            "lesion_size": 32,
            "lesion_steps": 30_000,
            "lesion_seeds": 5,
        },
    },
    profile,
)


def build(system, run=0, **options):
    """A model of this profile, its weights drawn from a seed."""
    torch.manual_seed(seed + run)
    options = {
        "width": settings["width"],
        "generator_rate": settings["generator_rate"],
        "discriminator_rate": settings["discriminator_rate"],
    } | options
    return system(**options)


# %% [markdown]
# ## Which part of the code moves the picture?
#
# The recorded runs of ten epochs whose weights are kept, one of each system, are those of the figures in the chapter.
# Redraw one part of the code from its prior, keep all others, and take the mean squared change of the image, as a share
# of that between two unrelated images. A part that does nothing has 0. The shares need not add up to 1, for parts act
# together.


# %% tags=["hide-input"]
SYSTEMS = {"InfoGAN": "infogan", "HSIC-InfoGAN": "hsicinfogan"}
recorded = recorded_runs("hsic_infogan")
kept = {
    name: recorded[f"mnist_{system}_ten_epochs"]
    for name, system in SYSTEMS.items()
}
networks = {name: record.load_model() for name, record in kept.items()}
CHOSEN = {
    key: kept["HSIC-InfoGAN"].config[key]
    for key in ("sigma", "hsic_weight", "normalisation", "scale_by_dimension")
}


def moved_by(model, count=150):
    """The mean squared change of the image when one part is redrawn."""
    generator = torch.Generator().manual_seed(seed + 3)
    codes = model.sample_codes(count, generator)
    again = model.sample_codes(count, generator)

    def change(new):
        difference = decode_all(model, new) - decode_all(model, codes)
        return difference.square().mean()

    whole, shares = change(again), {}
    for part in model.code_layout:
        new = codes.clone()
        new[:, part.slice] = again[:, part.slice]
        shares[part.name] = (change(new) / whole).item()
    return shares


moved = pd.DataFrame({name: moved_by(m) for name, m in networks.items()}).T
codes_of = moved[["c1", "c2"]].max(axis=1)
assert codes_of["InfoGAN"] > 3 * codes_of["HSIC-InfoGAN"] > 0
show_table(moved)

# %% [markdown]
# InfoGAN's two continuous codes move a good part of the picture, the thickness of the strokes first of all. Those of
# HSIC-InfoGAN move a small part of that. A correlation near 0 with slant and thickness could have meant that a code does something else;
# here it means that the code does little, in this run; the judged ones keep no weights.
#
# ## Two ranges of c
#
# The paper samples $c$ from $U(0, 1)$ and traverses it from $-1$ to $1$. The public code of InfoGAN samples from
# $U(-1, 1)$. Half of the traversal in print thus shows what the generator does where it was never trained. We train
# InfoGAN on both ranges, and look at both halves, beside the recorded models.

# %% tags=["hide-input"]
digits = open_images(settings["data"])
training, test = digits.split("train"), digits.split("test")
classifier = domain_classifier("mnist.digits")
real_features = classifier.features(test)
ranges = {}
for low, high in ((0, 1), (-1, 1)):
    model = ranges[f"U({low}, {high})"] = build(InfoGAN, code_range=(low, high))
    fit(model, training, settings["steps"], settings["batch_size"], seed)
for name, record in kept.items():
    low, high = record.config["code_range"]
    ranges[f"recorded {name}, U({low:g}, {high:g})"] = networks[name]

rows = {}
for name, model in ranges.items():
    generator = torch.Generator().manual_seed(seed + 7)
    codes = model.sample_codes(500, generator)
    for half, low, high in (("-1 to 0", -1, 0), ("0 to 1", 0, 1)):
        uniform = torch.rand(500, 2, generator=generator)
        codes[:, 10:12] = low + (high - low) * uniform
        images = decode_all(model, codes)
        moved = codes.clone()
        moved[:, 10:12] += 0.1 * (1 - 2 * (uniform > 0.5).float())
        step = (decode_all(model, moved[:250]) - images[:250]).flatten(1)
        sure = classifier.probabilities(images).max(1)
        trained = model.config["code_range"][0] <= low
        rows[name, half] = {
            "trained there": "yes" if trained else "no",
            "Fréchet distance": generation.frechet_distance(
                real_features, classifier.features(images)
            ).score,
            "classifier is sure of": (sure > 0.9).mean(),
            "change for a step of 0.1": step.norm(dim=1).mean().item(),
        }
outside = pd.DataFrame(rows).T.infer_objects()
foreign = outside["Fréchet distance"].unstack()
ratio = foreign["-1 to 0"] / foreign["0 to 1"]
assert ratio["recorded InfoGAN, U(0, 1)"] > 5
assert ratio.drop("recorded InfoGAN, U(0, 1)").between(0.5, 2).all()
show_table(outside)

# %% mystnb={"figure": {"caption": "c1 from −2 to 2 with one category and one noise: the first row was trained on U(0, 1), the second on U(−1, 1), both in this notebook; then the recorded models.", "name": "fig-hsic-infogan-ranges"}} tags=["hide-input"]
rows = torch.stack(
    [
        code_grid(model, "c1", np.linspace(-2, 2, 9), seed + 1)[0]
        for model in ranges.values()
    ]
)
explore.show(
    explore.image_table(
        rows,
        row_labels=[*ranges],
        column_labels=[f"{v:+.1f}" for v in np.linspace(-2, 2, 9)],
        alt="Rows of nine generated digits, c1 from -2 to 2, of models that "
        "were trained on different ranges of c1.",
    )
)

# %% [markdown]
# Compare the two rows of one model: the half that it was trained on, and the one that it was not. The recorded InfoGAN,
# whose codes do most, is the plainest case. On the half that it never met, its images are many times as far from
# digits. Where the codes do little, the halves differ little. So the left half of a traversal from $-1$ to $1$ shows
# what the generator makes of foreign codes, and the more a code does, the less that half can be trusted. Two models
# differ in more than the range, since each is one run; do not compare their Fréchet distances.
#
# ### In training the range is a weight
#
# In HSIC-InfoGAN the mismatch does something else, too. The kernel of the code is one Gaussian over category and
# continuous codes. Where it is nearly linear, HSIC weighs each direction of the code by its variance
# ({ref}`hsic-infogan` derives it). The eigenvalues of the centred kernel at $\sigma = 5$ show these weights.

# %% tags=["hide-input"]
rows = {}
generator = torch.Generator().manual_seed(seed)
category = torch.randint(10, (1_000,), generator=generator)
uniform = torch.rand(1_000, 2, generator=generator)
for low, high in ((0, 1), (-1, 1)):
    many = low + (high - low) * uniform
    many = torch.cat([F.one_hot(category, 10).float(), many], 1)
    kernel = losses.centre(losses.gaussian_kernel(many, 5.0))
    values, vectors = torch.linalg.eigh(kernel)
    values, vectors = values.flip(0)[:12], vectors.flip(1)[:, :12]
    # How much of each direction lies in the continuous codes: R² on them.
    design = torch.cat([torch.ones(1_000, 1), many[:, 10:]], 1)
    fitted = design @ torch.linalg.lstsq(design, vectors).solution
    continuous = fitted.square().sum(0)
    total = losses.centre(losses.gaussian_kernel(many, 5.0)).trace()
    rows[f"U({low}, {high})"] = {
        "variance of a code": (high - low) ** 2 / 12,
        "of a direction of the category": 0.1,
        "largest eigenvalue / total": (values[0] / total).item(),
        "continuous share of the 2 largest": continuous[:2].mean().item(),
        "continuous share of the next 9": continuous[2:11].mean().item(),
    }
weighing = pd.DataFrame(rows).T
assert weighing.iloc[1, 3] > 0.9
assert weighing.iloc[0, 3] < weighing.iloc[1, 3]
show_table(weighing)

# %% [markdown]
# With $U(-1, 1)$ the two largest directions are the two continuous codes, three times as heavy as a direction of the
# category: HSIC is served first by what they do. With $U(0, 1)$ the directions weigh about the same, and there are
# nine of the category. Whoever takes the range of the traversal for that of the training trains another system.
#
# ## What the auxiliary network costs
#
# The paper expects less training time and memory. Everything here is at full width, 64; the paper gives none. Parameters are counted.
# Memory is that of weights and gradients, of Adam's two moments, and of what autograd keeps for the backward passes of
# one update of 100 images (the sum over all tensors that it saves, parameters left out; a tensor that two operations
# keep counts twice).


# %% tags=["hide-input"]
def kept_by_autograd(model, images):
    """Bytes that autograd saves in one update, without parameters."""
    own = {p.data_ptr() for p in model.parameters()}
    total = 0

    def pack(tensor):
        nonlocal total
        if tensor.data_ptr() not in own:
            total += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        model.update(images)
    return total


batch = torch.from_numpy(test.images[:100]).float() / 255
rows = {}
for name, system in (("InfoGAN", InfoGAN), ("HSIC-InfoGAN", HSICInfoGAN)):
    model = system(width=64)
    saved = kept_by_autograd(model, batch)
    moments = sum(
        value.numel() * value.element_size()
        for optimiser in model.optimisers().values()
        for state in optimiser.state.values()
        for value in state.values()
    )
    weights = 4 * count_parameters(model)
    rows[name] = {
        "parameters (millions)": count_parameters(model) / 1e6,
        "weights (MB)": weights / 1e6,
        "gradients (MB)": weights / 1e6,
        "moments (MB)": moments / 1e6,
        "kept for backward (MB)": saved / 1e6,
        "generator alone (MB)": 4 * count_parameters(model.generator) / 1e6,
    }
costs = pd.DataFrame(rows).T
costs.loc["saved by dropping Q (%)"] = 100 * (1 - costs.iloc[1] / costs.iloc[0])
assert (costs.loc["saved by dropping Q (%)"] < 2).all()
show_table(costs)

# %% [markdown]
# Time is that of the runs that the chapter judges, on one H100. The five seeds of a system trained side by side on the
# card, one system after the other, so the five speeds are not five measurements.

# %% tags=["hide-input"]
judged = recorded_runs("hsic_infogan", "paper")
rows, spans = {}, {}
for name, system in SYSTEMS.items():
    runs = [
        r.run for n, r in judged.items() if n.startswith(f"mnist_h100_{system}")
    ]
    ends = [datetime.fromisoformat(run["finished"]) for run in runs]
    begins = [
        end - timedelta(seconds=run["seconds"])
        for end, run in zip(ends, runs, strict=True)
    ]
    assert max(begins) < min(ends), "all at the same time"
    spans[name] = (min(begins), max(ends))
    speeds = [run["steps_per_second"] for run in runs]
    rows[name] = {
        "device": runs[0]["device"],
        "runs side by side": len(runs),
        "slowest, updates/s": min(speeds),
        "fastest, updates/s": max(speeds),
        "all together, updates/s": sum(run["steps"] for run in runs)
        / (max(ends) - min(begins)).total_seconds(),
    }
assert spans["InfoGAN"][1] < spans["HSIC-InfoGAN"][0]
together = [row["all together, updates/s"] for row in rows.values()]
assert 1 < together[1] / together[0] < 1.1
show_table(pd.DataFrame(rows).T, 1)

# %% [markdown]
# $Q$ is a head on a trunk that the discriminator needs anyway. So dropping it saves about one percent of the weights
# and of the moments. Of what autograd keeps nothing is saved to speak of: the similarities of HSIC take the place of
# $Q$'s features. The paper's argument would be strong for an auxiliary network of its own, as some systems have; the
# paper's own $Q$ shares its trunk, as it says itself.
#
# In time a few percent are saved: compare the last column, in which the staggered start counts against HSIC-InfoGAN. The speeds of single
# runs promise more than that, because
# the runs of HSIC-InfoGAN began one after another, and whoever begins late, or ends late, has the card to fewer. One process alone on such
# a card gains 3 to 4 % where its step is replayed as a CUDA graph, 14 to 18 % where it is not, and one thread of a processor 4 %;
# `benchmarks/README.md` has the measurements. The distances of all pairs of images are few in a batch of 100; their number grows with its
# square. Once trained, both systems are used without $Q$ and without the discriminator, and the generators are of the
# same size.
#
# ## Lesions
#
# The authors suggest medical use and do not try it. We do, at the smallest scale: {term}`phantoms <phantom>` of skin
# lesions, no category, three continuous codes from $U(-1, 1)$, HSIC as in the records. If a code finds a factor, its
# rank correlation with that factor *measured on the generated images* is high; the measurement is that of
# {ref}`adversarial-vae`. The control is the same system with $\lambda = 0$, which sees the same batches: what it
# reaches is chance. At this profile the images have 16×16 pixels; the larger profiles have 32×32. The output begins
# at the mean colour of the images.

# %% tags=["hide-input"]
lesion_factors = lesion.sample_factors(1_500, seed)
for name in ("hair", "vignette", "white_balance"):
    lesion_factors[name] = torch.zeros(1_500)
lesions = lesion.render(lesion_factors, 32, seed).float() / 255
lesions = F.avg_pool2d(lesions, 32 // settings["lesion_size"])
on_lesions, drawn_lesions, found_by = [], {}, {}
for weight in (0.0, CHOSEN["hsic_weight"]):
    for run in range(settings["lesion_seeds"]):
        model = build(
            HSICInfoGAN,
            run,
            noise_dim=30,
            categories=0,
            continuous=3,
            code_range=(-1, 1),
            channels=3,
            size=settings["lesion_size"],
            **(
                CHOSEN
                | {
                    "hsic_weight": weight,
                    "width": max(12, settings["width"]),
                    "generator_rate": 1e-3,
                    "discriminator_rate": 1e-3,
                }
            ),
        )
        with torch.no_grad():
            model.generator[-1].bias.copy_(torch.logit(lesions.mean((0, 2, 3))))
        history = fit(
            model,
            lesions,
            settings["lesion_steps"],
            settings["small_batch"],
            seed + run,
        )
        codes, images = draw_images(model, 400, seed + run)
        drawn_lesions[weight, run] = model
        measured = measure(images)
        found_by[weight, run] = ranks = np.array(
            [
                [
                    # What never varies has no rank correlation.
                    stats.spearmanr(codes[:, j], column).statistic
                    if np.ptp(column)
                    else 0.0
                    for column in measured.T
                ]
                for j in range(3)
            ]
        )
        on_lesions.append(
            {"λ": f"{weight:g}", "run": run, "HSIC": history.mean(20)["hsic"]}
            | {
                f"best |rank|, {name}": value
                for name, value in zip(
                    MEASURED, np.abs(ranks).max(0), strict=True
                )
            }
            | {
                f"spread, {name}": value
                for name, value in zip(MEASURED, measured.std(0), strict=True)
            }
        )
lesion_table = pd.DataFrame(on_lesions).set_index(["λ", "run"])
of_training = measure(lesions[:400])
print("spread of what is measured on the training images:")
for name, value in zip(MEASURED, of_training.std(0), strict=True):
    known = lesion_factors[name][:400].numpy()
    rank = stats.spearmanr(
        of_training[:, MEASURED.index(name)], known
    ).statistic
    print(
        f"  {name:<13} {value:.3f}, rank correlation with the truth {rank:.2f}"
    )
show_table(lesion_table.T, 3)

# %% [markdown]
# Which code moves which factor? The signed rank correlations of the models with HSIC:

# %% tags=["hide-input"]
show_table(
    pd.DataFrame(
        {
            (f"run {run}", f"c{j + 1}"): dict(
                zip(MEASURED, ranks[j], strict=True)
            )
            for (weight, run), ranks in found_by.items()
            if weight
            for j in range(3)
        }
    ).T
)

# %% mystnb={"figure": {"caption": "HSIC-InfoGAN on lesion phantoms after a short training: a row for each continuous code, from −1 to 1, with HSIC; the last row without HSIC, its first code.", "name": "fig-hsic-infogan-lesions"}} tags=["hide-input"]
values = torch.linspace(-1, 1, 7)
strongest = max(weight for weight, _ in drawn_lesions)
rows, names = [], []
for weight, dimensions in ((strongest, (0, 1, 2)), (0.0, (0,))):
    model = drawn_lesions[weight, 0]
    noise = torch.randn(30, generator=torch.Generator().manual_seed(seed))
    for j in dimensions:
        codes = torch.zeros(7, model.latent_dim)
        codes[:, 3:] = noise
        codes[:, j] = values
        rows.append(decode_all(model, codes))
        names.append(f"c{j + 1}, λ {weight:g}")
explore.show(
    explore.image_table(
        torch.stack(rows),
        row_labels=names,
        column_labels=[f"{v:+.1f}" for v in values],
        alt="Four rows of seven generated lesions: three codes of a model with "
        "HSIC and one of a model without, each from -1 to 1.",
    )
)

# %% [markdown]
# Without HSIC no code is strongly related to anything that is measured, as it must be. With HSIC, in the run shown, two
# codes are. Along the first a dark spot appears, and along the second the skin turns from a mottled brown to a pale
# pink; the third does next to nothing. But no code has a property to itself: the first has a good part of the
# eccentricity and of the colour as well, and the second of the size. So HSIC does make the images depend on the codes,
# and what it finds are directions in which these images differ most. They need not be *factors*: nothing in a
# dependence asks that one code move one property.
#
# The pictures are rough, the eccentricity is measured poorly on so few pixels, and at this profile it is one run of
# seconds; another seed may share the properties out in another way. That is enough for a warning, and not for a verdict
# on medical images.
