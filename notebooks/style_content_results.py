# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: medlatent
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
# (style-content-results)=
# # Style and content: ten systems on nodules and lesions
#
# This page belongs to {ref}`style-content`, which derives the systems one term at a time. Here they meet real images: what they draw,
# whether they keep style and content apart, what is found by either code, and what became of the paper's claims. Everything is
# read from recorded runs; the page trains nothing. **Time**: an hour.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper": this page is the same in all
seed = 0

# %% tags=["hide-input"]
import re

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from sklearn.manifold import TSNE

from medlatent import explore
from medlatent.course import (
    claim_points,
    publish_metrics,
    recorded_runs,
    seed_values,
    show_claims,
    show_table,
    spread,
)
from medlatent.data import open_images, packed_folder
from medlatent.metrics.disentanglement import dci
from medlatent.metrics.style_content import nearest_neighbours
from medlatent.models import decode_all, encode_all
from medlatent.nets import count_parameters

# %% [markdown]
# ## What was run
#
# **Nodules.** LIDC-IDRI {cite:p}`armato2011`: nodules that three or four radiologists outlined, and of which the median malignancy is not 3, in patches
# of 32 mm. The condition has the paper's seventeen numbers: six ratings made binary, as one-hot pairs, and five bins of size. Patients below
# number 899 are trained on, as in the paper.
#
# **Lesions.** HAM10000 {cite:p}`tschandl2018`: naevi, melanomas and benign keratoses in patches around the lesion, the two rarer classes three times in training,
# mirrored after the split. The condition is the class.
#
# Ten systems, five seeds, at 32 × 32 pixels, half of the paper's; an update sees 32 images, as they are and transformed. All have the same generator and
# encoders; what differs is the terms and their discriminators:

# %% tags=["hide-input"]
recorded = recorded_runs("style_content")
SETS = {
    "LIDC": ("lidc", "lidc.32/test"),
    "HAM10000": ("ham", "ham10000.patches.balanced.32/test"),
}
SYSTEMS = {
    "cInfoGAN": "cinfogan",
    "cAVAE": "cavae",
    "D-cInfoGAN": "dcinfogan",
    "D-cAVAE": "dcavae",
    "DAI": "dai",
    "DAI+featureCycle": "daifeaturecycle",
    "DAI+MIReg": "daimireg",
    "DAI+selfReg": "daiselfreg",
    "DAI+selfReg+MIReg": "daiselfregmireg",
    "DRAI": "drai",
}
UNTRAINED = "untrained DRAI"  # one update: encoders and generator are all but random
SHORT = SYSTEMS | {UNTRAINED: "drai_untrained"}
TWO = list(SYSTEMS)[2:]


def values_of(data, system, measure):
    """A number of all recorded seeds of a system, (seeds,); none where it has no such number."""
    prefix, judged_on = SETS[data]
    has = {
        name: run
        for name, run in recorded.items()
        if measure in run.metrics.get(judged_on, {"values": {}})["values"]
    }
    return seed_values(has, f"{prefix}_{SHORT[system]}", measure, judged_on)


def table_of(columns, systems=tuple(SYSTEMS), published=None):
    """A row a system; columns are (head, data, measure, decimals).

    With published numbers, {head: {system: number}}, each has a column beside it.
    """
    rows = {}
    for system in systems:
        row = {}
        for head, data, measure, decimals in columns:
            row[head] = spread(values_of(data, system, measure), decimals)
            if published and head in published:
                paper = published[head].get(system)
                row[f"paper, {head}"] = "–" if paper is None else f"{paper:g}"
        rows[system] = row
    return pd.DataFrame(rows).T


# %% tags=["hide-input"]
rows = []
for name, short in SYSTEMS.items():
    record = recorded[f"lidc_{short}_seed0"]
    rows.append(
        {
            "system": name,
            "terms": ", ".join(record.build_model().objective),
            "minutes a run": np.mean(
                [
                    r.run["seconds"] / 60
                    for n, r in recorded.items()
                    if re.fullmatch(f"lidc_{short}_seed[0-4]", n)
                ]
            ),
            "parameters": count_parameters(record.build_model()),
        }
    )
