"""Priors: what they draw, how dense it is, and the layout of a code made of them."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.models import VAE, Categorical, CodePart, Conditional, LatentModel, Normal, Prior, Uniform, code_parts

N = 20_000


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_age(age: torch.Tensor, sex: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean and log-variance of a prior of two dimensions that depends on two columns."""
    return torch.stack([age, 2 * age + sex], 1), torch.stack([0.1 * age, -1.0 - sex], 1)


CONDITIONAL = Conditional(2, by_age, ("age", "sex"))
COLUMNS = {"age": torch.tensor([0.0, 1.0, -2.0]), "sex": torch.tensor([1, 0, 1])}


class TestNormal:
    def test_samples(self):
        codes = Normal(3).sample(N, seeded())
        assert (codes.shape, codes.dtype) == ((N, 3), torch.float32)
        assert codes.mean(0).tolist() == pytest.approx([0] * 3, abs=0.03)
        assert torch.cov(codes.T).flatten().tolist() == pytest.approx(torch.eye(3).flatten().tolist(), abs=0.03)

    def test_density(self):
        codes = torch.randn(7, 3, dtype=torch.float64, generator=seeded())
        expected = torch.distributions.Normal(0, 1).log_prob(codes).sum(1)
        torch.testing.assert_close(Normal(3).log_density(codes), expected)

    def test_a_walk_spans_three_deviations_around_nought(self):
        assert (Normal(2).limits, Normal(2).centre) == ((-3, 3), (0, 0))


class TestUniform:
    def test_samples(self):
        codes = Uniform(2, -1, 3).sample(N, seeded())
        assert (codes.shape, codes.dtype) == ((N, 2), torch.float32)
        assert -1 <= codes.min() < -0.99
        assert 2.99 < codes.max() <= 3
        for k in (0.25, 0.5, 0.75):  # a quarter of all below a quarter of the way
            assert (codes < -1 + 4 * k).float().mean(0).tolist() == pytest.approx([k] * 2, abs=0.015)
        assert torch.corrcoef(codes.T)[0, 1].abs() < 0.03

    def test_density(self):
        prior = Uniform(2, -1, 3)
        codes = torch.tensor([[0.0, 2.0], [-1.0, 3.0], [-1.1, 0.0], [0.0, 3.1], [math.nan, 0.0]])
        assert prior.log_density(codes).tolist() == pytest.approx([-math.log(16)] * 2 + [-math.inf] * 3)

    @given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 4), st.integers(0, 2**31))
    @settings(max_examples=60, deadline=None)
    def test_every_sample_lies_where_the_density_is_positive(self, low, span, size, seed):
        if not low < low + span:
            return
        prior = Uniform(size, low, low + span)
        assert prior.log_density(prior.sample(50, seeded(seed))).isfinite().all()

    @pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (0, math.nan), (-math.inf, 0), (0, math.inf)])
    def test_limits_that_are_none(self, low, high):
        with pytest.raises(ValueError, match="a uniform prior must rise between finite limits, got"):
            Uniform(1, low, high)

    def test_a_walk_goes_from_end_to_end(self):
        assert (Uniform(2, -1, 3).limits, Uniform(2, -1, 3).centre) == ((-1, 3), (1, 1))


class TestCategorical:
    def test_samples(self):
        codes = Categorical(4).sample(N, seeded())
        assert (codes.shape, codes.dtype) == ((N, 4), torch.float32)
        assert set(codes.unique().tolist()) == {0.0, 1.0}
        assert (codes.sum(1) == 1).all()
        assert codes.mean(0).tolist() == pytest.approx([0.25] * 4, abs=0.015)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool])
    def test_density(self, dtype):
        prior = Categorical(10)
        log = prior.log_density(torch.eye(10).to(dtype))
        assert log.tolist() == pytest.approx([-math.log(10)] * 10, rel=1e-6)
        assert log.exp().sum() == pytest.approx(1, rel=1e-5)  # of all that there are

    def test_what_is_no_category_is_impossible(self):
        codes = torch.tensor([[0.0, 0, 0], [1, 1, 0], [0.5, 0.5, 0], [2, -1, 0], [math.nan, 1, 0]])
        assert Categorical(3).log_density(codes).tolist() == [-math.inf] * 5

    def test_a_walk_starts_at_the_first(self):
        assert (Categorical(3).limits, Categorical(3).centre) == ((0, 1), (1, 0, 0))


