"""The table of official files: complete, ordered as the seeds count, honest about sources."""

import subprocess
import sys

import pytest

from turbo_eval.backbones.official.files import ALL, BY_ID, FILES, file_of, files_of_role
from turbo_eval.backbones.protocol import ROLES
from turbo_eval.core.errors import UsageError


def test_order_is_the_one_that_seeds_count() -> None:
    assert [entry.file for entry in FILES] == [
        "ViT-B-32.pt",
        "ViT-L-14.pt",
        "sa_0_4_vit_l_14_linear.pth",
        "dino_vitbase16_pretrain.pth",
        "raft-things.pth",
        "amt-s.pth",
        "musiq_spaq_ckpt-358bb6af.pth",
        "ViClip-InternVid-10M-FLT.pth",
        "l16_ptk710_ftk710_ftk400_f16_res224.pth",
        "tag2text_swin_14m.pth",
        "grit_b_densecap_objectdet.pth",
    ]


def test_every_learned_role_has_a_file_and_names_are_unique() -> None:
    assert {role for entry in FILES for role in entry.roles} == set(ROLES) - {"pixels"}
    assert len(BY_ID) == len({entry.file for entry in ALL}) - 1 == 11
    assert [entry.id for entry in files_of_role("aesthetic")] == ["clip-l14", "aesthetic"]


def test_every_source_is_https_and_every_checksum_is_hexadecimal() -> None:
    for entry in ALL:
        assert entry.url.startswith("https://")
        assert entry.page.startswith("https://")
        assert entry.licence
        assert entry.megabytes > 0
        assert set(entry.sha256) <= set("0123456789abcdef")
        # The address or the name of the file repeats its checksum; a slip of the pen would differ.
        if entry.id.startswith(("clip", "musiq")):
            assert entry.sha256 in entry.url


def test_a_mistyped_name_suggests_the_right_one() -> None:
    assert file_of("raft") is file_of("raft-things.pth")
    with pytest.raises(UsageError, match="did you mean raft") as raised:
        file_of("rafft")
    assert raised.value.exit_code == 2


def test_the_set_and_its_facts_import_no_tensor_library() -> None:
    code = (
        "import sys; from turbo_eval.backbones.judges import load_judges; "
        "load_judges('official').infos; "
        "sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
