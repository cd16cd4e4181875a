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
# (adversarial-vae-exercises)=
# # Exercises: adversarial VAE
#
# Seven exercises on the chapter {ref}`adversarial-vae`, 16 points, about an hour and a half. Each asks you to replace
# `...` or `raise NotImplementedError` by lines of your own; the cell after it checks your answer, and says in a sentence what is wrong
# with it or what follows from it. Run the notebook from the top. A check may be run as often as you like. All logarithms are natural ones.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% nbgrader={"grade": false, "grade_id": "adversarial-vae-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import numpy as np
import torch
import torch.nn.functional as F

from medlatent import losses
from medlatent.course import choose
from medlatent.course.exercises import adversarial_vae as check
from medlatent.data.phantoms import lesion
from medlatent.models import AdversarialVAE

settings = choose(
    {
        "ci": {"size": 32, "batch": 16},
        "laptop": {"size": 64, "batch": 32},
        "paper": {"size": 64, "batch": 256},
    },
    profile,
)
_ = torch.manual_seed(seed)

# %% [markdown] objectives=[2]
# (exercise-adversarial-vae-1)=
# ## Exercise 1: A critic who is sure
#
# *Predict, run and explain, 10 minutes, 2 points.* The discriminator gives a reconstruction $D(\hat x) = 0.01$. Two losses would make the generator
# raise that: $-\log D$, and $\log(1 - D)$. **Before you run the cell below**: what is the derivative of each in the *logit* $\ell$, where
# $D = 1 / (1 + e^{-\ell})$? Mind the signs. Then say to yourself which of the two a beginning generator learns from.

# %% nbgrader={"grade": false, "grade_id": "adversarial-vae-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
non_saturating = ...  # d(-log D) / dℓ
saturating = ...  # d log(1 - D) / dℓ
### BEGIN SOLUTION
non_saturating = -(1 - 0.01)
saturating = -0.01
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "adversarial-vae-1-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
logit = torch.logit(torch.tensor([0.01, 0.01])).requires_grad_()
both = losses.deception_loss(logit[0]) - losses.deception_loss(-logit[1])
both.backward()
found = logit.grad.tolist()
print(f"-log D: {found[0]:+.4f}     log(1 - D): {found[1]:+.4f}")

# %% nbgrader={"grade": true, "grade_id": "adversarial-vae-1-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.slopes(non_saturating, saturating, found)

# %% tags=["wrong-answer"] says="exchanged"
# The two forms are taken for each other.
non_saturating = -0.01
saturating = -0.99

# %% tags=["wrong-answer"] says="chain rule"
# The derivative is taken in D instead of the logit.
non_saturating = -100.0
saturating = -1 / 0.99

# %% tags=["wrong-answer"] says="a comma separates numbers"
# The decimal comma makes a pair of two numbers.
non_saturating = -0, 99

# %% tags=["wrong-answer"] says="sign"
# The losses are believed to rise with the logit.
non_saturating = 0.99
saturating = 0.01

# %% [markdown] objectives=[1]
# (exercise-adversarial-vae-2)=
# ## Exercise 2: The best discriminator, with unequal shares
#
# *Derive and implement, 15 minutes, 3 points.* The chapter shows the discriminator as many real images as reconstructions. Let a share $\pi$ of what it
# sees be real. At one image its expected loss is
#
# $$ \pi\, p \log(1 + e^{-\ell}) + (1 - \pi)\, q \log(1 + e^{\ell}) . $$
#
# Set the derivative in $\ell$ to zero, solve for $\ell$, and implement the result. It has to work where the densities are too small for a float.


# %% nbgrader={"grade": false, "grade_id": "adversarial-vae-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def optimal_logit(log_p, log_q, share):
    """The logit of the best discriminator, (N,).

    log_p and log_q are the log-densities (N,) of real and of reconstructed
    images; share is that of the real ones among what is shown, in (0, 1).
    """
    ### BEGIN SOLUTION
    return log_p - log_q + math.log(share / (1 - share))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "adversarial-vae-2-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.optimal_logit(optimal_logit)
