"""Plans: what they expand to, what they refuse, and that every record is a job of its chapter's plan."""

import functools
import json
import pickle
import re
import textwrap
from pathlib import Path

import pytest

from medlatent import plans
from medlatent.plans import OPTIONAL, REQUIRED, Job, Plan
from medlatent.runs import build

RESULTS = Path(__file__).resolve().parents[1] / "results"
ENTRY = {
    "profile": "ci",
    "name": "{system}_{seed}",
    "systems": ["VAE", "BetaVAE"],
    "seeds": [3, 1],
    "data": "phantoms.lesion",
    "steps": 100,
    "batch_size": 8,
}


def toml(entry: dict, head: str = "[[runs]]") -> str:
    """A table of a plan. JSON's text, numbers, lists and booleans are TOML's, too; tables are written inline."""

    def value(of) -> str:
        if isinstance(of, dict):
            return "{ " + ", ".join(f"{key} = {value(v)}" for key, v in of.items()) + " }"
        return json.dumps(of)

    return "\n".join([head, *(f"{key} = {value(v)}" for key, v in entry.items())]) + "\n"


@pytest.fixture
def write(tmp_path):
    """Writes a plan and returns its path: text, or what is other in ENTRY."""

    def written(text: str | None = None, **change) -> Path:
        path = tmp_path / "scratch/plan.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(toml(ENTRY | change) if text is None else text, encoding="utf-8")
        return path

    return written


def test_a_mark_that_an_editor_wrote_first_is_passed_over(write):
    assert len(Plan.read(write("\ufeff" + toml(ENTRY))).runs) == 4


def test_an_entry_is_its_systems_and_seeds(write):
    plan = Plan.read(write())
    assert plan.slug == "scratch"
    assert [(job.name, job.system, job.seed) for job in plan.jobs()] == [
        ("vae_3", "VAE", 3),
        ("vae_1", "VAE", 1),
        ("betavae_3", "BetaVAE", 3),
        ("betavae_1", "BetaVAE", 1),
    ]
    assert plan.runs[0] == Job(
        slug="scratch",
        name="vae_3",
        profile="ci",
        system="VAE",
        settings={},
        source="phantoms.lesion",
        n=None,
        data_seed=0,
        split="train",
        judged_on="test",
        seed=3,
        steps=100,
        batch_size=8,
        precision="float32",
        threads=1,
        keep="weights",
        measure_at=(100,),
    )
    assert pickle.loads(pickle.dumps(plan.runs)) == plan.runs


def test_everything_that_an_entry_may_say(write):
    job, other = Plan.read(
        write(
            name="{profile}_{system}_b{beta}_{likelihood}-{seed}",
            systems=["BetaTCVAE"],
            images=50,
            data_seed=7,
            split="train+validation",
            set={"beta": 0.5, "likelihood": "bernoulli", "learning_rate": 1e-3},
            precision="auto",
            threads=2,
            weights=[1],
            measures=3,
        )
    ).runs
    assert (job.name, other.name) == ("ci_betatcvae_b0.5_bernoulli-3", "ci_betatcvae_b0.5_bernoulli-1")
    assert (job.keep, other.keep) == ("observed", "weights")
    assert job.settings == {"beta": 0.5, "likelihood": "bernoulli", "learning_rate": 1e-3}
    assert (job.n, job.data_seed, job.split, job.precision, job.threads) == (50, 7, "train+validation", "auto", 2)
    assert job.measure_at == (33, 67, 100)


def test_defaults_hold_where_an_entry_says_nothing(write):
    common = {"seeds": [0], "batch_size": 4, "steps": 10, "set": {"learning_rate": 0.1, "latent_dim": 4}}
    runs = [
        {"profile": "ci", "name": "a", "systems": ["VAE"], "data": "mnist.digits"},
        {"profile": "paper", "name": "b", "systems": ["VAE"], "data": "mnist", "steps": 99, "set": {"latent_dim": 8}},
    ]
    first, second = Plan.read(write(toml(common, "[defaults]") + toml(runs[0]) + toml(runs[1]))).runs
    assert (first.steps, first.batch_size, first.settings) == (10, 4, {"learning_rate": 0.1, "latent_dim": 4})
    assert (second.steps, second.batch_size, second.settings) == (99, 4, {"learning_rate": 0.1, "latent_dim": 8})


@pytest.mark.parametrize(
    ("measures", "steps"),
    [(1, (100,)), (4, (25, 50, 75, 100)), ([10, 50], (10, 50, 100)), ([100, 1], (1, 100)), (100, tuple(range(1, 101)))],
)
def test_where_a_run_is_measured(write, measures, steps):
    assert Plan.read(write(measures=measures)).runs[0].measure_at == steps


