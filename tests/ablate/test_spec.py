"""Files of ablations: what is packaged, what is refused and in which words."""

from pathlib import Path

import pytest

from turbo_eval.ablate import grid, spec
from turbo_eval.core.errors import ConfigError, TurboError, UsageError
from turbo_eval.prompts.dimensions import DIMENSIONS
from turbo_train import config


@pytest.mark.parametrize("name", spec.names())
@pytest.mark.parametrize("preset", ["full", "quick"])
def test_every_packaged_ablation_expands(name: str, preset: str) -> None:
    ablation = spec.load(name).preset(preset)
    students = grid.variants(ablation)
    table = grid.rows(ablation, students)
    assert ablation.name == name
    assert ablation.description.endswith(".")
    assert len(students) > 1
    assert set(ablation.show) <= set(DIMENSIONS)
    # Whom the rows are compared with is among them, also in the quick form.
    assert grid.references(ablation, table)
    seeds = {v.settings["seed"] for v in students}
    assert len(seeds) == 1 or any("seed" in v.grid for v in ablation.variant)


def test_reward_mix_is_the_papers_table() -> None:
    ablation = spec.load("reward-mix")
    table = grid.rows(ablation, grid.variants(ablation))
    assert [(row.name, row.steps) for row in table] == [
        ("Teacher", 50),
        ("VCM", 4),
        ("VCM + image reward", 4),
        ("VCM + video reward", 4),
        ("T2V-Turbo", 4),
    ]
    assert grid.references(ablation, table) == ("VCM", "Teacher")


@pytest.mark.parametrize(
    ("name", "mixes"),
    [
        (
            "image-rm",
            {
                "HPSv2.1": "hpsv2.1=2",
                "PickScore": "pickscore=2",
                "ImageReward": "imagereward=2",
                "CLIP score": "clip=2",
            },
        ),
        (
            "video-rm",
            {
                "HPSv2.1": "hpsv2.1=2",
                "ViCLIP": "viclip=3",
                "InternVideo2": "internvideo2=3",
                "HPSv2.1 + ViCLIP": "hpsv2.1=2,viclip=3",
                "HPSv2.1 + InternVideo2": "hpsv2.1=2,internvideo2=3",
            },
        ),
    ],
)
def test_students_of_the_real_ablations_have_the_papers_rewards(
    name: str, mixes: dict[str, str]
) -> None:
    ablation, found = spec.load(name), {}
    for variant in grid.variants(ablation):
        rewards = config.load(variant.config, variant.changes).rewards
        scales = {**rewards.image, **rewards.video}
        found[variant.name] = ",".join(f"{reward}={scale:g}" for reward, scale in scales.items())
    assert {row: mix for row, mix in found.items() if mix} == mixes
    # Each of them is a measure too.
    used = {part.partition("=")[0] for mix in mixes.values() for part in mix.split(",")}
    assert used == set(ablation.rewards)


def test_quick_changes_the_base_and_stays_below_variants() -> None:
    values = {
        "seeds": 5,
        "base": {"set": {"steps": 300, "batch_size": 8}},
        "variant": [{"name": "a"}, {"name": "b", "set": {"steps": 7}}],
        "quick": {"seeds": 1, "limit": 16, "set": {"steps": 80}},
    }
    ablation = spec.check(values, source="here")
    quick = ablation.preset("quick")
    assert (quick.seeds, quick.limit, ablation.preset("full").limit) == (1, 16, None)
    assert [v.settings["steps"] for v in grid.variants(quick)] == [80, 7]
    assert [v.settings["steps"] for v in grid.variants(ablation.preset("full"))] == [300, 7]
    assert all(v.settings["batch_size"] == 8 for v in grid.variants(quick))


def test_unknown_names_are_met_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean reward-mix"):
        spec.load("reward-mx")
    with pytest.raises(UsageError, match=r"nowhere\.toml was not found"):
        spec.load("nowhere.toml")
    with pytest.raises(UsageError, match="unknown preset 'kuick'.*did you mean quick"):
        spec.load("steps").preset("kuick")
    with pytest.raises(UsageError, match=r"no quick form.*\[quick\]"):
        spec.check({}, source="here").preset("quick")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sede = 3", "unknown key 'sede' in .*did you mean seeds"),
        ("[base]\nconfg = 'x'", "unknown key 'base.confg'.*did you mean config"),
        ("[[variant]]\nname = 'a'\nstpes = [4]", "'variant.0.stpes'.*did you mean steps"),
        ("[[variant]]\nset = {}", "variant.0.name"),
        ("seeds = 0", "seeds = 0 .* refused"),
        ("seeds = 'many'", "seeds = 'many' .* refused"),
        ("[[system]]\nmodel = 'm'\nsteps = 0", "steps.* = 0 .* refused"),
        ("[quick]\nlimit = -1", "quick.limit = -1"),
        ("seeds = = 3", "no TOML file"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as caught:
        spec.load(str(path))
    assert "bad.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_binary_file_is_no_ablation(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TurboError, match="no TOML file that can be read"):
        spec.load(str(path))