show_table(pd.DataFrame(rows).set_index("system"), 1, thousands=" ")

# %% [markdown]
# ## Tables I and II: what is drawn
#
# Each system draws 2 000 images for the conditions of the test images. A small classifier of the same data takes the place of Inception, as in the paper, whose
# text names two: benign or malignant in III-C, five sizes or the type of lesion in III-G. Both are here for nodules. The Fréchet distance (FID) compares
# its features on drawn and on real images; the inception score (IS) is high where it is sure of each image and finds all classes; the conditional
# generation accuracy (CGAcc) is how often it sees the class that was asked for. It cannot exceed what the classifier reaches on real
# images, the first row.
#
# Distances rest on another network than the paper's, and cannot be compared with its numbers; their order can.

# %% tags=["hide-input"]
TABLES = {  # FID, IS, CGAcc of Tables I, II, V and VI; the columns of Table VI in the order of Table II
    "cInfoGAN": ((0.283, 1.366, 0.740), (1.351, 1.326, 0.647)),
    "cAVAE": ((0.181, 1.424, 0.809), (3.566, 1.371, 0.651)),
    "D-cInfoGAN": ((0.333, 1.342, 0.645), (1.684, 1.449, 0.654)),
    "D-cAVAE": ((0.378, 1.371, 0.597), (4.893, 1.321, 0.578)),
    "DAI": ((0.106, 1.423, 0.773), (1.327, 1.304, 0.656)),
    "DRAI": ((0.089, 1.422, 0.773), (1.224, 1.300, 0.630)),
    "DAI+selfReg+MIReg": ((0.176, 1.433, 0.760), (1.350, 1.299, 0.683)),
    "DAI+featureCycle": ((0.221, 1.383, 0.708), (1.367, 1.296, 0.690)),
    "DAI+MIReg": ((0.154, 1.411, 0.746), (1.298, 1.290, 0.647)),
    "DAI+selfReg": ((0.208, 1.433, 0.780), (1.347, 1.295, 0.653)),
}
FACTORS = {"LIDC": ("size_bin", "malignancy"), "HAM10000": ("dx",)}
for k, (data, factors) in enumerate(FACTORS.items()):
    for factor in factors:
        columns = [
            ("FID", data, f"frechet.{factor}", 2),
            ("IS", data, f"inception_score.{factor}", 2),
            ("CGAcc", data, f"cgacc.{factor}", 2),
        ]
        published = {
            head: {name: row[k][i] for name, row in TABLES.items()}
            for i, (head, *_) in enumerate(columns)
        }
        real = values_of(data, "DRAI", f"cgacc_real.{factor}")
        print(
            f"{data}, classifier of {factor}; on real images {real.mean():.2f}"
        )
        show_table(table_of(columns, published=published))

# %% [markdown]
# (The paper's Table VI has the columns of IS and CGAcc exchanged: its row of DAI says so, beside Table II. In its DRAI row it has 0.618 where Table II has 0.630.)
#
# ## Tables III, V and VI: are style and content apart?
#
# CIFC as the paper has it, and beside it the same as a share of what it would be if the codes that come back were those of another image (see
# {eq}`eq-style-content-19`); the standard deviation over images of a dimension of each code; and how well a picture comes back from its own two codes. A code of deviation 0 is idle. The last row is the floor: DRAI after a single update.

# %% tags=["hide-input"]
CIFC = {
    "LIDC": dict(
        zip(
            (
                "D-cInfoGAN",
                "D-cAVAE",
                "DAI",
                "DRAI",
                "DAI+selfReg+MIReg",
                "DAI+featureCycle",
                "DAI+MIReg",
                "DAI+selfReg",
            ),
            (1.625, 1.944, 1.096, 0.456, 0.554, 0.913, 0.747, 0.781),
            strict=True,
        )
    ),
    "HAM10000": dict(
        zip(
            (
                "D-cInfoGAN",
                "D-cAVAE",
                "DAI",
                "DRAI",
                "DAI+selfReg+MIReg",
                "DAI+featureCycle",
                "DAI+MIReg",
                "DAI+selfReg",
            ),
            (1.201, 1.354, 0.256, 0.210, 0.233, 0.311, 0.228, 0.219),
            strict=True,
        )
    ),
}