def test_jobs_by_profile_and_name(write):
    plan = Plan.read(write(toml(ENTRY) + toml(ENTRY | {"profile": "paper", "name": "paper_{system}_{seed}"})))
    assert len(plan.jobs()) == 8
    assert {job.profile for job in plan.jobs("paper")} == {"paper"}
    assert [job.name for job in plan.jobs(only=["*vae_3"])] == ["vae_3", "betavae_3", "paper_vae_3", "paper_betavae_3"]
    assert [job.name for job in plan.jobs("ci", ["beta*", "vae_3", "vae_?"])] == [
        "vae_3",
        "vae_1",
        "betavae_3",
        "betavae_1",
    ]
    assert [job.name for job in plan.jobs(only="vae_1")] == ["vae_1"]
    with pytest.raises(ValueError, match=r"plan\.toml has no runs of the profile 'laptop': choose one of ci, paper"):
        plan.jobs("laptop")
    with pytest.raises(ValueError, match=r"no run of the profile ci is called 'paper\*'; there are vae_3, vae_1, beta"):
        plan.jobs("ci", ["vae_3", "paper*"])


def test_the_command_makes_that_record_alone(write):
    plan = Plan.read(write())
    for job in plan.runs:
        words = job.command().split()
        assert words[:5] == ["python", "-m", "medlatent", "run", "results/scratch/plan.toml"]
        options = dict(zip(words[5::2], words[6::2], strict=True))
        assert plan.jobs(options["--profile"], [options["--only"]]) == [job]


WRONG = {
    "profile": ["quick", 3, ["ci"]],
    "name": ["", 3, "a/b", "../x", ".hidden", "x.", "a b", "{steps}", "{0}", "{}", "{seed:03}", "{seed!r}", "{", "é"],
    "systems": [[], "VAE", ["vae"], ["VAE", "VAE"], [1], [["VAE"]]],
    "seeds": [[], 0, [0.0], [-1], [True], ["0"], [1, 1], [2**63]],
    "data": ["", 5],
    "steps": [0, -1, 1.0, "10", True, [5]],
    "batch_size": [0, 2.5, False],
    "images": [0, 10.0, "all"],
    "data_seed": [-1, 0.5],
    "split": ["test", "train+test", "validation", 1],
    "judged_on": ["train", "train+test", 1],
    "set": [[], "x", {"betta": 1}, {"channels": 3}, {"size": 32}],
    "precision": ["float16", 32],
    "threads": [0, "1"],
    "weights": ["none", 3, [9], [3, 3], [1.0], True],
    "measures": [0, [], [0], 101, [101], [5, 5], "all", True, 2.0],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_wrong_value_is_named_by_file_entry_and_key(write, key, value):
    path = write(toml(ENTRY | {"name": "first_{system}_{seed}"}) + toml(ENTRY | {key: value}))
    with pytest.raises(ValueError, match=rf"plan\.toml, entry 2 \(.*'{key}'"):
        Plan.read(path)


def test_every_key_is_tried_with_wrong_values():
    assert set(WRONG) == {*REQUIRED, *OPTIONAL}


def test_no_image_is_both_trained_on_and_judged(write):
    assert Plan.read(write(judged_on="validation+test")).runs[0].judged_on == "validation+test"
    with pytest.raises(ValueError, match="'judged_on': the split validation is trained on, too"):
        Plan.read(write(split="train+validation", judged_on="validation+test"))


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_named(write, key):
    path = write(toml({k: v for k, v in ENTRY.items() if k != key}))
    with pytest.raises(ValueError, match=rf"entry 1 \(.*\): '{key}' is missing"):
        Plan.read(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (toml(ENTRY | {"stepps": 3}), r"entry 1 \('\{system\}_\{seed\}'\): 'stepps' is unknown; an entry has profile"),
        (toml({"batchsize": 3}, "[defaults]") + toml(ENTRY), r"plan\.toml, \[defaults\]: 'batchsize' is unknown"),
        (toml({"steps": "3"}, "[defaults]") + toml(ENTRY), r"\[defaults\], 'steps': expected a whole number from 1"),
        (toml({"steps": 3}, "[default]") + toml(ENTRY), "'default' is unknown: a plan has"),
        ("", r"expected one entry \[\[runs\]\] or more"),
        (toml(ENTRY, "[runs]"), r"expected one entry \[\[runs\]\] or more"),
        ("defaults = 1\n" + toml(ENTRY), r"write \[defaults\], one table"),
        ("[[runs]\n", r"plan\.toml is not valid TOML"),
        (toml(ENTRY | {"name": "{system}"}), "'name': 'vae' is given twice, to VAE with seed 3 and to VAE with seed 1"),
        (toml(ENTRY) + toml(ENTRY | {"name": "VAE_{seed}", "systems": ["GAN"]}), r"entry 2 .*'VAE_3' is given twice"),
        (toml(ENTRY) + "set = { when = 2026-01-01 }", "'set': expected arguments of the model that JSON can hold"),
        (toml(ENTRY) + "set = { beta = inf }", "'set': expected arguments of the model that JSON can hold"),
        (toml(ENTRY | {"set": {"beta": 1}}), "'set': VAE has no argument 'beta'; it has latent_dim, likelihood"),
        (toml(ENTRY | {"systems": ["Vae"]}), "'systems': expected classes of medlatent.models|a list of classes"),
    ],
)
def test_a_plan_that_says_something_else_is_refused(write, text, said):
    with pytest.raises(ValueError, match=said):
        Plan.read(write(text))


