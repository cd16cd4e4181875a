"""Checks of the exercises on attribute regularisation, ``notebooks/40_attribute_vae_exercises``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data.acdc import LV, MYO, RV
from ...losses import attribute_loss
from .answers import WrongAnswer, as_array, call, choose, closest, compare, correct, several, without


def ejection(function: Callable, seed: int = 0) -> None:
    """``ejection(ed, es, spacing)``: EDV and ESV of the left ventricle in ml, and its ejection fraction.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    rng = np.random.default_rng(seed)
    shape, spacing = (40, 36, 9), (1.4, 1.6, 8.0 + seed % 3)
    where = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"))
    distance = np.sqrt(np.square(where * np.array(spacing)[:, None, None, None]).sum(0))
    masks = []
    for radius in (24 + rng.uniform(0, 2), 16 + rng.uniform(0, 2)):
        mask = np.zeros(shape, np.uint8)
        mask[where[0] < -4] = RV
        mask[distance < radius + 5] = MYO
        mask[distance < radius] = LV
        masks.append(mask)
    found = several(function, call(function, *masks, spacing), 3, "EDV, ESV and the ejection fraction")
    voxel = math.prod(spacing) / 1000

    def counts(label: int) -> np.ndarray:
        return np.array([np.count_nonzero(mask == label) for mask in masks], float)

    cavity = counts(LV)
    for name, answer, place in (("EDV", found[0], 0), ("ESV", found[1], 1)):
        volumes = {
            f"that is {what}; a thousand cubic millimetres are one millilitre.": cavity[place] * voxel * factor
            for what, factor in (("in cubic millimetres", 1e3), ("in litres", 1e-3))
        }
        areas = {
            "the distance of the slices is missing.": cavity[place] * spacing[0] * spacing[1] / 1000,
            "the distance of the slices is taken for all three sides of a voxel.": cavity[place]
            * spacing[2] ** 3
            / 1000,
            "that is a number of voxels; multiply by the size of one.": cavity[place],
            "ED and ES are exchanged.": cavity[1 - place] * voxel,
            "that is the right ventricle, whose label is 3.": counts(RV)[place] * voxel,
            "that is the muscle, whose label is 2.": counts(MYO)[place] * voxel,
            "cavity and muscle are counted together.": (counts(LV) + counts(MYO))[place] * voxel,
        }
        compare(
            name,
            answer,
            cavity[place] * voxel,
            mistakes=volumes | areas,
            hint="Count the voxels with label 1, and multiply by the product of the three distances.",
        )
    stays = cavity[1] / cavity[0]
    compare(
        "The ejection fraction",
        found[2],
        1 - stays,
        mistakes={
            "that is the share of the blood that stays.": stays,
            "that is in per cent; a share is asked for.": 100 * (1 - stays),
            "divide what is driven out by the volume at end-diastole, not at end-systole.": 1 / stays - 1,
            "that is the volume that is driven out; divide it by the one at end-diastole.": (1 - stays)
            * cavity[0]
            * voxel,
        },
        hint="(EDV - ESV) / EDV.",
    )
    correct(f"{cavity[0] * voxel:.0f} ml at end-diastole, and a beat drives out {100 * (1 - stays):.0f} % of them.")


