from dataclasses import replace

import numpy as np
import pytest
import torch

from turbo_eval.backbones.mini.words import UNKNOWN, encode, split
from turbo_train.world.captions import Said
from turbo_train.world.facts import SHAPES, Scene, Sprite
from turbo_train.world.judges.matching import (
    choice_loss,
    even_odds,
    forget_words,
    known_words,
    map_loss,
    match_loss,
    roughen,
    say_something,
    shape_map,
    true_pairs,
)
from turbo_train.world.stream import item

STAR = Sprite("star", "red", 32, 32, 12)
RING = Sprite("ring", "blue", 32, 32, 12)
ONE = Scene((STAR,), "spinning", "beach")
TWO = Scene((STAR, RING), "spinning", "beach", relation="on the left of")
TURNED = Scene((RING, STAR), "spinning", "beach", relation="on the right of")
WRONG = Scene((STAR, RING), "spinning", "beach", relation="on the right of")


def truth(first: Scene, said: Said, second: Scene) -> bool:
    return bool(true_pairs([first, second], [said, Said()])[0, 1])


def test_unsaid_facts_are_free_and_said_ones_are_not() -> None:
    other = replace(ONE, scene="ocean")
    assert not truth(ONE, Said(), other)
    assert truth(ONE, Said(scene=False), other)
    assert not truth(ONE, Said(scene=False), replace(other, action="growing"))
    assert truth(ONE, Said(sprites=False, scene=False, camera=False), TWO)


def test_a_relation_holds_either_way_round() -> None:
    assert truth(TWO, Said(), TURNED)
    assert not truth(TWO, Said(), WRONG)
    assert truth(TWO, Said(relation=False), WRONG)
    assert not truth(TWO, Said(relation=False), ONE)


def test_colors_of_a_grey_clip_are_not_seen() -> None:
    grey = replace(ONE, style="black and white")
    assert not truth(ONE, Said(style=False), grey)
    assert truth(ONE, Said(style=False, colors=False), grey)


def test_every_caption_is_true_of_its_own_clip() -> None:
    scenes = [item(590, k).scene for k in range(64)]
    rng = np.random.default_rng(1)
    for still in (False, True):
        texts, said = zip(*(say_something(s, rng, still=still) for s in scenes), strict=True)
        assert all(texts)
        assert true_pairs(scenes, said).diagonal().all()
        if still:
            assert not any(s.action and s.sprites for s in said)
            assert not any(s.camera for s in said)


def test_the_grammar_writes_no_unknown_word() -> None:
    known = set(known_words())
    for k in range(300):
        assert set(split(item(591, k).caption)) <= known


def test_forgotten_words_are_few_and_never_padding() -> None:
    numbers = encode(["a red star on a beach"] * 500, known_words(), 10)
    forgotten = forget_words(numbers, np.random.default_rng(0)).numpy()
    changed = forgotten != numbers
    assert 0.005 < changed[:, :6].mean() < 0.05
    assert not changed[:, 6:].any()
    assert (forgotten[changed] == UNKNOWN).all()


def test_the_loss_is_smallest_for_the_true_pairs() -> None:
    seen = torch.eye(4)
    scale = torch.tensor(3.0)
    right = match_loss(seen, seen, scale, torch.eye(4, dtype=torch.bool))
    wrong = match_loss(seen, seen.roll(1, 0), scale, torch.eye(4, dtype=torch.bool))
    assert right < 0.01
    assert wrong > 1
    both = torch.eye(4, dtype=torch.bool) | torch.eye(4, dtype=torch.bool).roll(1, 0)
    assert torch.isfinite(match_loss(seen, seen, scale, both))


def test_roughened_clips_stay_in_range_and_differ() -> None:
    torch.manual_seed(0)
    clips = torch.rand(8, 2, 3, 16, 16) * 2 - 1
    rough = roughen(clips.clone())
    assert rough.shape == clips.shape
    assert float(rough.abs().max()) <= 1
    assert not torch.allclose(rough, clips, atol=0.02)
    assert roughen(clips[:1].clone()).shape == clips[:1].shape


def test_choosing_among_equal_captions_costs_the_logarithm_of_their_number() -> None:
    seen = torch.randn(5, 8)
    same = torch.ones(15, 8)
    assert float(choice_loss(seen, same, torch.tensor(2.0))) == pytest.approx(np.log(3), abs=1e-5)
    first = torch.stack([seen, -seen, -seen], 1).flatten(0, 1)
    assert float(choice_loss(seen, first, torch.tensor(3.0))) < 1e-6


def test_the_map_names_the_shape_near_its_middle_only() -> None:
    none = np.full((2, 2), np.nan, np.float32)
    here = none.copy()
    here[0] = (11.5, 19.5)
    wanted = shape_map([ONE, ONE], [here, none], 8)
    assert wanted[0, 2, 1] == SHAPES.index("star") + 1
    assert int((wanted[0] > 0).sum()) == 1
    assert not wanted[1].any()
    sure = torch.nn.functional.one_hot(wanted, len(SHAPES) + 1).movedim(-1, 1) * 30.0
    assert float(map_loss(sure, wanted)) < 1e-6
    assert float(map_loss(-sure, wanted)) > 10


def test_rare_cameras_and_styles_are_drawn_more_often() -> None:
    scenes = [ONE] * 9 + [replace(ONE, camera="zoom in")]
    odds = even_odds(scenes)
    assert odds.sum() == pytest.approx(1)
    assert odds[9] == pytest.approx(3 * odds[0])
