"""Cards of the mini judges: how each was trained and what it was measured to do."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from turbo_eval.backbones.mini import DESCRIPTIONS, PARTS, weights
from turbo_eval.core.errors import InputError
from turbo_eval.core.store import write_json_atomic, write_text_atomic
from turbo_train.world.judges.common import Measured, Trained

CURVE_POINTS = 40
PAGE = "mini-judges.md"


def card_path(role: str, where: Path | None = None) -> Path:
    """The card of a part, beside its weights."""
    return (where or weights.folder()) / f"{role}.card.json"


def write_card(
    role: str,
    trained: Trained,
    accuracies: Mapping[str, Measured],
    *,
    device: str,
    where: Path | None = None,
) -> Path:
    """Write the card of a part; a corruption table that is there already is dropped as outdated.

    Args:
        role: The part.
        trained: What its recipe made.
        accuracies: Measured on held-out clips with the weights as shipped.
        device: Where it was trained.
        where: Folder of the weights; None for the package's own.
    """
    entry = weights.entries(where)[role]
    losses = trained.progress.losses
    stride = max(1, len(losses) // CURVE_POINTS)
    card = {
        "part": role,
        "description": DESCRIPTIONS[role],
        "file": entry.file,
        "sha256": entry.sha256,
        "bytes": entry.bytes,
        "parameters": sum(p.numel() for p in trained.module.parameters()),
        "licence": "Apache-2.0",
        "command": f"turbo-train world judges --only {role}",
        "training": {
            **trained.settings,
            "steps": trained.progress.step,
            "seconds": round(trained.progress.seconds, 1),
            "device": device_name(device),
            "torch": torch.__version__,
            "loss": losses[::-1][::stride][::-1],
        },
        "measured": {name: asdict(value) for name, value in accuracies.items()},
        "corruptions": {},
    }
    path = card_path(role, where)
    write_json_atomic(path, card)
    return path


def device_name(device: str) -> str:
    """What a network was trained on, in words: the GPU's name, or the CPU and its threads."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name())
    return f"CPU ({platform.machine()}), {torch.get_num_threads()} thread"


def read_card(role: str, where: Path | None = None) -> dict[str, Any]:
    """Read the card of a part.

    Raises:
        InputError: There is none, or it cannot be read.
    """
    path = card_path(role, where)
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the card {path} cannot be read", why=str(error)) from error
    return card


def add_corruptions(role: str, table: Mapping[str, Any], where: Path | None = None) -> None:
    """Put measured corruption tables (dimension -> corruption -> values by level) in a card."""
    card = read_card(role, where)
    card["corruptions"] = dict(table)
    write_json_atomic(card_path(role, where), card)


def page(where: Path | None = None) -> str:
    """The documentation page of all cards, as Markdown."""
    lines = [
        "# The mini judges",
        "",
        "Made from the cards beside the weights; do not edit. Ten small networks play the parts of",
        "VBench's networks in the mini world. They were trained on its rendered clips alone and",
        "measured on clips with combinations that training never saw. Their scores are not VBench",
        "scores.",
        "",
    ]
    total = 0
    for role in PARTS:
        if not card_path(role, where).exists():
            continue
        card = read_card(role, where)
        total += card["bytes"]
        lines += _section(card)
    lines += [f"All weights together: {total / 1e6:.2f} MB.", ""]
    return "\n".join(lines)


def _section(card: Mapping[str, Any]) -> list[str]:
    training = card["training"]
    lines = [
        f"## {card['part']}",
        "",
        f"{card['description']} {card['parameters']:,} parameters, {card['bytes'] / 1e6:.2f} MB.",
        f"Trained for {training['steps']} steps in {training['seconds']:.0f} s on "
        f"{training['device']}: `{card['command']}`.",
        "",
        str(training.get("data", "")),
        "",
        "| Measured on held-out clips | value | 95% interval | n |",
        "|---|---|---|---|",
    ]
    for name, m in card["measured"].items():
        unit = f" {m['unit']}" if m["unit"] else ""
        interval = f"{m['low']:.4g} to {m['high']:.4g}"
        lines.append(f"| {name} | {m['value']:.4g}{unit} | {interval} | {m['n']} |")
    lines.append("")
    if card["corruptions"]:
        lines += [
            "| Dimension | corruption | level 0 | 1 | 2 | 3 | in order |",
            "|---|---|---|---|---|---|---|",
        ]
        for dimension, rows in card["corruptions"].items():
            for name, row in rows.items():
                values = " | ".join("none" if v is None else f"{v:.4g}" for v in row["values"])
                ordered = "yes" if row["ordered"] else "no"
                lines.append(f"| {dimension} | {name} | {values} | {ordered} |")
        lines.append("")
    if training.get("limits"):
        lines += [str(training["limits"]), ""]
    return lines


def write_page(docs: Path, where: Path | None = None) -> Path:
    """Write the documentation page into the folder `docs`."""
    path = docs / PAGE
    write_text_atomic(path, page(where))
    return path