def deviation(data, system, code):
    """The standard deviation of a code's dimensions over images, (seeds,)."""
    prefix, judged_on = SETS[data]
    names = [
        n
        for n in recorded
        if re.fullmatch(rf"{prefix}_{SHORT[system]}_seed[0-4]", n)
    ]
    return [
        recorded[n]
        .load_observed()[judged_on]["style_content"][code]
        .std(0)
        .mean()
        for n in names
    ]


for data in SETS:
    frame = table_of(
        [
            ("CIFC", data, "cifc", 2),
            ("relative", data, "cifc_relative", 2),
            ("PSNR", data, "psnr", 1),
        ],
        [*TWO, UNTRAINED],
        {"CIFC": CIFC[data]},
    )
    for code in ("style", "content"):
        frame[f"deviation of {code}"] = [
            spread(deviation(data, system, code)) for system in frame.index
        ]
    print(data)
    show_table(frame)

# %% mystnb={"figure": {"caption": "CIFC, as the paper has it and as a share of chance, and the Fréchet distance along the runs; a line for each seed.", "name": "fig-style-content-along"}} tags=["hide-input"]
ALONG = {
    "cifc": "CIFC",
    "cifc_relative": "CIFC as a share of chance",
    "frechet.{factor}": "Fréchet distance",
}
fig, axes = explore.figure(7, 4.6, rows=2, columns=3)
for row, (data, (prefix, _)) in zip(axes, SETS.items(), strict=True):
    for axis, (measure, label) in zip(row, ALONG.items(), strict=True):
        for k, system in enumerate(("D-cInfoGAN", "D-cAVAE", "DAI", "DRAI")):
            for i in range(5):
                along = recorded[f"{prefix}_{SYSTEMS[system]}_seed{i}"].measures
                axis.plot(
                    [one["step"] * 64 / 1_000 for one in along],
                    [one[measure.format(factor=FACTORS[data][0])] for one in along],
                    "o-",
                    ms=3,
                    lw=1,
                    color=f"C{k}",
                    label=system if i == 0 else None,
                )
        axis.set(xlabel="thousand images seen", ylabel=label)
    row[0].set_title(data, loc="left")
axes[0, 2].legend(fontsize=7)
fig.alt = (
    "CIFC, its share of chance, and the Fréchet distance of four systems over "
    "the images seen, on nodules and on lesions."
)
explore.show(fig)

# %% [markdown]
# ### A second scale
#
# The paper states neither λ nor whether its KL terms are means or sums over dimensions. Ours are means. With sums, which is λ = 16 here, the codes are pressed more
# strongly against the prior:

# %% tags=["hide-input"]
SUMMED = {
    "D-cAVAE": "dcavae",
    "DAI": "dai",
    "DRAI": "drai",
}
SHORT |= {f"{name}, sums": f"{short}_summed" for name, short in SUMMED.items()}
frame = table_of(
    [
        ("CIFC", "LIDC", "cifc", 2),
        ("relative", "LIDC", "cifc_relative", 2),
        ("PSNR", "LIDC", "psnr", 1),
        ("FID", "LIDC", "frechet.size_bin", 2),
    ],
    [row for name in SUMMED for row in (name, f"{name}, sums")],
)
for code in ("style", "content"):
    frame[f"deviation of {code}"] = [
        spread(deviation("LIDC", system, code)) for system in frame.index
    ]
show_table(frame)

# %% [markdown]
# ### What either code knows
#
# A line is fitted from a code to each factor and tested on other patients, see {ref}`style-content`. 0 is chance, 1 perfect. The size is in the condition of
# nodules, and not in that of lesions.