### BEGIN HIDDEN TESTS
check.optimal_logit(optimal_logit, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="share of real ones is missing"
# The result for equal shares is used for all.
def optimal_logit(log_p, log_q, share):
    return log_p - log_q


# %% tags=["wrong-answer"] says="D itself"
# The probability is returned instead of its logit.
def optimal_logit(log_p, log_q, share):
    p, q = share * log_p.exp(), (1 - share) * log_q.exp()
    return p / (p + q)


# %% tags=["wrong-answer"] says="underflow"
# The densities are exponentiated, and underflow far from all images.
def optimal_logit(log_p, log_q, share):
    return torch.log(share * log_p.exp() / ((1 - share) * log_q.exp()))


# %% tags=["wrong-answer"] says="share of real images is taken for that of reconstructions"
# The log-odds have the wrong sign.
def optimal_logit(log_p, log_q, share):
    return log_p - log_q + math.log((1 - share) / share)


# %% tags=["wrong-answer"] says="changes log_p, which it was given"
# The argument is overwritten, so that whoever uses it next has another density.
def optimal_logit(log_p, log_q, share):
    log_p -= log_q
    log_p += math.log(share / (1 - share))
    return log_p


# %% tags=["wrong-answer"] says="expected"
# The log-densities are weighted by the shares, and no logit is formed.
def optimal_logit(log_p, log_q, share):
    return share * log_p - (1 - share) * log_q


# %% [markdown] objectives=[3]
# (exercise-adversarial-vae-3)=
# ## Exercise 3: The same numbers, another scale
#
# *Compute by hand, then run, 10 minutes, 2 points.* A program minimises
#
# $$ \text{mean} (\hat x - x)^2 + 6\, \mathrm{KL} - 1 \cdot \log D(\hat x) , $$
#
# where the mean is over all values of a colour image of 64×64 pixels. We read the paper's $\mathcal{L}_{rec}$ as a sum. With which beta and which adversarial
# weight beside a *sum* of squared errors does one get the same minimum?

# %% nbgrader={"grade": false, "grade_id": "adversarial-vae-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
equal_beta = ...
equal_weight = ...
### BEGIN SOLUTION
equal_beta = 6 * 3 * 64 * 64
equal_weight = 3 * 64 * 64
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "adversarial-vae-3-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.rescaled(equal_beta, equal_weight)

# %% tags=["wrong-answer"] says="other way round"
# The weights are divided instead of multiplied.
equal_beta = 6 / (3 * 64 * 64)
equal_weight = 1 / (3 * 64 * 64)

# %% tags=["wrong-answer"] says="channels"
# The channels are forgotten.
equal_beta = 6 * 64 * 64
equal_weight = 64 * 64

# %% tags=["wrong-answer"] says="without quotation marks"
# A number is given as a text, with which the cell below cannot calculate.
equal_beta = "73728"

# %% tags=["wrong-answer"] says="without it: 73728"
# The comma between the thousands makes a pair of two numbers.
equal_beta = 73, 728

# %% tags=["wrong-answer"] says="does matter"
# The scale is believed not to matter.
equal_beta = 6
equal_weight = 1

# %% [markdown]
# The next cell tries it: the gradients of the two losses must point in the same direction.

# %% nbgrader={"grade": false, "grade_id": "adversarial-vae-3-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(seed)
target = torch.rand(3, 64, 64)
picture = torch.rand(3, 64, 64, requires_grad=True)
code = torch.randn(4, requires_grad=True)
error = (picture - target).square()
rate, critic = 0.5 * code.square().sum(), F.softplus(-picture.mean())
slopes = []
for loss in (
    error.mean() + 6 * rate + critic,
    error.sum() + equal_beta * rate + equal_weight * critic,
):
    parts = torch.autograd.grad(loss, [picture, code], retain_graph=True)
    slopes.append(torch.cat([part.flatten() for part in parts]))
cosine = torch.cosine_similarity(*slopes, dim=0)
print(f"cosine of the two gradients: {cosine:.6f}")

# %% [markdown] objectives=[]
# (exercise-adversarial-vae-4)=
# ## Exercise 4: What a bottleneck costs
#
# *Compute by hand, then implement, 10 minutes, 2 points.* Count the trainable numbers of a bottleneck block of the chapter: 1×1 convolution from `inputs` to
# `width` channels, 4×4 from `width` to `width`, 1×1 from `width` to `outputs`, each without a bias and followed by a batch normalisation; a shortcut that
# changes the size of the image without weights, and has a 1×1 convolution from `inputs` to `outputs`, likewise without a bias and normalised. A batch normalisation trains a scale and a shift for each channel.


# %% nbgrader={"grade": false, "grade_id": "adversarial-vae-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def block_parameters(inputs, width, outputs):
    """The number of trainable values of a bottleneck block."""
    ### BEGIN SOLUTION
    convolutions = inputs * width + 16 * width**2 + width * outputs
    normalisations = 2 * (width + width + outputs)
    shortcut = inputs * outputs + 2 * outputs
    return convolutions + normalisations + shortcut
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "adversarial-vae-4-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.block_parameters(block_parameters)
### BEGIN HIDDEN TESTS
check.block_parameters(block_parameters, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="shortcut"
# The shortcut is believed to be free, as it is where no shape has to be changed.
def block_parameters(inputs, width, outputs):
    main = inputs * width + 16 * width**2 + width * outputs
    return main + 2 * (width + width + outputs)


# %% tags=["wrong-answer"] says="4×4"
# The middle convolution is taken for the 3×3 of He et al.
def block_parameters(inputs, width, outputs):
    main = inputs * width + 9 * width**2 + width * outputs
    norms = 2 * (width + width + outputs)
    return main + norms + inputs * outputs + 2 * outputs


# %% tags=["wrong-answer"] says="bias"
# A bias is counted for each convolution.
def block_parameters(inputs, width, outputs):
    main = (inputs + 1) * width + (16 * width + 1) * width
    main += (width + 1) * outputs + (inputs + 1) * outputs
    return main + 2 * (width + width + outputs) + 2 * outputs


# %% [markdown] objectives=[1]
# (exercise-adversarial-vae-5)=
# ## Exercise 5: One step of each player
#
# *Implement, 20 minutes, 3 points.* Write one update of {eq}`eq-adversarial-vae-3`. First a step of the generator on
# $\mathcal{L}_{gen}$, where $\mathcal{L}_{rec}$ is the squared error summed over the values of an image, and each term is averaged over the batch; the discriminator that judges
# $\hat x$ there is the one before its own step. Then a step of the discriminator on $\mathcal{L}_{disc}$, with the reconstructions that were made *before* the generator's step. No gradient of
# $\mathcal{L}_{disc}$ may reach the generator, and none of $\mathcal{L}_{gen}$ may be left in the discriminator. `losses.deception_loss` and
# `losses.discriminator_loss` take logits.


# %% nbgrader={"grade": false, "grade_id": "adversarial-vae-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def update(generator, discriminator, optimisers, images):
    """One step of each player; returns L_gen and L_disc, two scalars.

    generator(images) returns reconstructions (B, P) and L_prior, a scalar;
    discriminator(x) returns logits (B,); images are (B, P). optimisers holds
    the generator's and the discriminator's.
    """
    ### BEGIN SOLUTION
    rebuilt, prior = generator(images)
    error = (rebuilt - images).square().sum(1).mean()
    deceived = losses.deception_loss(discriminator(rebuilt)).mean()
    l_gen = error + prior + deceived
    optimisers[0].zero_grad()
    l_gen.backward()
    optimisers[0].step()

    real, fake = discriminator(images), discriminator(rebuilt.detach())
    l_disc = losses.discriminator_loss(real, fake).mean()
    optimisers[1].zero_grad()
    l_disc.backward()
    optimisers[1].step()
    return l_gen, l_disc
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "adversarial-vae-5-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.update(update)
### BEGIN HIDDEN TESTS
check.update(update, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="saturates"
# The generator minimises what the discriminator maximises, log(1 - D).
def update(generator, discriminator, optimisers, images):
    rebuilt, prior = generator(images)
    error = (rebuilt - images).square().sum(1).mean()
    l_gen = error + prior - F.softplus(discriminator(rebuilt)).mean()
    optimisers[0].zero_grad()
    l_gen.backward()
    optimisers[0].step()
    l_disc = losses.discriminator_loss(
        discriminator(images), discriminator(rebuilt.detach())
    ).mean()
    optimisers[1].zero_grad()
    l_disc.backward()
    optimisers[1].step()
    return l_gen, l_disc


# %% tags=["wrong-answer"] says="still in the discriminator"
# The discriminator's gradients are not cleared: it also descends the generator's loss.
def update(generator, discriminator, optimisers, images):
    rebuilt, prior = generator(images)
    error = (rebuilt - images).square().sum(1).mean()
    fooled = losses.deception_loss(discriminator(rebuilt)).mean()
    l_gen = error + prior + fooled
    optimisers[0].zero_grad()
    l_gen.backward()
    optimisers[0].step()
    l_disc = losses.discriminator_loss(
        discriminator(images), discriminator(rebuilt.detach())
    ).mean()
    l_disc.backward()
    optimisers[1].step()
    return l_gen, l_disc


# %% tags=["wrong-answer"] says="averaged over the values"
# The squared error is a mean over values, which makes the other terms weigh more.
def update(generator, discriminator, optimisers, images):
    rebuilt, prior = generator(images)
    error = (rebuilt - images).square().mean()
    fooled = losses.deception_loss(discriminator(rebuilt)).mean()
    l_gen = error + prior + fooled
    optimisers[0].zero_grad()
    l_gen.backward()
    optimisers[0].step()
    l_disc = losses.discriminator_loss(
        discriminator(images), discriminator(rebuilt.detach())
    ).mean()
    optimisers[1].zero_grad()
    l_disc.backward()
    optimisers[1].step()
    return l_gen, l_disc


# %% tags=["wrong-answer"] says="not one made after"
# The discriminator is shown what the generator makes after its step.
def update(generator, discriminator, optimisers, images):
    rebuilt, prior = generator(images)
    error = (rebuilt - images).square().sum(1).mean()
    fooled = losses.deception_loss(discriminator(rebuilt)).mean()
    l_gen = error + prior + fooled
    optimisers[0].zero_grad()
    l_gen.backward()
    optimisers[0].step()
    again = generator(images)[0].detach()
    l_disc = losses.discriminator_loss(
        discriminator(images), discriminator(again)
    ).mean()
    optimisers[1].zero_grad()
    l_disc.backward()
    optimisers[1].step()
    return l_gen, l_disc


# %% tags=["wrong-answer"] says="a gradient of L_disc reaches the generator"
# The graph is kept instead of cut, so that the discriminator's loss goes on into the generator.
def update(generator, discriminator, optimisers, images):
    rebuilt, prior = generator(images)
    error = (rebuilt - images).square().sum(1).mean()
    fooled = losses.deception_loss(discriminator(rebuilt)).mean()
    l_gen = error + prior + fooled
    optimisers[0].zero_grad()
    l_gen.backward(retain_graph=True)
    optimisers[0].step()
    l_disc = losses.discriminator_loss(
        discriminator(images), discriminator(rebuilt)
    ).mean()
    optimisers[1].zero_grad()
    l_disc.backward()
    optimisers[1].step()
    return l_gen, l_disc


# %% tags=["wrong-answer"] says="hand rebuilt.detach()"
# Nothing is cut or kept: PyTorch stops, and advises to keep the graph.
def update(generator, discriminator, optimisers, images):
    rebuilt, prior = generator(images)
    error = (rebuilt - images).square().sum(1).mean()
    fooled = losses.deception_loss(discriminator(rebuilt)).mean()
    l_gen = error + prior + fooled
    optimisers[0].zero_grad()
    l_gen.backward()
    optimisers[0].step()
    l_disc = losses.discriminator_loss(
        discriminator(images), discriminator(rebuilt)
    ).mean()
    optimisers[1].zero_grad()
    l_disc.backward()
    optimisers[1].step()
    return l_gen, l_disc


# %% tags=["wrong-answer"] says="leaves the discriminator's weights as they were"
# The discriminator never makes its step.
def update(generator, discriminator, optimisers, images):
    rebuilt, prior = generator(images)
    error = (rebuilt - images).square().sum(1).mean()
    fooled = losses.deception_loss(discriminator(rebuilt)).mean()
    l_gen = error + prior + fooled
    optimisers[0].zero_grad()
    l_gen.backward()
    optimisers[0].step()
    l_disc = losses.discriminator_loss(
        discriminator(images), discriminator(rebuilt.detach())
    ).mean()
    optimisers[1].zero_grad()
    l_disc.backward()
    return l_gen, l_disc


# %% tags=["wrong-answer"] says="still in the generator"
# The generator's gradients are never cleared.
def update(generator, discriminator, optimisers, images):
    rebuilt, prior = generator(images)
    error = (rebuilt - images).square().sum(1).mean()
    fooled = losses.deception_loss(discriminator(rebuilt)).mean()
    l_gen = error + prior + fooled
    l_gen.backward()
    optimisers[0].step()
    l_disc = losses.discriminator_loss(
        discriminator(images), discriminator(rebuilt.detach())
    ).mean()
    optimisers[1].zero_grad()
    l_disc.backward()
    optimisers[1].step()
    return l_gen, l_disc


# %% tags=["wrong-answer"] says="the optimisers are exchanged"
# The first optimiser is taken for the discriminator's.
def update(generator, discriminator, optimisers, images):
    rebuilt, prior = generator(images)
    error = (rebuilt - images).square().sum(1).mean()
    fooled = losses.deception_loss(discriminator(rebuilt)).mean()
    l_gen = error + prior + fooled
    optimisers[1].zero_grad()
    l_gen.backward()
    optimisers[1].step()
    l_disc = losses.discriminator_loss(
        discriminator(images), discriminator(rebuilt.detach())
    ).mean()
    optimisers[0].zero_grad()
    l_disc.backward()
    optimisers[0].step()
    return l_gen, l_disc


# %% tags=["wrong-answer"] says="return L_gen first"
# The losses are returned in the wrong order.
def update(generator, discriminator, optimisers, images):
    rebuilt, prior = generator(images)
    error = (rebuilt - images).square().sum(1).mean()
    fooled = losses.deception_loss(discriminator(rebuilt)).mean()
    l_gen = error + prior + fooled
    optimisers[0].zero_grad()
    l_gen.backward()
    optimisers[0].step()
    l_disc = losses.discriminator_loss(
        discriminator(images), discriminator(rebuilt.detach())
    ).mean()
    optimisers[1].zero_grad()
    l_disc.backward()
    optimisers[1].step()
    return l_disc, l_gen


# %% [markdown]
# The package's own model does the same on images. Which of the two networks has the easier task at the start? Compare both losses with their value
# for a discriminator that cannot tell, $\log 2$ and $2 \log 2$: the one whose loss falls below it is ahead.

# %% nbgrader={"grade": false, "grade_id": "adversarial-vae-5-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(seed)
model = AdversarialVAE(
    latent_dim=8, size=settings["size"], dataset_size=1_000, learning_rate=1e-3
)
batch = lesion.generate(settings["batch"], size=settings["size"]).batch(
    range(settings["batch"])
)
for step in range(6):
    terms = model.update(batch)
    print(
        f"step {step}: -log D(x̂) {terms['adversarial']:.2f},"
        f" L_disc {terms['discriminator']:.2f}"
    )

# %% [markdown] objectives=[4]
# (exercise-adversarial-vae-6)=
# ## Exercise 6: Two values for a factor
#
# *Implement, 10 minutes, 2 points.* $\mathrm{MIG}_{hf}$ needs factors with two values. Cut each factor at its own median: 1 for what lies above it, 0 for the rest. The check
# compares the MIG of the result with the package's.


# %% nbgrader={"grade": false, "grade_id": "adversarial-vae-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def halves(factors):
    """Which values lie above the median of their factor, (N, K) of 0 and 1.

    factors is an array (N, K): a row for each image, a column for each factor.
    """
    ### BEGIN SOLUTION
    return (factors > np.median(factors, axis=0)).astype(int)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "adversarial-vae-6-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.halves(halves)
### BEGIN HIDDEN TESTS
check.halves(halves, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="cut is at the mean"
# The cut is at the mean, so that a skewed factor has unequal halves.
def halves(factors):
    return (factors > factors.mean(0)).astype(int)


# %% tags=["wrong-answer"] says="one median for all factors"
# All factors are cut at the median of all numbers.
def halves(factors):
    return (factors > np.median(factors)).astype(int)


# %% tags=["wrong-answer"] says="have to be in a NumPy array"
# Lists are returned in the place of an array.
def halves(factors):
    return (factors > np.median(factors, axis=0)).astype(int).tolist()


# %% tags=["wrong-answer"] says="not above the median"
# The median itself is counted as above.
def halves(factors):
    return (factors >= np.median(factors, axis=0)).astype(int)


# %% tags=["wrong-answer"] says="changes factors, which it was given"
# The factors themselves are overwritten.
def halves(factors):
    for k in range(factors.shape[1]):
        factors[:, k] = factors[:, k] > np.median(factors[:, k])
    return factors


# %% [markdown] objectives=[5]
# (exercise-adversarial-vae-7)=
# ## Exercise 7: How far does it move?
#
# *Implement, 10 minutes, 2 points.* A knob is turned from many starting images, and quantities are measured on the decoded pictures. The chapter's measure of
# entanglement: the standard deviation of a quantity *along* a walk, averaged over the walks, divided by its standard deviation in the data. Either
# denominator of a standard deviation, $n$ or $n - 1$, is accepted.


# %% nbgrader={"grade": false, "grade_id": "adversarial-vae-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def movement(walks, data):
    """How far each quantity moves, as a share of its spread: (K,).

    walks is a tensor (W, P, K): walks, positions, quantities; data is (N, K).
    """
    ### BEGIN SOLUTION
    return walks.std(1).mean(0) / data.std(0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "adversarial-vae-7-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.movement(movement)
### BEGIN HIDDEN TESTS
check.movement(movement, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="own differences count"
# All pictures are pooled, so that the differences between the starting images count as movement.
def movement(walks, data):
    return walks.flatten(0, 1).std(0) / data.std(0)


# %% tags=["wrong-answer"] says="not divided"
# The spread of the data is forgotten: eccentricity and size have other units.
def movement(walks, data):
    return walks.std(1).mean(0)


# %% tags=["wrong-answer"] says="averaged first"
# The walks are averaged first.
def movement(walks, data):
    return walks.mean(0).std(0) / data.std(0)


# %% tags=["wrong-answer"] says="mean is over standard deviations"
# The variances are averaged over the walks before the root is taken.
def movement(walks, data):
    return walks.var(1).mean(0).sqrt() / data.std(0)


# %% tags=["wrong-answer"] says="look for a constant factor"
# The result is seven per cent too large.
def movement(walks, data):
    return 1.07 * walks.std(1).mean(0) / data.std(0)


# %% tags=["wrong-answer"] says="have to be in a tensor"
# A list of numbers is returned.
def movement(walks, data):
    return (walks.std(1).mean(0) / data.std(0)).tolist()


# %% tags=["wrong-answer"] says="changes walks, which it was given"
# The walks are divided where they stand.
def movement(walks, data):
    walks /= data.std(0)
    return walks.std(1).mean(0)
