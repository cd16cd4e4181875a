"""Checks of the exercises on metrics of disentanglement, ``notebooks/05_measuring_exercises``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats
from sklearn.metrics import mutual_info_score

from ...metrics.disentanglement import mig, modularity, mutual_information_matrix, sap
from .answers import WrongAnswer, as_array, call, compare, correct, numbers, whole_number

ANGLES = range(0, 90, 5)
GAP = 0.05  # nats, of exercise 6


def by_hand(
    entropy_of_factor: float,
    joint_entropy: float,
    information_1: float,
    information_2: float,
    gap: float,
    counts_1: np.ndarray,
    counts_2: np.ndarray,
) -> None:
    """Entropies, mutual informations and the gap of one binary factor, from two tables of counts, by SciPy.

    Raises:
        WrongAnswer: one of them is wrong; the message says which and how.
    """
    of_factor, joint = stats.entropy(counts_1.sum(0)), stats.entropy(counts_1, axis=None)
    of_code = [stats.entropy(counts.sum(1)) for counts in (counts_1, counts_2)]
    joints = [stats.entropy(counts, axis=None) for counts in (counts_1, counts_2)]
    information = [mutual_info_score(None, None, contingency=counts.astype(float)) for counts in (counts_1, counts_2)]
    right = (information[0] - information[1]) / of_factor
    bits = "that is in bits: the unit is nats, so take the natural logarithm."

    def expect(name: str, answer: Any, value: float, mistakes: dict[str, float], hint: str) -> None:
        sign = {"the sign is wrong: the logarithm of a probability is negative.": -value}
        compare(name, answer, value, reveal=False, mistakes=mistakes | sign, hint=hint, rtol=0, atol=0.002)

    expect(
        "entropy_of_factor",
        entropy_of_factor,
        of_factor,
        {
            bits: of_factor / math.log(2),
            "that is the entropy of z1: the factor's probabilities are the sums of the columns.": of_code[0],
        },
        "The factor has the probabilities {}/{count} and {}/{count}.".format(*counts_1.sum(0), count=counts_1.sum()),
    )
    expect(
        "joint_entropy",
        joint_entropy,
        joint,
        {
            bits: joint / math.log(2),
            "that is the sum of the two entropies, as if z1 and v were independent.": of_factor + of_code[0],
            "that is the joint entropy of z2 and v; the table of z1 is the left one.": joints[1],
        },
        "Sum -p log p over the cells of the left table that are not empty.",
    )
    for i, answer in enumerate((information_1, information_2)):
        expect(
            f"information_{i + 1}",
            answer,
            information[i],
            {
                bits: information[i] / math.log(2),
                f"that is H(z{i + 1} | v), what is left to know about the code: subtract it from H(z{i + 1}).": joints[
                    i
                ]
                - of_factor,
                f"that is H(v | z{i + 1}), what is left to know about the factor: subtract it from H(v).": joints[i]
                - of_code[i],
                "that is the information of the other dimension.": information[1 - i],
            },
            f"It is H(z{i + 1}) + H(v) - H(z{i + 1}, v), with each dimension's own table.",
        )
    expect(
        "gap",
        gap,
        right,
        {
            "it is not yet divided by the entropy of the factor.": information[0] - information[1],
            "the better dimension comes first: subtract what the second best knows.": -right,
            "what the second best dimension knows is not subtracted.": information[0] / of_factor,
            "it is divided by log 2; divide by H(v), which is smaller since the factor is not even.": right
            * of_factor
            / math.log(2),
            "it is divided by the joint entropy; divide by the entropy of the factor.": right * of_factor / joint,
        },
        "Subtract the two informations, and divide by H(v).",
    )
    correct(
        f"The gap is {right:.3f}, in nats as well as in bits: the unit cancels when it is divided by the entropy. "
        f"Alone, z1 would have {information[0] / of_factor:.3f}."
    )


def plug_in(function: Callable, seed: int = 0) -> None:
    """``plug_in(x, y)``: the mutual information of the relative frequencies of two arrays of whole numbers, in nats.

    Compared with scikit-learn.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    random = np.random.default_rng(seed)
    # Labels that are negative and are taken for indices meet the largest ones: -3 meets 9, and -1 meets 5.
    names = np.array([-3, 0, 1, 9, 11])
    mixed = random.choice(5, size=240, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    noisy = np.where(random.random(240) < 0.7, mixed // 2, random.integers(2, size=240))
    grid = np.stack(np.meshgrid(names, np.arange(3)), -1).reshape(-1, 2)
    cases = (
        ("a code and a factor that depend on each other", names[mixed], noisy * 3 - 1),
        ("a code that is the factor", names[mixed], names[mixed]),
        ("a code in all combinations with the factor", *grid.T),
    )
    for what, x, y in cases:
        found = _quiet(function, x, y)
        if np.isnan(as_array("plug_in(…)", found)).any():
            raise WrongAnswer(
                f"plug_in(…) is NaN for {what}: a pair of labels that never occurs has 0 · log 0, and counts as 0."
            )
        right = mutual_info_score(x, y)
        _, cell, count = np.unique(np.stack([x, y], 1), axis=0, return_inverse=True, return_counts=True)
        cell = np.ravel(cell)
        p = count[cell] / len(x)  # of each image's own cell
        p_x, p_y = (_frequency(v) for v in (x, y))
        ratio = np.log(p / (p_x * p_y))
        values = len(np.unique(x)) * len(np.unique(y))
        wrapped = mutual_info_score(x % (x.max() + 1), y % (y.max() + 1))
        compare(
            f"plug_in(…) for {what}",
            found,
            right,
            meaning="one number",
            mistakes={
                "that is the sum of p log p: divide by the product of the marginals inside the logarithm.": np.log(
                    p
                ).mean(),
                "that is the joint entropy: divide by the product of the marginals inside the logarithm.": -np.log(
                    p
                ).mean(),
                "the logarithm is to base 2; the unit is nats.": right / math.log(2),
                "the sum over images has the weight p(x, y), too, so that frequent cells are counted twice.": (
                    p * ratio
                ).sum(),
                "the mean over images has the weight p(x, y), too, so that frequent cells are counted twice.": (
                    p * ratio
                ).mean(),
                "the sum over images is not divided by their number.": ratio.sum(),
                "the logarithm is not weighted by p(x, y): each cell counts alike.": _over_cells(ratio, cell).sum(),
                "the cells are averaged; an expectation is the sum of p times the logarithm.": right / values,
                "only one of the two marginals is in the ratio, the code's.": np.log(p / p_x).mean(),
                "only one of the two marginals is in the ratio, the factor's.": np.log(p / p_y).mean(),
                "the ratio is upside down.": -right,
                "a negative label counts from the end of the table: number the labels first, as by np.unique.": wrapped,
            },
            atol=1e-6,
        )
    x, y = cases[0][1:]
    correct(
        f"It agrees with scikit-learn: {mutual_info_score(x, y):.3f} nats where the two depend on each other, "
        "the entropy where they are the same, 0 where all combinations occur alike."
    )


def images_needed(answer: int) -> None:
    """The number of images at which the bias of 20 bins and 7 classes is 0.01 nats; seen on independent labels.

    Raises:
        WrongAnswer: it is another number.
    """
    bins, classes, bias = 20, 7, 0.01
    needed = (bins - 1) * (classes - 1) / (2 * bias)
    compare(
        "images_needed",
        whole_number("images_needed", answer, 1, 10**7),
        needed,
        reveal=False,
        mistakes={
            "the bias counts A minus one and B minus one, not A and B.": bins * classes / (2 * bias),
            "the bias counts B minus one classes, not B.": (bins - 1) * classes / (2 * bias),
            "the bias counts A minus one bins, not A.": bins * (classes - 1) / (2 * bias),
            "the 2 in the denominator is missing.": 2 * needed,
            "the 2 belongs into the denominator, together with the bias.": 4 * needed,
        },
        hint=f"Put the bias equal to {bias}, and solve for N.",
        rtol=0,
        atol=1,
    )
    count, random = round(needed), np.random.default_rng(0)
    found = np.mean(
        [mutual_info_score(random.integers(bins, size=count), random.integers(classes, size=count)) for _ in range(20)]
    )
    correct(f"With {count} images, 20 draws of independent labels have a mean estimate of {found:.4f} nats.")


def gaps(function: Callable, seed: int = 0) -> None:
    """``gaps(information, entropy)``: from ``(D, K)`` and ``(K,)`` to each factor's gap, ``(K,)``, nothing changed.

    Compared with loops; the mean of the gaps of a noisy code with the package's MIG.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    random = np.random.default_rng(seed)
    # The square one first: there a wrong axis goes unnoticed by NumPy.
    for shape in ((4, 4), (5, 3), (2, 4)):
        information, entropy = random.uniform(0.02, 0.6, shape), random.uniform(0.7, 2.0, shape[1])
        found = _quiet(function, information, entropy)
        right = np.empty(shape[1])
        for k, column in enumerate(information.T.tolist()):
            best = column.pop(int(np.argmax(column)))
            right[k] = (best - max(column)) / entropy[k]
        mistakes = {
            "it is not yet divided by the entropies of the factors.": right * entropy,
            "the largest value is taken alone: subtract the second largest.": information.max(0) / entropy,
            "the smallest value is subtracted: sort, and take the second largest.": np.ptp(information, axis=0)
            / entropy,
            "the first two rows are compared; sort the dimensions of each factor first.": (
                information[0] - information[1]
            )
            / entropy,
            "the last two rows are compared; sort the dimensions of each factor first.": (
                information[-1] - information[-2]
            )
            / entropy,
            "the first two rows are compared, in size; sort the dimensions of each factor first.": np.abs(
                information[0] - information[1]
            )
            / entropy,
            "the mean is taken already; return one gap for each factor.": right.mean(),
            "every gap is divided by the largest entropy; each factor has its own.": right * entropy / entropy.max(),
        }
        across = np.sort(information.reshape(shape[::-1]), axis=1)
        reshaped = (across[:, -1] - across[:, -2]) / entropy
        if shape[0] == shape[1]:
            mistakes[
                "the gap is taken along the wrong axis, between two factors of one dimension; "
                "it is between two dimensions, the rows."
            ] = reshaped
        else:
            mistakes[
                "the matrix is reshaped, which puts information of different factors into one row; transpose it, by .T."
            ] = reshaped
        compare(
            f"gaps(…) for {shape[0]} dimensions and {shape[1]} factors",
            found,
            right,
            meaning="one gap for each factor",
            mistakes=mistakes,
            kind=np.ndarray,
        )
    factors = random.integers(4, size=(2_000, 3))
    codes = np.c_[factors[:, ::-1] + 0.4 * random.standard_normal((2_000, 3)), random.standard_normal(2_000)]
    known = mutual_information_matrix(codes, factors)
    yours = as_array("gaps(…)", _quiet(function, known.mutual_information, known.factor_entropy)).mean()
    compare("The mean of gaps(…) on a noisy code", yours, mig(codes, factors).score)
    correct(f"The mean of your gaps is the package's MIG: {yours:.3f} for three factors with noise, in another order.")


def modularity_of(function: Callable, seed: int = 0) -> None:
    """``modularity_of(information)``: the Modularity of a dimension from its ``(K,)``; 0 for a dead one.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    random = np.random.default_rng(seed)
    for factors in (4, 2, 7):
        information = random.uniform(0.05, 0.9, factors)
        largest = max(information.tolist())
        rest = [value for value in information.tolist() if value != largest]
        squares, plain = sum(value**2 for value in rest), sum(rest)
        share = squares / largest**2
        compare(
            f"modularity_of(…) for {factors} factors",
            _quiet(function, information),
            1 - share / (factors - 1),
            meaning="one number",
            mistakes={
                "the sum is divided by K; the others are K - 1.": 1 - share / factors,
                "the sum over the other factors is not divided by K - 1.": 1 - share,
                "the informations are not squared.": 1 - plain / (largest * (factors - 1)),
                "the sum holds the best factor, too, which has to be left out.": 1 - (share + 1) / (factors - 1),
                "the sum holds the best factor, too, and is divided by K; the others are K - 1.": 1
                - (share + 1) / factors,
                "that is the share of the others; subtract it from 1.": share / (factors - 1),
                "the largest information is not squared.": 1 - squares / (largest * (factors - 1)),
                "the squares are not divided by the largest square.": 1 - squares / (factors - 1),
            },
        )
    dead = _quiet(function, np.zeros(4))
    if np.isnan(as_array("modularity_of(…)", dead)).any():
        raise WrongAnswer("modularity_of(…) is NaN for a dead dimension, which knows nothing: there it should be 0.")
    compare("modularity_of(…) for a dead dimension", dead, 0.0, meaning="one number")
    single = as_array("modularity_of(…)", _quiet(function, np.array([0.0, 0.3, 0.0])))
    compare("modularity_of(…) for a dimension that knows one factor only", single, 1.0, meaning="one number")
    correct("A dimension that knows one factor only has 1, one that knows all alike has 0, and so has a dead one.")


def predicted(duplicated: Sequence[float], dead: Sequence[float], factors: np.ndarray) -> None:
    """MIG, Modularity and SAP of a perfect code with a copy of its first dimension, and with a constant.

    Raises:
        WrongAnswer: one of them differs from what the package finds; the message says which.
    """
    count = factors.shape[1]
    share = (count - 1) / count
    fourth = {"duplicated": factors[:, 0], "dead": np.zeros(len(factors))}
    found = {}
    for name, column in fourth.items():
        codes = np.c_[factors, column]
        found[name] = (
            mig(codes, factors).score,
            modularity(codes, factors).score,
            sap(codes, factors, kind="continuous").score,
        )
    gap = {
        "two dimensions know it alike: of one factor the best and the second best are now the same.": 1.0,
        "only one factor loses its gap; the score is the mean over the factors.": 0.0,
        "the score is a mean over the factors, and their number has not changed.": count / (count + 1),
        "one factor of all loses its gap, the others keep theirs.": 1 - share,
    }
    whole = "the score is a mean over the factors, and the best dimension of each is what it was."
    lower = {whole: count / (count + 1), f"{whole[:-1]}, and so is the second best.": share}
    alone = "it looks at one dimension at a time, and never two dimensions together: the copy knows one factor only."
    mistakes = {
        "duplicated": (
            gap,
            {alone: share, f"{alone[:-1]}, as the original.": count / (count + 1)},
            gap,
        ),
        "dead": (
            lower,
            {
                "a dead dimension has 0, and all dimensions count.": 1.0,
                "the score is a mean over dimensions, of which there are more than factors.": share,
            },
            lower,
        ),
    }
    for name, answer in (("duplicated", duplicated), ("dead", dead)):
        variable = f"scores_{name}"
        metrics = ("MIG", "Modularity", "SAP")
        values = numbers(variable, answer, metrics)
        for metric, value, right, wrong in zip(metrics, values, found[name], mistakes[name], strict=True):
            compare(
                f"{variable}, {metric}",
                value,
                right,
                reveal=False,
                mistakes=wrong,
                hint="Which dimensions, or which factors, does its formula compare, and over what is the mean?",
                rtol=0,
                atol=0.01,
            )
    correct(
        f"With a copy MIG and SAP fall by one factor's share, to {found['duplicated'][0]:.2f}, and Modularity stays; "
        f"with a dead dimension Modularity alone falls, to {found['dead'][1]:.2f}."
    )


def rotate(function: Callable, seed: int = 0) -> None:
    """``rotate(codes, degrees)``: codes ``(N, 2)`` turned counter-clockwise.

    Compared with the product of complex numbers.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    codes = np.random.default_rng(seed).standard_normal((6, 2))

    def turned(angle: float) -> np.ndarray:
        number = (codes[:, 0] + 1j * codes[:, 1]) * np.exp(1j * angle)
        return np.stack([number.real, number.imag], 1)

    for degrees in (30, 90, -75):
        angle = math.radians(degrees)
        compare(
            f"rotate(…, {degrees})",
            call(function, codes, degrees),
            turned(angle),
            meaning="a row for each image, a column for each dimension",
            mistakes={
                "the codes turn in the other direction: look at the sign of the sine.": turned(-angle),
                "cosine and sine take radians: convert the degrees.": turned(degrees),
                "cosine and sine take radians, and the codes turn in the other direction.": turned(-degrees),
                "the two dimensions are exchanged.": turned(angle)[:, ::-1],
                "nothing is turned.": codes,
            },
            kind=np.ndarray,
        )
    correct("Lengths and angles between codes are kept, so that nothing is lost: turning back restores them.")


def tilted_code(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two standard normal factors and a code, the two of them turned: codes and factors, ``(count, 2)`` each."""
    factors = np.random.default_rng(seed).standard_normal((count, 2))
    return _turned(factors, 25), factors


def angles(least: int, best: int, codes: np.ndarray, factors: np.ndarray) -> None:
    """The angles, of 0 to 85 in steps of 5, by which codes are turned to the least and to the greatest MIG.

    Raises:
        WrongAnswer: one of them is another angle; the message says which.
    """
    answers = {"least_angle": least, "best_angle": best}
    for name, answer in answers.items():
        answers[name] = whole_number(name, answer, ANGLES[0], ANGLES[-1])
    score = {angle: mig(_turned(codes, angle), factors).score for angle in ANGLES}
    low, high = min(score, key=score.get), max(score, key=score.get)
    if (answers["least_angle"], answers["best_angle"]) == (high, low):
        raise WrongAnswer(
            "least_angle and best_angle are exchanged: the MIG is high where each dimension has a factor."
        )
    for name, right, mistakes in (
        (
            "least_angle",
            low,
            {"45 degrees mix an aligned code most, but this one was turned already when it came.": 45},
        ),
        ("best_angle", high, {"the code was turned already when it came, so that it is not aligned at 0.": 0}),
    ):
        answer = answers[name]
        at = score.get(answer)
        hint = "Only multiples of 5 are asked for." if at is None else f"At {answer} degrees the MIG is {at:.3f}."
        compare(name, answer, right, reveal=False, mistakes=mistakes, hint=hint, rtol=0, atol=0.1)
    correct(
        f"The MIG is {score[low]:.3f} at {low} and {score[high]:.3f} at {high} degrees, "
        f"{abs(high - low)} degrees apart, on codes that tell exactly the same."
    )


def one_versus_all(function: Callable, entropies: Callable, seed: int = 0) -> None:
    """``one_versus_all(labels)``, from ``(N,)`` to ``(N, C)``, and ``entropies(factors)``, from ``(N, C)`` to ``(C,)``.

    Raises:
        WrongAnswer: one of them is wrong; the message says which and how.
    """
    random = np.random.default_rng(seed)
    names = np.array(["mel", "nv", "bcc", "vasc"])
    # All classes occur, and the first to occur is not the first of the alphabet.
    labels = np.r_[names, random.choice(names, size=60, p=[0.2, 0.6, 0.1, 0.1])]
    classes = sorted(set(labels.tolist()))
    right = np.array([[float(label == name) for name in classes] for label in labels.tolist()])
    appearance = [classes.index(name) for name in dict.fromkeys(labels.tolist())]
    number = right.argmax(1).astype(float)
    compare(
        "one_versus_all(…)",
        call(function, labels),
        right,
        meaning="a row for each image, a column for each class",
        mistakes={
            "the classes stand in the order in which they occur; they should be sorted.": right[:, appearance],
            "rows and columns are exchanged: images are rows, classes columns.": right.T,
            "the classes are numbered, which is one factor with many values; make a column for each class.": number,
            "1 and 0 are exchanged: 1 marks the class.": 1 - right,
            "each class has the number of its column, expected 1.": right * np.arange(len(classes)),
        },
        hint="Compare each label with each name of np.unique(labels).",
        kind=np.ndarray,
    )
    p = right.mean(0)
    nats = np.array([stats.entropy([share, 1 - share]) for share in p])
    compare(
        "entropies(…)",
        call(entropies, right),
        nats,
        meaning="one entropy for each factor",
        mistakes={
            "only the class itself is counted; all others are the second value, with 1 - p.": -p * np.log(p),
            "only the others are counted; the class itself is missing.": -(1 - p) * np.log(1 - p),
            "the logarithm is to base 2; the unit is nats.": nats / math.log(2),
            "that is the entropy of all classes together; each column has its own.": stats.entropy(p),
            "that is the variance of each factor, p (1 - p).": p * (1 - p),
        },
        kind=np.ndarray,
    )
    compare(
        "entropies(…) of your own factors",
        call(entropies, call(function, labels)),
        nats,
        meaning="one entropy for each factor",
    )
    correct(
        f"The entropies of {len(classes)} classes sum to {nats.sum():.2f} nats, more than the "
        f"{stats.entropy(p):.2f} of the diagnosis: the factors depend on each other."
    )


def weight_ratio(answer: float, labels: np.ndarray) -> None:
    """How many times as much the same gap adds to MIG_p for ``df`` as for ``nv``, each against all others.

    Raises:
        WrongAnswer: it is another number.
    """
    count = {name: int((labels == name).sum()) for name in ("df", "nv")}
    share = {name: count[name] / len(labels) for name in count}
    entropy = {name: stats.entropy([p, 1 - p]) for name, p in share.items()}
    right = entropy["nv"] / entropy["df"]
    alone = {name: -p * math.log(p) for name, p in share.items()}
    compare(
        "weight_ratio",
        answer,
        right,
        reveal=False,
        mistakes={
            "that is upside down: the smaller entropy makes the larger share.": 1 / right,
            "those are the frequencies; the gap is divided by the entropy.": count["nv"] / count["df"],
            "the two do not count alike: each gap is divided by its own entropy first.": 1.0,
            "all others are a value of the factor, too: the entropy has two terms.": alone["nv"] / alone["df"],
        },
        hint=f"Divide {GAP} by the entropy of each of the two factors.",
        rtol=6e-3,
    )
    correct(
        f"{right:.1f} times: {GAP} nats are {GAP / entropy['df']:.2f} of what there is to know about df, "
        f"{count['df']} images, and {GAP / entropy['nv']:.2f} of what there is about nv, {count['nv']} images."
    )


def _quiet(function: Callable, *args: Any) -> Any:
    """What a student's function returns, without NumPy's warnings of 0/0, of which the check's message speaks."""
    with np.errstate(all="ignore"):
        return call(function, *args)


def _frequency(labels: np.ndarray) -> np.ndarray:
    """How frequent each image's own label is."""
    _, inverse, count = np.unique(labels, return_inverse=True, return_counts=True)
    return count[inverse] / len(labels)


def _over_cells(values: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """One value for each cell that occurs, from those of the images in it."""
    return np.bincount(cell, values) / np.bincount(cell)


def _turned(codes: np.ndarray, degrees: float) -> np.ndarray:
    """Codes turned counter-clockwise."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return codes @ np.array([[c, s], [-s, c]])