class TestConditional:
    def test_samples_follow_their_row_of_the_columns(self):
        columns = {name: column.repeat_interleave(N) for name, column in COLUMNS.items()}
        codes = CONDITIONAL.sample(3 * N, seeded(), **columns).unflatten(0, (3, N))
        mean, logvar = by_age(**COLUMNS)
        for row in range(3):
            scale = (0.5 * logvar[row]).exp()
            assert ((codes[row].mean(0) - mean[row]) / scale).tolist() == pytest.approx([0, 0], abs=0.03)
            assert (codes[row].std(0) / scale).tolist() == pytest.approx([1, 1], abs=0.02)

    def test_density(self):
        codes, (mean, logvar) = torch.randn(3, 2, generator=seeded()), by_age(**COLUMNS)
        expected = torch.distributions.Normal(mean, (0.5 * logvar).exp()).log_prob(codes).sum(1)
        torch.testing.assert_close(CONDITIONAL.log_density(codes, **COLUMNS), expected)

    def test_a_function_of_columns_is_itself_and_has_no_density(self):
        prior = Conditional(2, lambda age: (torch.stack([age, -age], 1), None), ("age",))
        codes = prior.sample(3, seeded(), age=COLUMNS["age"])
        assert codes.tolist() == [[0, 0], [1, -1], [-2, 2]]
        with pytest.raises(ValueError, match="what is a function of age has no density"):
            prior.log_density(codes, age=COLUMNS["age"])

    def test_errors(self):
        with pytest.raises(ValueError, match="a code that depends on age, sex needs the column 'sex'"):
            CONDITIONAL.sample(3, age=COLUMNS["age"])
        with pytest.raises(ValueError, match="age: 3 values for 4 codes"):
            CONDITIONAL.sample(4, **COLUMNS)
        with pytest.raises(ValueError, match="age: 3 values for 2 codes"):
            CONDITIONAL.log_density(torch.zeros(2, 2), **COLUMNS)
        flat = Conditional(2, lambda age: (age, None), ("age",))  # would be spread over the dimensions without a word
        with pytest.raises(ValueError, match=r"given: its mean is \(3,\), expected \(3, 2\)"):
            flat.sample(3, age=COLUMNS["age"])
        spread = Conditional(1, lambda age: (age[:, None], torch.zeros(1)), ("age",))
        with pytest.raises(ValueError, match=r"given: its log-variance is \(1,\), expected \(3, 1\)"):
            spread.sample(3, age=COLUMNS["age"])


