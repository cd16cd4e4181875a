"""Checks of the exercises on independence, ``notebooks/03_independence_exercises``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from ...losses import KLDecomposition, kl_decomposition
from .answers import WrongAnswer, as_array, call, compare, correct, gradient, several, whole_number

TERMS = ("mutual information", "total correlation", "dimension-wise KL")


def total_correlation(function: Callable, seed: int = 0) -> None:
    """``total_correlation(covariance)``: the total correlation of a Gaussian, ``(D, D)`` to a scalar, in nats.

    Compared with the KL between the Gaussian and the product of its marginals that ``torch.distributions`` computes;
    a gradient has to reach the covariance, and 60 dimensions must not underflow.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    torch.manual_seed(seed)
    factor = torch.randn(4, 4)
    covariance = (factor @ factor.T + torch.eye(4)).requires_grad_()
    variances = covariance.diagonal()
    found = call(function, covariance)
    expected = _gaussian_total_correlation(covariance)
    compare(
        function,
        found,
        expected,
        meaning="one number for the whole code",
        mistakes={
            "the factor ½ is missing.": 2 * expected,
            "the sign is wrong: a KL is never negative.": -expected,
            "the covariance is not divided by its diagonal; the variances of the dimensions are no dependence.": -0.5
            * torch.logdet(covariance),
            "the sign is wrong, and the covariance is not divided by its diagonal.": 0.5 * torch.logdet(covariance),
            "this is the determinant of the marginals alone; that of the whole covariance is missing.": 0.5
            * variances.log().sum(),
            "the covariance is divided by the variances; a correlation is divided by the standard deviations.": -0.5
            * torch.logdet(covariance / variances[:, None] / variances),
            "the logarithm is missing.": -0.5 * torch.exp(-2 * expected),
            "this is the KL to the standard normal, which charges for the variances, too.": _kl_to_standard(covariance),
            "this is KL(N(0, diag Σ) ‖ N(0, Σ)): the two are exchanged.": kl_divergence(
                MultivariateNormal(torch.zeros(4), torch.diag(variances)),
                MultivariateNormal(torch.zeros(4), covariance),
            ),
            "the unit is nats: use the natural logarithm.": expected / math.log(2),
        },
        hint="Write KL(N(0, Σ) ‖ N(0, diag Σ)): the trace and the dimension cancel, two log-determinants stay.",
        rtol=1e-3,
    )
    gradient(function, found, ("covariance", covariance), expected=expected)
    index = torch.arange(60)
    long = 0.95 ** (index[:, None] - index).abs().float() / 10  # of variances that are not 1 either
    log_determinant = (len(index) - 1) * math.log(1 - 0.95**2)
    name = f"{getattr(function, '__name__', 'total_correlation')}(…) of {len(index)} dimensions"
    found = call(function, long)
    if np.isnan(as_array(name, found)).any():
        raise WrongAnswer(
            f"{name} is NaN: products of so many variances become 0 or infinite; use torch.logdet, and sum logarithms."
        )
    compare(
        name,
        found,
        -0.5 * log_determinant,
        mistakes={
            "the determinant is smaller than any float and becomes 0: use torch.logdet, which never forms it.": (
                math.inf
            ),
            "the product of the variances is smaller than any float and becomes 0: sum their logarithms.": -math.inf,
        },
        rtol=1e-3,
    )
    correct(
        f"It is the KL to the marginals, and {len(index)} dimensions, whose determinant is below "
        f"1e{math.ceil(log_determinant / math.log(10))}, do not underflow."
    )


def rotated(answer: float) -> None:
    """The total correlation of independent dimensions with variances 9 and 1, turned by 45 degrees.

    Raises:
        WrongAnswer: it is another number.
    """
    turn = torch.tensor([[1.0, -1.0], [1.0, 1.0]]) / math.sqrt(2)
    covariance = turn @ torch.diag(torch.tensor([9.0, 1.0])) @ turn.T
    expected = _gaussian_total_correlation(covariance).item()
    compare(
        "rotated",
        answer,
        expected,
        reveal=False,
        mistakes={
            "only a round Gaussian, with equal variances, stays independent when it is turned.": 0.0,
            "the factor ½ is missing.": 2 * expected,
            "a total correlation is not negative.": -expected,
            "the covariance after the turn is not divided by its diagonal.": -0.5 * math.log(9),
            "the unit is nats: use the natural logarithm.": expected / math.log(2),
        },
        hint=f"The covariance after the turn has {covariance[0, 0]:.0f} on the diagonal; what stands beside it?",
        rtol=0,
        atol=4e-3,
    )
    correct(f"The dimensions had 0 nats of total correlation, and have {expected:.3f} after a turn that loses nothing.")