# %% tags=["hide-input"]
KNOWN = {
    "LIDC": ("size", "malignancy", "calcification"),
    "HAM10000": ("dx", "size", "orientation_cos"),
}
for data, factors in KNOWN.items():
    columns = [
        (
            f"{code}: {factor.removesuffix('_cos')}",
            data,
            f"{code}_knows.{factor}",
            2,
        )
        for factor in factors
        for code in ("content", "style")
    ]
    print(data)
    show_table(table_of(columns))

# %% [markdown]
# ## What is kept when one code is drawn anew
#
# The paper holds the content fixed, draws styles, and looks whether the nodule stays the same size. Here a network measures. For 32 contents with
# eight styles each, the *intraclass correlation* of the measured size says how much of its variance is the content's: 1 if the content decides, 0 if the
# style does. The second column of each pair turns it round: the brightness around the nodule, or the lesion, under a fixed style and drawn contents. A system that ignores
# the style has 1 in the first and 0 in the second.

# %% tags=["hide-input"]
for data in SETS:
    print(data)
    show_table(
        table_of(
            [
                (
                    "size, content of a condition",
                    data,
                    "condition_kept.size",
                    2,
                ),
                ("size, content of an image", data, "content_kept.size", 2),
                ("surround, content", data, "content_kept.surround", 2),
                ("size, style", data, "style_kept.size", 2),
                ("surround, style", data, "style_kept.surround", 2),
            ]
        )
    )

# %% [markdown]
# ## Table IV: what is found by either code
#
# Each test nodule is a query; the three nearest of other patients are retrieved, by the mean absolute difference of contents, of styles, or of the pixels themselves.
# The *disagreement* is the mean squared difference of their labels, the condition and the size, from the query's; the *overlap* the
# share of queries of which one of the three has the best label there is. The paper's queries are nodules of median malignancy 3, and the unit of its size is not stated: the
# levels cannot be compared.

# %% tags=["hide-input"]
PAPER_IV = {  # disagreement, overlap
    "Pixel Matched": (2.42, 35.27),
    "D-cInfoGAN": (2.566, 33.850),
    "D-cAVAE": (2.961, 35.010),
    "DAI+selfReg+MIReg": (1.826, 52.325),
    "DAI+featureCycle": (1.458, 59.173),
    "DAI+MIReg": (1.928, 54.909),
    "DAI+selfReg": (1.791, 56.589),
    "DAI": (1.687, 54.780),
    "DRAI": (1.575, 53.359),
}
frame = table_of(
    [
        ("disagreement", "LIDC", "disagreement", 2),
        ("overlap", "LIDC", "overlap", 1),
    ],
    TWO,
    {
        head: {name: row[i] for name, row in PAPER_IV.items()}
        for i, head in enumerate(("disagreement", "overlap"))
    },
)
for head, measure, decimals in (
    ("disagreement by style", "disagreement_style", 2),
    ("overlap by style", "overlap_style", 1),
):
    frame[head] = [
        spread(values_of("LIDC", system, measure), decimals) for system in TWO
    ]
frame.loc["Pixel Matched"] = "–"
for head, measure, decimals in (
    ("disagreement", "disagreement_pixels", 2),
    ("overlap", "overlap_pixels", 1),
):
    value = values_of("LIDC", "DRAI", measure).mean()
    frame.loc["Pixel Matched", head] = f"{value:.{decimals}f}"
for i, head in enumerate(("disagreement", "overlap")):
    frame.loc["Pixel Matched", f"paper, {head}"] = (
        f"{PAPER_IV['Pixel Matched'][i]:g}"
    )
frame.loc["any three"] = "–"
for head, decimals in (("disagreement", 2), ("overlap", 1)):
    value = values_of("LIDC", "DRAI", f"{head}_chance").mean()
    frame.loc["any three", head] = f"{value:.{decimals}f}"
show_table(frame)

# %% [markdown]
# ## The verdicts
#
# How a claim gets a verdict, and what the two marks mean, is on the page {doc}`/book/claims`.

# %% tags=["hide-input"]
show_claims("style_content")

# %% mystnb={"figure": {"caption": "Every seed of every part that could be judged.", "name": "fig-style-content-points"}} tags=["hide-input"]
explore.show(claim_points("style_content"))