@pytest.mark.parametrize(
    ("prior", "columns"), [(Normal(2), {}), (Uniform(2, -1, 2), {}), (CONDITIONAL, {"age": 0.5, "sex": 1.0})]
)
def test_the_density_integrates_to_one(prior, columns):
    axis = torch.linspace(-9, 9, 1201, dtype=torch.float64)
    codes = torch.cartesian_prod(axis, axis)
    columns = {name: torch.full((len(codes),), value, dtype=torch.float64) for name, value in columns.items()}
    mass = prior.log_density(codes, **columns).exp().sum() * (axis[1] - axis[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=0.01)  # the edge of a uniform one falls between two points


@pytest.mark.parametrize("prior", [Normal(3), Uniform(3), Categorical(3)])
def test_samples_come_from_the_generator_alone(prior):
    before = torch.get_rng_state()
    a, b, c = prior.sample(5, seeded(1)), prior.sample(5, seeded(1)), prior.sample(5, seeded(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    torch.manual_seed(1)
    assert torch.equal(prior.sample(5), a)  # without one, from the global


@pytest.mark.parametrize("kind", [Normal, Uniform, Categorical])
def test_no_negative_number_of_dimensions(kind):
    with pytest.raises(ValueError, match="a prior has no -1 dimensions"):
        kind(-1)


PRIORS = st.one_of(
    st.builds(Normal, st.integers(0, 4)),
    st.builds(Uniform, st.integers(0, 3)),
    st.builds(Categorical, st.integers(0, 5)),
)


@given(st.dictionaries(st.sampled_from(["z", "category", "c1", "c2", "style"]), PRIORS, max_size=5))
def test_a_layout_has_no_gap_and_keeps_the_order(priors):
    parts = code_parts(**priors)
    assert [(part.name, part.prior) for part in parts] == [(n, p) for n, p in priors.items() if p.size]
    ends = [0, *(part.stop for part in parts)]
    assert [part.start for part in parts] == ends[:-1]
    assert ends == [0, *itertools.accumulate(p.size for p in priors.values() if p.size)]
    code = torch.arange(ends[-1])
    assert torch.equal(torch.cat([code[part.slice] for part in parts] or [code]), code)
    assert all(len(part.prior.centre) == part.stop - part.start for part in parts)


class _Mixed(LatentModel):
    """A model whose code has every kind of part."""

    latent_dim = 8

    def __init__(self):
        super().__init__({"channels": 1, "size": 8})
        self.weight = torch.nn.Parameter(torch.zeros(()))

    @property
    def code_layout(self):
        return code_parts(kind=Categorical(3), c=Uniform(2, 5, 6), style=Normal(1), content=CONDITIONAL)


class TestCodesOfAModel:
    def test_each_part_comes_from_its_prior(self):
        codes = _Mixed().sample_codes(3, seeded(), **COLUMNS)
        assert (codes.shape, codes.dtype) == ((3, 8), torch.float32)
        for part in _Mixed().code_layout:
            columns = {name: COLUMNS[name] for name in part.prior.columns}
            assert part.prior.log_density(codes[:, part.slice], **columns).isfinite().all(), part.name

    def test_the_parts_take_their_numbers_one_after_the_other(self):
        generator = seeded(4)
        parts = [(p.prior, {name: COLUMNS[name] for name in p.prior.columns}) for p in _Mixed().code_layout]
        expected = torch.cat([prior.sample(3, generator, **columns) for prior, columns in parts], 1)
        assert torch.equal(_Mixed().sample_codes(3, seeded(4), **COLUMNS), expected)

    def test_without_its_columns_nothing_is_drawn(self):
        with pytest.raises(ValueError, match="needs the column 'age'"):
            _Mixed().sample_codes(3)
        with pytest.raises(ValueError, match="sex: 3 values for 1 codes"):
            _Mixed().sample_codes(1, age=torch.zeros(1), sex=COLUMNS["sex"])

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_a_generator_of_the_cpu_gives_a_model_on_a_gpu_the_same_codes(self):
        here, there = _Mixed(), _Mixed().cuda()
        codes = there.sample_codes(3, seeded(), **{name: column.cuda() for name, column in COLUMNS.items()})
        assert codes.device.type == "cuda"
        torch.testing.assert_close(codes.cpu(), here.sample_codes(3, seeded(), **COLUMNS))

    def test_by_default_one_part_of_the_standard_normal_prior(self):
        assert VAE(latent_dim=3, size=16).code_layout == (CodePart("z", 0, Normal(3)),)


def test_a_prior_of_ones_own_needs_no_more_than_the_protocol():
    class Signs(Prior):
        size, limits = 2, (-1.0, 1.0)

        def sample(self, n, generator=None, device=None):
            return 2.0 * torch.randint(2, (n, 2), generator=generator, device=device) - 1

        def log_density(self, codes):
            return torch.where((codes.abs() == 1).all(1), -math.log(4), -torch.inf)

    class _Own(_Mixed):
        @property
        def code_layout(self):
            return code_parts(sign=Signs(), z=Normal(1))

    codes = _Own().sample_codes(40, seeded())
    assert {tuple(row) for row in codes[:, :2].tolist()} == {(a, b) for a in (-1, 1) for b in (-1, 1)}
    assert _Own().code_layout[0].prior.centre == (0, 0)
    assert F.relu(Signs().log_density(codes[:, :2])).sum() == 0
