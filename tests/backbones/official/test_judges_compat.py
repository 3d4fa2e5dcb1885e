"""The two readings of VBench: judges whose captions differ never share a name."""

from pathlib import Path

from turbo_eval.backbones import load_judges


def test_only_the_scene_part_has_another_name(tmp_path: Path) -> None:
    both = [load_judges("official", weights_dir=tmp_path, compat=c) for c in ("vbench", "fixed")]
    names = [{role: info.id for role, info in judges.infos.items()} for judges in both]
    differing = {role for role in names[0] if names[0][role] != names[1][role]}
    assert differing == {"scene"}
    assert both[0].key != both[1].key
    mini = [load_judges("mini", compat=c).key for c in ("vbench", "fixed")]
    assert mini[0] == mini[1]