# %% [markdown]
# ## Does CIFC see what it should?
#
# On phantoms it can be asked. Their factors are known and independent, so the leak is known, too: what the style knows of the conditioned factors, and what the
# content knows of the position and the turn. If CIFC measured what it is meant to, systems with a larger leak would have a larger error. Here is the
# rank correlation of the two over all runs of eight systems, and of what else one could rank them by. This judges a measure, not a claim on patients.

# %% tags=["hide-input"]
LEAKS = {
    "style": ("size", "sphericity_rating", "margin_rating", "texture_rating"),
    "content": ("position_x", "position_y", "wall_angle_cos", "wall_angle_sin"),
}
phantoms = {
    name: record.metrics["phantoms.nodule.independent.32/test"]["values"]
    for name, record in recorded.items()
    if name.startswith("phantoms_")
}
leak = [
    sum(
        np.mean([values[f"{code}_knows.{factor}"] for factor in factors])
        for code, factors in LEAKS.items()
    )
    for values in phantoms.values()
]
rows = {}
for measure in ("cifc", "cifc_relative", "psnr"):
    ranked = spearmanr([values[measure] for values in phantoms.values()], leak)
    rows[measure] = {"rank correlation": ranked.statistic, "p": ranked.pvalue}
show_table(pd.DataFrame(rows).T, 2)

# %% [markdown]
# The same with both codes at once. A forest predicts each factor from style and content together, and says how much of its decisions rests on either:
# {term}`DCI` with the two codes as its blocks. In the first column stands the content's share for the factors of the condition, which should be 1; in the second the style's share for the
# others. One seed each.

# %% tags=["hide-input"]
GIVEN = ("size", "sphericity_rating", "margin_rating", "texture_rating")
OTHERS = ("position_x", "position_y", "lung_density", "noise")
independent = open_images("phantoms.nodule.independent.32").split("test")


def codes_of(record):
    """Style and content of the test images, (N, D) each."""
    judged_on = "phantoms.nodule.independent.32/test"
    if record.observed:
        seen = record.load_observed()[judged_on]["style_content"]
        return seen["style"], seen["content"]
    model = record.load_model().eval()
    codes = encode_all(model, independent)[0].numpy()
    return np.split(codes, [model.config["style_dim"]], 1)


rows = {}
for name in TWO:
    style, content = codes_of(recorded[f"phantoms_{SYSTEMS[name]}_seed0"])
    found = dci(
        np.hstack([style, content]),
        independent.factor_matrix([*GIVEN, *OTHERS]),
        "random_forest",
        trees=30,
    )
    of_content = found.importance[style.shape[1] :].sum(0)
    rows[name] = {
        "condition: content's share": of_content[: len(GIVEN)].mean(),
        "the rest: style's share": 1 - of_content[len(GIVEN) :].mean(),
        "informativeness": found.informativeness,
    }
show_table(pd.DataFrame(rows).T, 2)

# %% [markdown]
# ## Pictures
#
# After Figures 10 and 11 of the paper: the content of a condition, and eight styles drawn from the prior, the same eight in each row. One seed each. The conditions of the nodules
# are those of phantoms.

# %% tags=["hide-input"]
SHOWN = ("D-cInfoGAN", "D-cAVAE", "DAI", "DRAI")
new_phantoms = open_images("phantoms.nodule.independent.32", 200, seed=1)
by_size = np.argsort(new_phantoms.factor_matrix(["size"])[:, 0])
conditions = {
    "LIDC": new_phantoms.subset(by_size[[10, 70, 130, 190]]),
    "HAM10000": {"dx": torch.arange(3)},
}


def model_of(prefix, system):
    """The recorded system of seed 0."""
    return recorded[f"{prefix}_{SYSTEMS[system]}_seed0"].load_model().eval()


def conditional(model, columns):
    """A row for each condition: eight styles."""
    content = model.content_of(model.condition(**columns)).mean.detach()
    generator = torch.Generator().manual_seed(seed)
    style = torch.randn(8, model.config["style_dim"], generator=generator)
    n = len(content)
    codes = torch.cat([style.repeat(n, 1), content.repeat_interleave(8, 0)], 1)
    return decode_all(model, codes).unflatten(0, (n, 8))