def order(loss: Callable, slope: Callable, seed: int = 0) -> None:
    """``order_loss(z, a, delta)``, equation 2 for one attribute, and ``slope(z, a, delta)``, its gradient by hand.

    Compared with the package's loss, and with autograd.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    torch.manual_seed(seed)
    for count, delta in ((7, 1.0), (12, 4.0)):
        z = torch.randn(count, dtype=torch.float64)
        a = 100 + 30 * torch.randn(count, dtype=torch.float64)
        codes, wanted = z[:, None] - z, (a[:, None] - a).sign()
        apart = (torch.tanh(delta * codes) - wanted).abs()
        compare(
            loss,
            call(loss, z, a, delta),
            attribute_loss(z[:, None], a[:, None], delta)[0],
            meaning="one number",
            mistakes={
                "the pairs of an image with itself count in the mean, too.": apart.sum() / (count * (count - 1)),
                "that is the sum over the pairs; the mean is asked for.": apart.sum(),
                "δ is missing.": (torch.tanh(codes) - wanted).abs().mean(),
                "the differences are squared; their absolute value is asked for.": apart.square().mean(),
                "the code is put into the reverse order.": (torch.tanh(delta * codes) + wanted).abs().mean(),
                "the size of the attribute's differences enters; only their sign does.": (
                    torch.tanh(delta * codes) - torch.tanh(a[:, None] - a)
                )
                .abs()
                .mean(),
                "tanh is missing: the code's differences have no bound.": (delta * codes - wanted).abs().mean(),
            },
            hint="MAE(tanh(δ D_k) - sgn(D_a)), over all B² pairs.",
        )
        near = 1 - torch.tanh(delta * codes).square()
        right = -2 * delta / count**2 * (wanted * near).sum(1)
        variable = z.clone().requires_grad_()
        attribute_loss(variable[:, None], a[:, None], delta).sum().backward()
        assert variable.grad is not None
        assert torch.allclose(variable.grad, right)
        sentence = "slope(…) is to be derived by hand, without automatic differentiation."
        with without(sentence, torch.autograd.grad, torch.autograd.backward):
            found = call(slope, z, a, delta)
        compare(
            slope,
            found,
            right,
            meaning="one value for each image",
            mistakes={
                "each image is in two kinds of pairs, (i, j) and (j, i): a factor of 2 is missing.": right / 2,
                "δ, the inner derivative, is missing.": right / delta,
                "the sign is wrong: an image is pushed up by those that should lie below it.": -right,
                "the derivative of tanh is 1 - tanh², not tanh.": -2
                * delta
                / count**2
                * (wanted * torch.tanh(delta * codes)).sum(1),
                "divide by B², the number of pairs in the mean.": right * count**2,
                "divide by B², not by B.": right * count,
                "the signs of the attribute are missing.": -2 * delta / count**2 * near.sum(1),
                "that is the mean over j; the sum over j, divided by B² once, is asked for.": right / count,
            },
            hint="Open the absolute value to 1 - s tanh(δ D), and differentiate.",
        )
    correct("Nearby images push hardest, and images far apart not at all, whether they are right or wrong.")


def weights(scores: Callable, pulls: Callable, more: Any, seed: int = 0) -> None:
    """``scores(q, likelihood, prior)``, the ELBO of each image; ``pulls(elbo, alpha)``, its weight; which is more.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    torch.manual_seed(seed)
    q = (2 * torch.randn(2, 2, dtype=torch.float64)).softmax(1)
    likelihood = torch.randn(2, 2, dtype=torch.float64).softmax(1)
    prior = torch.tensor([0.4, 0.6], dtype=torch.float64)
    told, kl = (q * likelihood.T.log()).sum(1), (q * (q / prior).log()).sum(1)
    elbo = told - kl
    compare(
        scores,
        call(scores, q, likelihood, prior),
        elbo,
        meaning="one value for each image",
        mistakes={
            "the KL to the prior is subtracted, not added.": told + kl,
            "the KL is missing.": told,
            "that is the KL alone.": -kl,
            "that is minus the ELBO.": -elbo,
            "that is log p(x), the bound of the ELBO, which q does not enter.": (prior @ likelihood).log(),
            "likelihood is read the wrong way: its rows are codes, its columns images.": (q * likelihood.log()).sum(1)
            - kl,
            "the prior is missing: that is the expected log-likelihood plus the entropy of q.": told
            - (q * q.log()).sum(1),
            "the expectation is over q, not over the prior.": (prior * likelihood.T.log()).sum(1) - kl,
        },
        hint="Σ_z q(z|x) (log p(x|z) + log p(z) - log q(z|x)).",
    )
    for alpha in (2.0, 0.5):
        right = torch.exp(alpha * elbo)
        compare(
            pulls,
            call(pulls, elbo, alpha),
            right,
            meaning="one weight for each image",
            mistakes={
                "that is exp(α ELBO) / α itself; its derivative by the ELBO is asked for.": right / alpha,
                "the inner derivative cancels 1/α.": right * alpha,
                "α is missing in the exponent.": torch.exp(elbo),
                "the sign in the exponent is wrong: a low ELBO has a small weight.": torch.exp(-alpha * elbo),
                "without the exponential all weights would be 1.": torch.ones_like(elbo),
            },
            hint="Differentiate exp(α W) / α by W.",
        )
    choose("more", more, "a", {"b": "that image is recognised already: exp(α ELBO), its weight, is small."})
    ratio = math.exp(2 * (-0.5 - -2.0))
    correct(f"The image that is still taken for real has {ratio:.0f} times the weight of the other.")


