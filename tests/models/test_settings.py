"""Settings in a model's name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.core.errors import UsageError
from turbo_eval.models.settings import Settings, split_settings

KEYS = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)
VALUES = st.text("abcXYZ019 ./-,:", min_size=1, max_size=12).map(str.strip).filter(bool)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_is_spelled_is_read_again(values: dict[str, str]) -> None:
    settings = Settings("diffusers:some/where", values)
    assert split_settings(settings.spelled) == ("diffusers:some/where", values)


@pytest.mark.parametrize(
    ("name", "bare", "values"),
    [
        ("mini-teacher", "mini-teacher", {}),
        ("folder:a/b=c", "folder:a/b=c", {}),
        ("diffusers:C:/x:frames=17", "diffusers:C:/x", {"frames": "17"}),
        (
            "command:python draw.py --x=1:negative=a, b=c,fps=8",
            "command:python draw.py --x=1",
            {"negative": "a, b=c", "fps": "8"},
        ),
    ],
)
def test_a_name_and_its_settings(name: str, bare: str, values: dict[str, str]) -> None:
    assert split_settings(name) == (bare, values)


@pytest.mark.parametrize(
    ("name", "said"),
    [("a:x=1,x=2", "given twice"), ("a:x=", "no value"), ("a:x= ,y=1", "no value")],
)
def test_settings_that_cannot_be_read(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        split_settings(name)


def test_values_are_checked_by_their_kind() -> None:
    settings = Settings("m", {"frames": "9", "fps": "12.5", "size": "64x32", "tiling": "Yes"})
    assert settings.whole("frames", 1) == 9
    assert settings.number("fps", 8) == 12.5
    assert settings.size((1, 1)) == (64, 32)
    assert settings.flag("tiling")
    assert not settings.flag("offload")
    assert settings.whole("steps", 4) == 4
    assert settings.path("lora") is None
    assert settings.only(("frames", "fps", "size", "tiling")) is settings
    with pytest.raises(UsageError, match="did you mean frames"):
        Settings("m", {"frame": "9"}).only(("frames", "fps"))
    for key, text in (("frames", "1.5"), ("frames", "-1"), ("fps", "nan"), ("fps", "inf")):
        wrong = Settings("m", {key: text})
        with pytest.raises(UsageError, match=f"{key}={text}"):
            _ = wrong.whole(key, 1) if key == "frames" else wrong.number(key, 1)
    with pytest.raises(UsageError, match="64x0"):
        Settings("m", {"size": "64x0"}).size((1, 1))