def by_hand(information: float, correlation: float, wise: float, posterior: Tensor) -> None:
    """The three terms of a code of two bits, with an even prior, for a table ``(N, 2, 2)`` of posteriors.

    Raises:
        WrongAnswer: one of them is wrong; the message says which.
    """
    even = torch.full((2,), 0.5)
    expected = _decompose(posterior, even, even)
    hints = (
        "How much does the code tell on average about which image it came from, if two images share one code?",
        "Add the entropies of the two bits, and subtract that of the whole code.",
        "For each bit, how far is its entropy below log 2?",
    )
    names = ("by_hand_information", "by_hand_correlation", "by_hand_wise")
    for name, answer, value, hint in zip(names, (information, correlation, wise), expected, hints, strict=True):
        compare(
            name,
            answer,
            value,
            reveal=False,
            mistakes={
                "the unit is nats: use the natural logarithm.": value / math.log(2),
                "the sign is wrong: each of the three terms is a KL, and none is negative.": -value,
                "this is the mean over the two dimensions; the term is their sum.": value / 2,
                **{f"that is the {term}.": other for term, other in zip(TERMS, expected, strict=True)},
            },
            hint=hint,
            rtol=0,
            atol=4e-3,
        )
    correct(
        f"{' + '.join(f'{value:.3f}' for value in expected)} = {sum(expected):.3f}: "
        f"all of log 4, which is the KL of a certain code from an even prior."
    )


def decompose(function: Callable, seed: int = 0) -> None:
    """``decompose(posterior, prior_1, prior_2)``: the three terms for a discrete code of two dimensions, in nats.

    ``posterior`` is ``(N, K, L)``, each image's table sums to one; the priors are ``(K,)`` and ``(L,)``. The answer
    holds mutual information, total correlation and dimension-wise KL. Compared with loops over every entry.

    Raises:
        WrongAnswer: the answer is wrong; the message says which term, and how.
    """
    random = np.random.default_rng(seed)
    posterior = torch.tensor(random.dirichlet(np.ones(12), 5).reshape(5, 3, 4))
    priors = [torch.tensor(random.dirichlet(3 * np.ones(size))) for size in (3, 4)]
    expected = _decompose(posterior, *priors)
    found = several(function, call(function, posterior, *priors), 3, ", ".join(TERMS))
    aggregate = posterior.mean(0).numpy()
    marginals = aggregate.sum(1), aggregate.sum(0)
    ratio = np.log(aggregate) - np.log(np.outer(*marginals))
    apart = [float((q * np.log(q / p.numpy())).sum()) for q, p in zip(marginals, priors, strict=True)]
    reverse = [float((p.numpy() * np.log(p.numpy() / q)).sum()) for q, p in zip(marginals, priors, strict=True)]
    mistakes: Sequence[Mapping[str, Any]] = (
        {
            "the terms of the images are summed; the images are drawn evenly, so take their mean.": 5 * expected[0],
            "the logarithms are averaged over the cells; the expectation weights them by the posterior.": float(
                (posterior.log() - posterior.mean(0).log()).mean()
            ),
            "this is the KL to the prior; the mutual information compares with the aggregate posterior.": sum(expected),
            "the expectation is taken under the aggregate; it belongs to each image's own posterior.": float(
                (posterior.mean(0) * (posterior.log() - posterior.mean(0).log())).sum() / 5
            ),
        },
        {
            "the logarithms are averaged over the cells; the expectation weights them by q(z).": float(ratio.mean()),
            "this is the KL of q(z) to the prior, of which the total correlation is a part.": expected[1] + expected[2],
            "the expectation is taken under the product of the marginals; it belongs to q(z).": float(
                (np.outer(*marginals) * -ratio).sum()
            ),
            "the dependence inside each image's table is measured; the total correlation is that of the aggregate.": (
                _within(posterior)
            ),
        },
        {
            "the dimensions are averaged; the term is the sum over the dimensions.": expected[2] / 2,
            "this is the KL from the prior to q(z_j): in which of the two is the expectation taken?": sum(reverse),
            "only the first dimension is counted; sum over both.": apart[0],
            "only the second dimension is counted; sum over both.": apart[1],
            "this is the KL of the whole aggregate to the prior, total correlation included.": expected[1]
            + expected[2],
        },
    )
    for name, answer, value, wrong in zip(TERMS, found, expected, mistakes, strict=True):
        others = {f"that is the {term}.": other for term, other in zip(TERMS, expected, strict=True)}
        general = others | {
            "the sign is wrong: a KL is never negative.": -value,
            "the unit is nats.": value / math.log(2),
        }
        compare(f"The {name} of decompose(…)", answer, value, meaning="one number", mistakes={**wrong, **general})
    certain = torch.zeros(3, 2, 2, dtype=torch.double)
    certain[0, 0, 0] = certain[1, 0, 1] = certain[2, 1, 1] = 1
    even = torch.full((2,), 0.5, dtype=torch.double)
    again = several(function, call(function, certain, even, even), 3, ", ".join(TERMS))
    for name, answer, value in zip(TERMS, again, _decompose(certain, even, even), strict=True):
        if not np.isfinite(_number(answer)).all():
            raise WrongAnswer(
                f"The {name} of decompose(…) is NaN or infinite for a table with zeros: a probability of zero "
                "contributes 0 · log 0 = 0, as torch.xlogy has it."
            )
        compare(f"The {name} of decompose(…) for a table with zeros", answer, value, meaning="one number")
    correct(f"For a random table {' + '.join(f'{value:.3f}' for value in expected)} = {sum(expected):.3f} nats.")