def correlated(predicted: Sequence[float], found: Sequence[float]) -> None:
    """SCC and SAP of a perfect code of two attributes with correlation 0.8, and SAP of the code cubed, predicted.

    Raises:
        WrongAnswer: one of them is wrong; the message says which.
    """
    if not isinstance(predicted, tuple | list) or len(predicted) != 3:
        raise WrongAnswer("expected three predictions, scc, sap_line and sap_bent.")
    rho, bent = 0.8, 9 / 15
    right = (1.0, 1 - rho**2, bent * (1 - rho**2))
    both = {"that is the correlation of the attributes, which the best dimension does not suffer from.": rho}
    second = {"that is the squared correlation of the second best; SAP is the lead over it.": rho**2}
    mistakes = (
        {
            "SCC asks for the order of the best dimension alone: there is no second best to subtract.": right[1],
            "that is the squared correlation of the second best; SCC looks at the best dimension.": rho**2,
            "a bend keeps the order, which is all that SCC looks at.": bent,
        },
        {
            "SAP takes squared correlations.": 1 - rho,
            "that is how well the best dimension predicts; subtract the second best.": 1.0,
            **second,
        },
        {
            "SAP takes squared correlations.": bent**0.5 * (1 - rho),
            "that is right for the code as it is; a bent one is not on a line.": right[1],
            "that is how well the best dimension predicts; subtract the second best.": bent,
            "the bend lowers both predictions, the second best too: the factor is for their difference.": bent - rho**2,
            **second,
        },
    )
    names = ("scc", "sap_line", "sap_bent")
    for name, answer, value, wrong in zip(names, predicted, right, mistakes, strict=True):
        compare(
            name,
            answer,
            value,
            reveal=False,
            mistakes=both | wrong,
            hint="Order, for SCC; the best squared correlation minus the second best, for SAP.",
            rtol=0,
            atol=5e-3,
        )
    correct(
        f"The run found {found[0]:.2f}, {found[1]:.2f} and {found[2]:.2f}: a perfect order, and a gap that the "
        "correlation of the attributes closes."
    )


