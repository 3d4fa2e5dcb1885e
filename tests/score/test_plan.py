from turbo_eval.core.records import Prompt
from turbo_eval.score import needs
from turbo_eval.score.plan import metrics_for

PROMPT = Prompt("i", "t", ("color", "scene", "overall_consistency"), {}, "s", 0)


def test_only_dimensions_that_the_prompt_serves_are_scored() -> None:
    assert [m.info.id for m in metrics_for(PROMPT, None)] == [
        "vbench.color",
        "vbench.scene",
        "vbench.overall_consistency",
    ]
    assert [m.info.id for m in metrics_for(PROMPT, ["scene", "human_action"])] == ["vbench.scene"]


def test_only_the_parts_that_these_need_look() -> None:
    assert needs([PROMPT], ["scene"]) == {"i": ("scene",)}
    assert needs([PROMPT], ["human_action"]) == {"i": ()}