def mss_log_weights(function: Callable, seed: int = 0) -> None:
    """``mss_log_weights(other, dataset_size)``: the logarithms of equation 8's weights, ``(B, B)``.

    ``other`` is ``(B,)`` and holds, for each row m, the column k that carries what the row lacks.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    random = np.random.default_rng(seed)
    for size, data in ((6, 50), (5, 5)):
        step = random.integers(1, size, size)
        rest = size - 1
        other = torch.tensor((np.arange(size) + step) % size)
        weights, whole = np.empty((size, size)), np.full((size, size), 1 / rest)
        for m in range(size):
            for i in range(size):
                weights[m, i] = 1 / data if i == m else (data - rest) / (data * rest) if i == other[m] else 1 / rest
        own = np.eye(size, dtype=bool)
        with_other = weights.copy()
        with_other[np.arange(size), other] = 1 / rest
        same_m = np.where(own, 1 / data, 1 / size)
        same_m[np.arange(size), other] = (data - size) / (data * size) if data > size else 1
        neighbour = np.where(own, 1 / data, whole)
        neighbour[np.arange(size), (np.arange(size) + 1) % size] = (data - rest) / (data * rest)
        stepped = neighbour.copy()  # a stride of M + 2 goes down the diagonal beside the first, which ends a row early
        stepped[-1, 0] = 1 / rest
        exchanged = weights.copy()
        exchanged[own], exchanged[np.arange(size), other] = (data - rest) / (data * rest), 1 / data
        mistakes = {
            "1/N and (N − M)/(NM) are exchanged: z's own posterior, on the diagonal, gets 1/N.": np.log(exchanged),
            "these are the weights; the logarithm is asked for.": weights,
            "each row sums to 1 + 1/N: no entry has the weight (N − M)/(NM).": np.log(with_other),
            "M is the number of the other posteriors, B − 1, and not B.": np.log(same_m),
            "rows and columns are exchanged: row m holds the weights for sample m.": np.log(weights.T),
            "the column k of each row is given in other; it need not be the next one.": np.log(neighbour),
            "these weights are unbiased, but not those of the equation, which gives one image k less.": np.log(
                np.where(own, 1 / data, (data - 1) / (data * rest))
            ),
            "these are the weights of MWS, whose rows sum to 1/N only.": np.full((size, size), -np.log(size * data)),
            "the diagonal has the weight of the others; z's own posterior gets 1/N.": np.log(
                np.where(own, 1 / rest, weights)
            ),
        }
        found = call(function, other, data)
        sums = _row_sums(found)
        name = f"{getattr(function, '__name__', 'mss_log_weights')}(…) with B = {size}, N = {data}"
        compare(
            name,
            found,
            np.log(weights),
            meaning="a row for each sample, a column for each posterior",
            mistakes=[
                *((sentence, np.log(wrong)) for sentence, wrong in _published_weights(size, data, other.numpy())),
                *mistakes.items(),
                ("the column k of each row is given in other; it need not be the next one.", np.log(stepped)),
            ],
            hint="" if sums == "1" else f"The rows of its exp sum to {sums}; each should sum to 1.",
            kind=Tensor,
        )
    correct(
        "The rows sum to 1, the diagonal holds 1/N, and each row has its remainder in the column that was asked for."
    )


def _published_weights(size: int, data: int, other: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """What the stride of the published code makes of the weights, of all of them or of one kind, with its sentence.

    A stride of M + 1 through the flattened matrix, whose rows have M + 1 entries, stays in one column.
    """
    rest, rows = size - 1, np.arange(size)
    own, remainder = 1 / data, (data - rest) / (data * rest)
    sentences = {
        (True, True): "that is the published mistake: a stride of M + 1 stays in one column, so that 1/N stands in the "
        "first and (N − M)/(NM) in the second. Print exp of your diagonal.",
        (True, False): "that is half of the published mistake: a stride of M + 1 stays in the first column, and 1/N "
        "belongs on the diagonal. Print exp of your diagonal.",
        (False, True): "that is half of the published mistake: a stride of M + 1 stays in the second column, and "
        "(N − M)/(NM) belongs into the column other[m] of row m.",
    }
    found = []
    for (first, second), sentence in sentences.items():
        places = [((rows, 0 if first else rows), own), ((rows, 1 if second else other), remainder)]
        for order, corner in itertools.product((places, places[::-1]), (False, True)):
            weights = np.full((size, size), 1 / rest)
            for place, value in order:
                weights[place] = value
            if corner:  # the last line of the published code sets this entry anew
                weights[rest - 1, 0] = remainder
            found.append((sentence, weights))
    return found


def log_aggregate(function: Callable, seed: int = 0) -> None:
    """``log_aggregate(z, mean, logvar, log_weights)``: log q(z) and log Π_j q(z_j) of each sample, both ``(B,)``.

    Compared with sums of densities in double precision, by SciPy; gradients have to reach z, mean and logvar, and codes
    of 400 dimensions must not underflow.

    Raises:
        WrongAnswer: the answer is wrong; the message says which of the two, and how.
    """
    torch.manual_seed(seed)
    B, D, data = 7, 3, 90
    mean, logvar = torch.randn(B, D), -1 + 0.5 * torch.randn(B, D)
    z = mean + (0.5 * logvar).exp() * torch.randn(B, D)
    for tensor in (z, mean, logvar):
        tensor.requires_grad_()
    log_weights = torch.randn(B, B).log_softmax(1) - math.log(2)
    names = ("log q(z)", "log Π q(z_j)")
    found = several(function, call(function, z, mean, logvar, log_weights), 2, " and ".join(names))

    codes, centres = z.detach().double().numpy(), mean.detach().double().numpy()
    scales = (0.5 * logvar.detach().double()).exp().numpy()
    weights = log_weights.double().exp().numpy()
    density = norm.pdf(codes[:, None], centres[None], scales[None])  # (sample, posterior, dimension)
    joint = np.log((weights * density.prod(2)).sum(1))
    product = np.log(np.einsum("mi,mij->mj", weights, density)).sum(1)
    marginal_mean = product / D
    unweighted = np.log(density.prod(2).sum(1)), np.log(density.sum(1)).sum(1)
    columns = (
        np.log((weights * density.prod(2)).sum(0)),
        np.log((weights[:, :, None] * density).sum(0)).sum(1),
    )
    switched = norm.pdf(codes[None], centres[:, None], scales[:, None])
    turned = (
        np.log((weights * switched.prod(2)).sum(1)),
        np.log(np.einsum("mi,mij->mj", weights, switched)).sum(1),
    )
    takes = "losses.gaussian_log_density takes the log-variance, and the posterior's is given."
    scaled = {
        f"σ is handed over as the log-variance: {takes}": np.exp(0.5 * scales),
        f"the variance is handed over as the log-variance: {takes}": np.exp(0.5 * scales**2),
        "the variance stands in the place of σ: a normal density takes σ, which is exp(logvar / 2).": scales**2,
    }
    of_scale: tuple[dict[str, np.ndarray], ...] = ({}, {})
    for sentence, scale in scaled.items():
        wrong = norm.pdf(codes[:, None], centres[None], scale[None])
        of_scale[0][sentence] = np.log((weights * wrong.prod(2)).sum(1))
        of_scale[1][sentence] = np.log(np.einsum("mi,mij->mj", weights, wrong)).sum(1)
    meaning = "one value a sample"
    swap = "the two are exchanged, which turns the sign of the total correlation: "
    both = (
        {
            swap + "log q(z) sums over the dimensions first, and takes logsumexp over posteriors then.": product,
            "the weights are missing.": unweighted[0],
            "the weights are transposed: a row is a sample, a column a posterior.": np.log(
                (weights.T * density.prod(2)).sum(1)
            ),
            "the weight is there D times, once a dimension: add it after the sum over the dimensions.": np.log(
                (weights**D * density.prod(2)).sum(1)
            ),
            "the sum runs over samples; it has to run over the posteriors, the columns of the weights.": columns[0],
            "z and the posteriors are exchanged: entry (m, i) is sample m under posterior i.": turned[0],
            "the densities of the dimensions are averaged; the posterior factorises, so sum their logarithms.": np.log(
                (weights * np.exp(np.log(density).mean(2))).sum(1)
            ),
            "this is the density under z's own posterior, q(z|n), and no average over images.": np.log(density)
            .sum(2)
            .diagonal(),
        },
        {
            "this is log q(z) again: take logsumexp over posteriors for each dimension, and sum over them after it.": (
                joint
            ),
            "the weights are transposed: a row is a sample, a column a posterior.": np.log(
                np.einsum("im,mij->mj", weights, density)
            ).sum(1),
            "the weights are missing: each of the D marginals is an average with the same weights.": unweighted[1],
            "the sum runs over samples; it has to run over the posteriors, the columns of the weights.": columns[1],
            "z and the posteriors are exchanged: entry (m, i) is sample m under posterior i.": turned[1],
            "the logarithms of the marginals are averaged over dimensions; a product needs their sum.": marginal_mean,
            "the marginals are summed before the logarithm; a product needs the sum of their logarithms.": np.log(
                np.einsum("mi,mij->mj", weights, density).sum(1)
            ),
        },
    )
    pairs = Normal(mean, (0.5 * logvar).exp()).log_prob(z[:, None])
    right = torch.logsumexp(log_weights + pairs.sum(2), 1), torch.logsumexp(log_weights[:, :, None] + pairs, 1).sum(1)
    assert all(np.allclose(as_array("", t), n, 1e-3, 1e-4) for t, n in zip(right, (joint, product), strict=True))
    for name, answer, value, *mistakes in zip(names, found, right, both, of_scale, strict=True):
        named = mistakes[0] | mistakes[1]
        compare(f"{name} of log_aggregate(…)", answer, value, meaning=meaning, mistakes=named, rtol=1e-3, atol=1e-4)
    inputs = ("z", z), ("mean", mean), ("logvar", logvar)
    for name, answer, value in zip(names, found, right, strict=True):
        gradient(f"{name} of log_aggregate(…)", answer, *inputs, expected=value)

    far = torch.randn(4, 400)
    even = -math.log(4) - 1_000 * torch.arange(4)[:, None].expand(4, 4)  # of each row another scale
    for name, answer in zip(
        names,
        several(function, call(function, far, far.flip(0), torch.zeros(4, 400), even), 2, " and ".join(names)),
        strict=True,
    ):
        if not np.isfinite(_number(answer)).all():
            raise WrongAnswer(
                f"{name} of log_aggregate(…) becomes infinite for 400 dimensions: "
                "exponentiate inside torch.logsumexp, which subtracts the maximum of each row first."
            )

    # The package computes the same by a product of matrices.
    mws = torch.full((B, B), -math.log(B * data))
    ours = kl_decomposition(z, mean, logvar, data, "mws").total_correlation.item()
    first, second = several(function, call(function, z, mean, logvar, mws), 2, " and ".join(names))
    theirs = float(np.mean(_number(first) - _number(second)))
    compare("The total correlation with the weights of MWS", theirs, ours, rtol=1e-3, atol=1e-3)
    correct(f"With the weights of MWS your total correlation of {B} codes is {theirs:.2f} nats, as the package's.")


def doubled(
    information: float, correlation: float, wise: float, before: KLDecomposition, after: KLDecomposition
) -> None:
    """By how much each term of one batch changes under MWS when N is doubled, predicted before the run.

    Raises:
        WrongAnswer: the run found another change of one of them; the message says which.
    """
    changes = [(b - a).item() for a, b in zip(before, after, strict=True)]
    dimensions = round(-changes[2] / math.log(2))
    log2 = math.log(2)
    names = ("shift_information", "shift_correlation", "shift_wise")
    special = (
        {},
        {
            "log q(z) holds log BN, too: count how often it is left after the subtraction.": dimensions * log2,
            "each of the D marginals holds log BN, and the joint density one.": log2,
        },
        {
            "each of the D marginals holds log BN, and all of them are summed.": -log2,
            "the prior takes no share of log BN: nothing is cancelled here.": -(dimensions - 1) * log2,
        },
    )
    for name, answer, change, mistakes in zip(names, (information, correlation, wise), changes, special, strict=True):
        compare(
            name,
            answer,
            change,
            reveal=False,
            mistakes={
                "the sign is wrong: a larger N makes log q(z) and each log q(z_j) smaller.": -change,
                "the estimate does depend on N, although the batch stays the same.": 0.0,
                f"the unit is nats: doubling counts log 2 ≈ {log2:.2f}, not 1.": change / log2,
                **mistakes,
            },
            hint="Write the term with the weight 1/(BN), and replace N by 2N.",
            rtol=0,
            atol=0.02,
        )
    correct(
        f"The total correlation rises by {dimensions - 1} log 2 = {changes[1]:.2f} nats, on the same codes, "
        f"and the sum of the three terms by {abs(sum(changes)):.2f}."
    )


def emptying_beta(answer: float, eigenvalues: Tensor, variance: float) -> None:
    """The smallest beta at which no dimension of the best linear beta-VAE carries information.

    Raises:
        WrongAnswer: it is another number.
    """
    values = eigenvalues.double().numpy()
    compare(
        "emptying_beta",
        answer,
        values.max() / variance,
        reveal=False,
        mistakes={
            "the variance of the likelihood is left out, which is not 1 here, or 2σ² stands where σ² belongs.": (
                values.max()
            ),
            "the product of beta and the variance has to reach the eigenvalue, so divide.": values.max() * variance,
            "at this beta the weakest dimension falls silent, and the others still speak.": values.min() / variance,
            "that is the sum of all eigenvalues; each dimension is decided by its own.": values.sum() / variance,
        },
        hint="When does max(0, ½ log λ/(βσ²)) vanish for the largest eigenvalue?",
        rtol=0,
        atol=0.02,
    )
    correct(
        f"Above {values.max() / variance:g} even the strongest direction costs more than it saves in reconstruction."
    )


def extra_loss(answer: float, loss_before: float, loss_after: float) -> None:
    """How much the loss of an empty code changes when beta goes from 30 to 60, predicted before the run.

    Raises:
        WrongAnswer: it is another number.
    """
    compare(
        "extra_loss",
        answer,
        30 * kl_divergence(Normal(0.0, 1.0), Normal(0.0, 1.0)),
        reveal=False,
        mistakes={
            "beta multiplies the KL only; the reconstruction does not double.": round(loss_before, 1),
        },
        hint="What is the KL of a posterior that equals the prior, and what does beta multiply?",
        atol=0.005,
    )
    correct(
        f"The run found {loss_before:.2f} and {loss_after:.2f} nats: "
        "the KL of an empty code is 0, so that no beta can charge for it."
    )


def weighted_loss(function: Callable, seed: int = 0) -> None:
    """``weighted_loss(reconstruction, information, correlation, wise, beta, tc_weight)``: a loss to be minimised.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    torch.manual_seed(seed)
    reconstruction, information, correlation, wise = (torch.rand(5) + 0.1 for _ in range(4))
    # First two prices that differ, neither of them 1 nor 1 more than 1: then each mistake has a result of its own.
    for beta, tc_weight in ((2.5, 5.0), (3.0, 3.0), (1.0, 6.0)):
        found = call(function, reconstruction, information, correlation, wise, beta, tc_weight)
        rest = information + wise
        kl = rest + correlation
        compare(
            f"weighted_loss(…, beta={beta:g}, tc_weight={tc_weight:g})",
            found,
            reconstruction + beta * information + tc_weight * correlation + beta * wise,
            meaning="one value for each code",
            mistakes={
                "the sign of the KL is that of the ELBO; a loss adds what it charges for.": reconstruction
                - beta * rest
                - tc_weight * correlation,
                "the total correlation is charged twice, by beta and by its own weight.": reconstruction
                + beta * (rest + correlation)
                + tc_weight * correlation,
                "both weights multiply the total correlation.": reconstruction
                + beta * rest
                + beta * tc_weight * correlation,
                "mutual information and dimension-wise KL are not weighted by beta.": reconstruction
                + rest
                + tc_weight * correlation,
                "the dimension-wise KL is not weighted by beta.": reconstruction
                + beta * information
                + tc_weight * correlation
                + wise,
                "the total correlation is not weighted by tc_weight.": reconstruction + beta * rest + correlation,
                "the dimension-wise KL is missing.": reconstruction + beta * information + tc_weight * correlation,
                "the two weights are exchanged.": reconstruction + tc_weight * rest + beta * correlation,
                "the mutual information is missing.": reconstruction + tc_weight * correlation + beta * wise,
                "the mutual information is not weighted by beta.": reconstruction
                + information
                + tc_weight * correlation
                + beta * wise,
                "beta multiplies all three terms; the total correlation costs tc_weight.": reconstruction + beta * kl,
                "tc_weight multiplies all three terms; only the total correlation has this price.": reconstruction
                + tc_weight * kl,
                "the total correlation costs tc_weight in all: beta KL and tc_weight − beta, not tc_weight − 1.": (
                    reconstruction + beta * kl + (tc_weight - 1) * correlation
                ),
                "the total correlation is charged once more, without a weight.": reconstruction
                + beta * rest
                + (1 + tc_weight) * correlation,
                "none of the three terms is weighted.": reconstruction + kl,
                "the reconstruction is missing.": beta * rest + tc_weight * correlation,
            },
        )
    correct("With equal weights it is the loss of a beta-VAE, with beta = 1 that of a beta-TCVAE.")