for data, of in conditions.items():
    for system in SHOWN:
        model = model_of(SETS[data][0], system)
        columns = of if isinstance(of, dict) else of.columns(model.columns)
        rows = (
            ["nv", "mel", "bkl"]
            if isinstance(of, dict)
            else [f"{mm:.0f} mm" for mm in of.factor_matrix(["size"])[:, 0]]
        )
        explore.show(
            explore.image_table(
                conditional(model, columns),
                row_labels=[f"{system}: {rows[0]}", *rows[1:]],
                alt=f"Rows of eight pictures, {data}, {system}: each row drawn "
                "for one condition, with eight styles.",
            )
        )

# %% [markdown]
# Encoders need images, and real ones are not ours to show. So the figures that follow are of new phantoms, by the systems that were trained on phantoms; and, where you have packed nodules or lesions
# yourself (see {doc}`/book/how_to_use`), of those, too.

# %% tags=["hide-input"]
PICTURES = {"phantoms": ("phantoms", new_phantoms)} | {
    data: (
        SETS[data][0],
        open_images(SETS[data][1].removesuffix("/test")).split("test"),
    )
    for data, folder in (("LIDC", "lidc"), ("HAM10000", "ham10000.patches"))
    if packed_folder(folder)
}
models = {
    (data, system): model_of(prefix, system)
    for data, (prefix, _) in PICTURES.items()
    for system in SHOWN
}
tests = {data: images for data, (_, images) in PICTURES.items()}
PICKED = {
    data: np.random.default_rng(seed).permutation(len(images))[:6]
    for data, images in tests.items()
}

# %% [markdown]
# After Figures 12 and 13: hybrids, content of the row and style of the column; on the diagonal, reconstructions.


# %% tags=["hide-input"]
def exchanged(data, system):
    """Hybrids of five images, with the images before each row."""
    model, images = models[data, system], tests[data].subset(PICKED[data][:5])
    codes, _ = encode_all(model, images)
    style, content = codes.split(
        [model.config["style_dim"], model.config["content_dim"]], 1
    )
    pairs = torch.cat([style.repeat(5, 1), content.repeat_interleave(5, 0)], 1)
    made = decode_all(model, pairs).unflatten(0, (5, 5))
    return torch.cat([images.batch(slice(None))[:, None], made], 1)


for data in PICTURES:
    for system in SHOWN:
        explore.show(
            explore.image_table(
                exchanged(data, system),
                row_labels=[system, *[""] * 4],
                column_labels=["content", *(f"style {k}" for k in range(1, 6))],
                alt=f"Five rows of six pictures, {data}, {system}: an image, and "
                "its content in the styles of five images.",
            )
        )

# %% [markdown]
# After Figure 18: between two images, the content alone, the style alone, and both.


# %% tags=["hide-input"]
def between(data, system):
    """Three rows of seven pictures: content, style, both."""
    model, images = models[data, system], tests[data].subset(PICKED[data][:2])
    codes, _ = encode_all(model, images)
    (z_a, z_b), (c_a, c_b) = (
        part.unbind(0)
        for part in codes.split(
            [model.config["style_dim"], model.config["content_dim"]], 1
        )
    )
    steps = torch.linspace(0, 1, 7)[:, None]
    rows = []
    for moves_style, moves_content in ((0, 1), (1, 0), (1, 1)):
        style = torch.lerp(z_a, z_b, moves_style * steps)
        content = torch.lerp(c_a, c_b, moves_content * steps)
        rows.append(decode_all(model, torch.cat([style, content], 1)))
    return torch.stack(rows)


for data in PICTURES:
    explore.show(
        explore.image_table(
            between(data, "DRAI"),
            row_labels=["content", "style", "both"],
            alt=f"Three rows of seven pictures between two images of {data}: "
            "the content moves, the style moves, both move.",
        )
    )

# %% [markdown]
# After Figures 14 and 15: what is retrieved. Beside a query the three nearest by style, and below each other the three nearest by content and by pixels.


