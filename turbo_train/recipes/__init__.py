"""Recipes of distillation, one screen each: how one step turns a batch into losses."""

from turbo_train.recipes.common import Losses, Parts, Recipe, get

__all__ = ["Losses", "Parts", "Recipe", "get"]
