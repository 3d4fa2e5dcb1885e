from dataclasses import replace

import numpy as np
import pytest

from turbo_eval.core.errors import InputError
from turbo_train.world.captions import Said
from turbo_train.world.facts import Scene, Sprite
from turbo_train.world.reading import Reading, agree, measure_teacher, read_clips
from turbo_train.world.render import render
from turbo_train.world.stream import item

PAIR = Scene(
    (Sprite("ring", "blue", 16, 32, 11), Sprite("heart", "yellow", 47, 32, 11)),
    "standing still", "meadow", relation="on the left of", variant=5,
)  # fmt: skip
SEEN = Reading(
    shapes=("heart", "ring"), colors=("yellow", "blue"), centres=((47, 32), (16, 32)),
    action="standing still", scene="meadow",
)  # fmt: skip


def test_what_was_drawn_is_read() -> None:
    (reading,) = read_clips(render(PAIR)[None])
    assert set(zip(reading.shapes, reading.colors, strict=True)) == {
        ("ring", "blue"),
        ("heart", "yellow"),
    }
    assert (reading.action, reading.scene) == ("standing still", "meadow")


def test_the_order_of_sprites_does_not_matter_but_their_side_does() -> None:
    found = agree(SEEN, PAIR, Said())
    assert found["shape"] == [True, True]
    assert found["color"] == [True, True]
    assert found["relation"] == found["action"] == found["scene"] == [True]
    swapped = replace(SEEN, centres=SEEN.centres[::-1])
    assert agree(swapped, PAIR, Said())["relation"] == [False]


def test_a_missing_sprite_is_wrong_and_no_crash() -> None:
    lonely = replace(SEEN, shapes=("ring",), colors=("blue",), centres=((16, 32),))
    found = agree(lonely, PAIR, Said())
    assert found["shape"] == [True, False]
    assert found["shapes"] == found["colors"] == found["relation"] == [False]
    empty = replace(SEEN, shapes=(), colors=(), centres=())
    assert agree(empty, PAIR, Said())["shape"] == [False, False]


def test_right_shapes_in_exchanged_colours_are_wrong_colours() -> None:
    found = agree(replace(SEEN, colors=("blue", "yellow")), PAIR, Said())
    assert found["shapes"] == [True]
    assert found["color"] == [False, False]


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        (Said(sprites=False), {"scene"}),
        (Said(colors=False, relation=False, scene=False), {"shape", "shapes", "action"}),
        (Said(sprites=False, scene=False), set()),
    ],
)
def test_only_stated_facts_count(said: Said, facts: set[str]) -> None:
    assert set(agree(SEEN, PAIR, said)) == facts


def test_a_perfect_teacher_is_found_nearly_perfect() -> None:
    entries = [item(731, k, held=True) for k in range(24)]
    clips = np.stack([entry.clip() for entry in entries])
    found = measure_teacher(clips, [e.scene for e in entries], [e.said for e in entries])
    for fact in ("shape", "color", "action", "scene"):
        assert found[fact]["value"] > 0.85, fact
        assert found[fact]["low"] <= found[fact]["value"] <= found[fact]["high"]
    assert found["shapes"]["n"] == sum(entry.said.sprites for entry in entries)


def test_what_is_no_set_of_clips_is_refused() -> None:
    with pytest.raises(InputError, match="no set of clips"):
        read_clips(np.zeros((8, 64, 64, 3), np.uint8))