def smallest_weight(answer: int, correlation: float, variance: float) -> None:
    """The smallest whole weight of the total correlation, at beta = 1, whose best code has an empty dimension.

    Found again by a search over codes, with the linear algebra done by NumPy.

    Raises:
        WrongAnswer: it is another number.
    """
    # First, so that nonsense costs no search.
    answer = whole_number("smallest_weight", answer, 1, 100)
    with_tc = next(w for w in range(1, 101) if min(_best_code(correlation, variance, 1, w)) < 0.03)
    with_beta = next(w for w in range(1, 101) if min(_best_code(correlation, variance, w, w)) < 0.03)
    here = _best_code(correlation, variance, 1, answer)
    strong, weak = max(here), min(here)
    empty = "one dimension is empty, and so it is at a smaller weight"
    # The weight for a beta-VAE may also be reached by counting one too few: say what is seen, and only then why.
    hint = f"At {answer} the best code has {strong:.2f} and {weak:.2f} nats in its dimensions: " + (
        f"{empty}." if answer > with_tc else "none is empty yet."
    )
    if answer == with_beta:
        hint += " If you looked at a beta-VAE, whose beta multiplies all three terms: here beta stays 1."
    compare("smallest_weight", answer, with_tc, reveal=False, hint=hint)
    correct(f"At {answer} one dimension is left with {strong:.2f} nats and the other with {weak:.2f}.")