def millilitres(slope: Callable, interval: Callable, seed: int = 0) -> None:
    """``per_deviation(z, ml)``, ml per standard deviation of the code, and ``interval(z, ml, patient)``.

    A bootstrap of the check's own, over patients, has 5 000 draws; ends may differ by 6 % of its width, four times what
    chance does to two such bootstraps, and less than the ends of a 90 % interval differ from those of a 95 % one.

    Raises:
        WrongAnswer: one of them is wrong; the message says which, and how.
    """
    rng = np.random.default_rng(seed)
    people, pictures = 40, 8
    patient = np.repeat(np.arange(people), pictures)
    volume = 140 + 40 * rng.standard_normal(people)
    wrong = 20 * rng.standard_normal(people)  # of a patient, in all of its pictures
    z = ((volume + wrong - 140) / 25)[patient] + 0.15 * rng.standard_normal(len(patient))
    ml = volume[patient]
    line, other_line = np.polyfit(z, ml, 1)[0], np.polyfit(ml, z, 1)[0]
    mistakes = [
        ("that is ml per unit of the code; multiply by its standard deviation.", line),
        ("that is a correlation; it has no unit.", np.corrcoef(z, ml)[0, 1]),
        ("that is the code's change for a ml.", other_line),
    ]
    for n in (0, 1):  # whichever denominator a standard deviation has
        spread = z.std(ddof=n)
        mistakes += [
            ("divided by the standard deviation, where it has to be multiplied.", line / spread),
            ("multiplied by the variance of the code; its standard deviation is asked for.", line * spread**2),
            ("that is the spread of the volumes, which the code explains in part.", ml.std(ddof=n)),
            ("the line is fitted the wrong way: the code is given, and ml are to be told.", spread / other_line),
            (
                "code and volume are exchanged: that is the code's change for a deviation of ml.",
                (other_line * ml.std(ddof=n)),
            ),
        ]
    spread = z.std()
    found_slope = call(slope, z, ml)
    compare(
        slope,
        found_slope,
        closest(found_slope, [line * z.std(ddof=n) for n in (0, 1)]),
        meaning="one number",
        mistakes=mistakes,
        hint="Fit ml = a + b z, and multiply b by the standard deviation of z.",
    )

    def draw(rows: np.ndarray) -> float:
        return float(np.polyfit(z[rows], ml[rows], 1)[0] * z[rows].std())

    own = np.random.default_rng(seed + 1)
    by_patient = [np.flatnonzero(patient == p) for p in range(people)]
    chosen = [own.integers(people, size=people) for _ in range(5000)]
    groups = [draw(np.concatenate([by_patient[p] for p in people_drawn])) for people_drawn in chosen]
    once = [draw(np.flatnonzero(np.isin(patient, people_drawn))) for people_drawn in chosen[:1000]]
    images = [draw(own.integers(len(z), size=len(z))) for _ in range(1000)]
    ends = np.percentile(groups, [2.5, 97.5])
    width = ends[1] - ends[0]
    others = [
        ("it is that of a bootstrap over images: those of one patient are no independent witnesses", images, 95),
        ("a patient who is drawn twice has to count twice, with all images", once, 95),
        *(
            (f"it leaves {(100 - share) / 2:g} % on either side: 2.5 % are asked for", groups, share)
            for share in (68, 80, 90, 99)
        ),
    ]
    narrow = np.percentile(images, [2.5, 97.5])
    pair = several(interval, call(interval, z, ml, patient), 2, "the ends of the interval")
    low, high = (as_array("An end of the interval", end) for end in pair)
    if low.shape or high.shape:
        raise WrongAnswer("An end of the interval is no single number.")
    found = np.array([float(low), float(high)])
    if not np.isfinite(found).all():
        raise WrongAnswer("An end of the interval is NaN or infinite.")
    if found[0] >= found[1]:
        raise WrongAnswer("The lower end of the interval lies above the upper one.")
    if np.abs(found - ends).max() > 0.06 * width:
        said = f"it is {found[0]:.1f} to {found[1]:.1f} ml, that of the check {ends[0]:.1f} to {ends[1]:.1f}"
        for mistake, drawn, share in others:
            if np.abs(found - np.percentile(drawn, [50 - share / 2, 50 + share / 2])).max() < 0.06 * width:
                said = mistake
        raise WrongAnswer(f"The interval is not right: {said}.")
    correct(
        f"A standard deviation of the code is {line * spread:.0f} ml, from {ends[0]:.0f} to {ends[1]:.0f}. Over images "
        f"the interval would be {width / (narrow[1] - narrow[0]):.1f} times too narrow."
    )


def _optimum(data: Tensor, eta: float) -> Tensor:
    """arg min KL(data ‖ p) + η H(p), by descent from the data."""
    logits = data.log().requires_grad_()
    search = torch.optim.LBFGS([logits], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        log_p = logits.log_softmax(0)
        value = -((data + eta * log_p.exp()) * log_p).sum()
        value.backward()
        return value

    search.step(closure)
    return logits.detach().softmax(0)


def optimum(function: Callable, seed: int = 0) -> None:
    """``optimum(data, eta)``: the best generator of the game on a discrete space, ``(X,)``.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    torch.manual_seed(seed)
    start = torch.randn(5, dtype=torch.float64).mul(0.6).softmax(0)
    for data in (torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64), start):
        entropy = -(data * data.log()).sum()
        for eta in (0.05, 0.15):
            right = _optimum(data, eta)
            first = data + eta * data * (data.log() + entropy)
            compare(
                function,
                call(function, data, eta),
                right,
                meaning="one probability for each image",
                mistakes={
                    "that is the data; for η > 0 the entropy pulls the optimum away from them.": data,
                    "the sign is wrong: the entropy is a cost, so that common images become commoner.": (
                        _optimum(data, -eta)
                    ),
                    "that is the first order in η, close, but not the minimum.": first,
                    "the probabilities do not add up to 1.": right / right.max(),
                    "those are logarithms.": right.log(),
                },
                hint="Minimise -Σ (p + η p_d) log p_d over p_d = softmax(logits).",
                rtol=1e-3,
                atol=1e-4,
            )
    data, eta = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64), 0.15
    shown = _optimum(data, eta)
    correct(
        f"With η = {eta} the commonest image is drawn in {100 * shown[0]:.1f} % of cases instead of "
        f"{100 * data[0]:.0f}, the rarest in {100 * shown[3]:.1f} % instead of {100 * data[3]:.0f}."
    )