def test_where_a_plan_lies(write, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.plan\.toml: no such plan"):
        Plan.read(tmp_path / "none/plan.toml")
    with pytest.raises(ValueError, match=r"a plan is the file plan\.toml in the folder of its chapter"):
        Plan.read(write().rename(tmp_path / "scratch/other.toml"))
    (tmp_path / "no slug").mkdir()
    with pytest.raises(ValueError, match="its folder 'no slug' names the chapter"):
        Plan.read(write().rename(tmp_path / "no slug/plan.toml"))


def test_the_plans_that_are_shown_are_plans(write):
    page = re.search(r"```toml\n(.*?)```", (RESULTS.parent / "book/runs.md").read_text(encoding="utf-8"), re.DOTALL)
    jobs = Plan.read(write(page[1])).runs
    assert len(jobs) == 6
    assert jobs[0].name == "ham10000_betavae_seed0"  # as the page says
    shown = textwrap.dedent(plans.__doc__.split(".. code-block:: toml\n")[1])
    assert len(Plan.read(write(shown)).runs) == 6


def recorded() -> list[Path]:
    paths = sorted(RESULTS.glob("*/*.json"))
    return [path for path in paths if json.loads(path.read_text(encoding="utf-8")).get("format") == "medlatent.Record"]


@functools.cache
def plan_of(folder: Path) -> Plan:
    return Plan.read(folder / "plan.toml")


@pytest.mark.parametrize("path", recorded(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_record_is_a_job_of_its_chapters_plan(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    (job,) = [job for job in plan_of(path.parent).runs if job.name == record["name"]]
    data, run = record["data"], record["run"]
    assert (job.slug, job.system) == (record["slug"], record["model"])
    assert (job.source, job.n, job.data_seed, job.split) == (data["source"], data["n"], data["seed"], data["split"])
    assert (job.seed, job.steps, job.batch_size) == (run["seed"], run["steps"], run["batch_size"])
    assert (job.precision, job.threads) == (run["precision"], run["threads"])
    # The model of the job is that of the record, the arguments that the plan leaves to their defaults included.
    config = record["config"]
    model = build(job.system, {"channels": config["channels"], "size": config["size"]} | job.settings, job.seed)
    filled_in = {"dataset_size": data["images"]} if "dataset_size" in config else {}
    assert model.config | filled_in == config


def test_every_chapter_with_records_has_a_plan_and_the_papers_their_scale():
    assert len(recorded()) > 30
    by_chapter = {path.parent.name: Plan.read(path) for path in RESULTS.glob("*/plan.toml")}
    assert {path.parent.name for path in recorded()} <= set(by_chapter)
    assert all("ci" in {job.profile for job in plan.runs} for plan in by_chapter.values())
    sarhan = by_chapter["adversarial_vae"].jobs("paper", ["*_paper_*"])
    assert {(job.steps, job.batch_size, job.settings["learning_rate"]) for job in sarhan} == {(100_000, 256, 1e-4)}
    assert len({job.system for job in sarhan}) == 5
    liu = by_chapter["hsic_infogan"].jobs("paper", ["*_paper_*"])
    assert {(job.steps * job.batch_size, job.batch_size) for job in liu} == {(100 * 60_000, 100)}
    di_folco = by_chapter["attribute_vae"].jobs("paper")
    assert {(job.system, job.steps) for job in di_folco} == {
        ("AttriVAE", 29_300),
        ("SIVAE", 22_000),
        ("ARSIVAE", 22_000),
    }
    schon = by_chapter["latent_directions"].jobs("paper")
    assert [job.steps for job in schon if job.system != "LatentDirections"] == [96_000, 96_000]
    iterations = {(job.settings["reconstructor"], job.settings["K"], job.steps) for job in schon[2:]}
    assert iterations == {
        *(("lenet", 32, 25_000), ("resnet18", 32, 3_000), ("lenet", 100, 250_000), ("lenet", 100, 75_000)),
        *(("resnet18", 100, 10_000), ("resnet18", 100, 4_000)),
    }
    assert len(schon) == 14  # the twelve rows of their table, and two generators
    assert all("paper_" in job.name for job in sarhan + liu + di_folco + schon)


@pytest.mark.parametrize(
    ("slug", "name"),
    [
        *(("vae", name) for name in ("phantoms_vae", "ham10000_vae")),
        *(("independence", name) for name in ("ham10000_betavae", "ham10000_betatcvae")),
        *(
            ("adversarial_vae", f"ham10000_{system}_seed{seed}")
            for system in ("vae", "residualtcvae", "adversarialvae")
            for seed in range(3)
        ),
        *(("hsic_infogan", f"mnist_{system}_ten_epochs") for system in ("infogan", "hsicinfogan")),
    ],
)
def test_the_weights_are_kept_of_what_the_pages_load(slug, name):
    (job,) = Plan.read(RESULTS / slug / "plan.toml").jobs(only=[name])
    assert job.keep == "weights"