def _gaussian_total_correlation(covariance: Tensor) -> Tensor:
    """The KL from a Gaussian to the product of its marginals."""
    zero = torch.zeros(len(covariance))
    marginals = torch.diag(covariance.diagonal())
    return kl_divergence(MultivariateNormal(zero, covariance), MultivariateNormal(zero, marginals))


def _kl_to_standard(covariance: Tensor) -> Tensor:
    zero, identity = torch.zeros(len(covariance)), torch.eye(len(covariance))
    return kl_divergence(MultivariateNormal(zero, covariance), MultivariateNormal(zero, identity))


def _decompose(posterior: Tensor, prior_1: Tensor, prior_2: Tensor) -> tuple[float, float, float]:
    """The three terms of a discrete code, one entry of the table after the other."""
    q = posterior.double().numpy()
    priors = prior_1.double().numpy(), prior_2.double().numpy()
    whole = q.mean(0)
    first, second = whole.sum(1), whole.sum(0)
    information = correlation = wise = 0.0
    for k, row in enumerate(whole):
        for j, p in enumerate(row):
            for table in q:
                if table[k, j] > 0:
                    information += table[k, j] * math.log(table[k, j] / p) / len(q)
            if p > 0:
                correlation += p * math.log(p / (first[k] * second[j]))
    for marginal, prior in zip((first, second), priors, strict=True):
        wise += sum(a * math.log(a / b) for a, b in zip(marginal, prior, strict=True) if a > 0)
    return information, correlation, wise