# %% tags=["hide-input"]
def retrieved(data, system, queries=3):
    """Rows of a query with its nearest by content, by style and by pixels."""
    model, images = models[data, system], tests[data]
    codes, _ = encode_all(model, images)
    style, content = codes.split(
        [model.config["style_dim"], model.config["content_dim"]], 1
    )
    pictures = images.batch(slice(None))
    whose = images.table[images.group].to_numpy()
    rows, labels = [], []
    for query in PICKED[data][:queries]:
        others = np.flatnonzero(whose != whose[query])
        for name, keys in (
            ("content", content),
            ("style", style),
            ("pixels", pictures),
        ):
            near = nearest_neighbours(keys[query][None], keys[others], 3)
            rows.append(pictures[[query, *others[near.indices[0]]]])
            labels.append(name)
    return torch.stack(rows), labels


for data in PICTURES:
    pictures, labels = retrieved(data, "DRAI")
    explore.show(
        explore.image_table(
            pictures,
            row_labels=labels,
            column_labels=["query", "first", "second", "third"],
            alt=f"Nine rows of four pictures of {data}: three queries, each with "
            "the three nearest by content, by style and by pixels.",
        )
    )

# %% [markdown]
# After Figure 19: t-SNE of both codes of DRAI, coloured by what the condition says.

# %% mystnb={"figure": {"caption": "t-SNE of content (left) and style (right), DRAI, one seed: phantoms by their size in mm.", "name": "fig-style-content-tsne"}} tags=["hide-input"]
fig, axes = explore.figure(
    7, 3.2 * len(PICTURES), rows=len(PICTURES), columns=2
)
for row, data in zip(np.atleast_2d(axes), PICTURES, strict=True):
    model, images = models[data, "DRAI"], tests[data]
    codes, _ = encode_all(model, images)
    split = [model.config["style_dim"], model.config["content_dim"]]
    style, content = codes.split(split, 1)
    factor = "dx" if data == "HAM10000" else "size"
    colours = images.factor_matrix([factor])[:, 0]
    for axis, (name, code) in zip(
        row, (("content", content), ("style", style)), strict=True
    ):
        places = TSNE(
            perplexity=min(30, len(code) // 4), random_state=seed
        ).fit_transform(code.numpy())
        axis.scatter(*places.T, c=colours, s=8, cmap="viridis")
        axis.set(title=f"{data}, {name}", xticks=[], yticks=[])
fig.alt = (
    "Clouds of points: content and style of phantoms of nodules, coloured by "
    "their size."
)
explore.show(fig)

# %% [markdown]
# ## Privacy
#
# The paper's motive is sharing: "removing patient information (style) while preserving disease information". Whether a drawn nodule is that of a patient is a question for
# its nearest neighbours. The share says in how many pairs of a drawn and a test image the drawn one lies nearer to the training images, in pixels averaged to 8 × 8:
# one half if drawn images are as new as those of new patients.

# %% tags=["hide-input"]
show_table(
    table_of(
        [
            (f"{data}: {head}", data, measure, decimals)
            for data in SETS
            for head, measure, decimals in (
                ("nearer than new", "nearer_than_new", 2),
                ("nearest, drawn", "nearest_drawn", 3),
                ("nearest, new", "nearest_new", 3),
            )
        ]
    )
)

# %% [markdown]
# ## Explore
#
# Choose an image for the content and one for the style, exchange them, move from one to the other along either axis, or take the content from the condition: tick what the radiologists
# would have ticked.

# %%
for data in PICTURES:
    model, images = models[data, "DRAI"], tests[data].subset(PICKED[data])
    explore.show(
        explore.Explorer(
            model,
            images=images.batch(slice(None)),
            views=["hybrid"],
            factors=images.factors,
            columns=images.columns(model.columns),
            title=f"DRAI, {data}",
        )
    )

# %% tags=["remove-cell"]
publish_metrics(
    "style_content_results",
    {
        f"{SYSTEMS[system]}_{SETS[data][0]}_cifc": values_of(
            data, system, "cifc"
        ).mean()
        for data in SETS
        for system in TWO
    },
)