def _within(posterior: Tensor) -> float:
    """The dependence of the two dimensions inside each image's table, averaged over the images."""
    product = posterior.sum(2, keepdim=True) * posterior.sum(1, keepdim=True)
    return float((posterior * (posterior / product).log()).sum((1, 2)).mean())


def _best_code(correlation: float, variance: float, beta: float, tc_weight: float) -> tuple[float, float]:
    """Nats in the two dimensions of the best code, over a grid, for two measurements of unit variance."""
    nats = np.linspace(0, 3, 121)
    first, second = np.meshgrid(nats, nats, indexing="ij")
    signal = 1 - np.exp(-2 * np.stack([first, second], -1))
    data = np.array([[1, correlation], [correlation, 1]])
    cross = data * np.sqrt(signal)[..., None, :]  # covariance of data and code
    code = cross * np.sqrt(signal)[..., :, None]
    code[..., [0, 1], [0, 1]] = 1
    a, b, c = code[..., 0, 0], code[..., 0, 1], code[..., 1, 1]
    determinant = a * c - b**2
    inverse = np.stack([np.stack([c, -b], -1), np.stack([-b, a], -1)], -2) / determinant[..., None, None]
    sse = 2 - np.einsum("...ij,...jk,...ik->...", cross, inverse, cross)
    total = -0.5 * np.log(determinant)
    loss = sse / (2 * variance) + beta * (first + second - total) + tc_weight * total
    best = np.unravel_index(np.argmin(loss), loss.shape)
    return float(first[best]), float(second[best])


def _number(value: Any) -> np.ndarray:
    """A value that has been compared before, as an array; NaN if it is none."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return np.asarray(np.nan)


def _row_sums(found: Any) -> str:
    """What the rows of the weights sum to, in words."""
    values = _number(found)
    with np.errstate(over="ignore"):
        sums = np.exp(values).sum(-1) if values.ndim else np.atleast_1d(values)
    return ", ".join(f"{value:.3g}" for value in np.unique(sums.round(4))[:4]) or "nothing"
