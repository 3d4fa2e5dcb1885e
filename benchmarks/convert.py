"""Memory and time of converting a full-size VideoCrafter2 checkpoint, in one run.

Usage: python benchmarks/convert.py [--work FOLDER] [--format ckpt|safetensors] [--keep]

Writes a checkpoint with the published names, shapes and number format (zeros; 7.4 GB) into the
work folder, converts it in a process of its own, and prints one JSON object: sizes, seconds, and
the most memory that the conversion held, without and with the pages of mapped files, which the
system takes back when it needs them. Needs 15 GB of disk.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

UNTIL = 16.0
"""GiB that the conversion must stay below."""


def shapes() -> dict[str, tuple[int, ...]]:
    """Published name to shape of every tensor of the checkpoint."""
    import torch

    from turbo_eval.models.convert import CONFIG, UNET_PREFIX
    from turbo_eval.models.lvdm_vae import PREFIX as VAE_PREFIX
    from turbo_eval.models.lvdm_vae import vae_modules
    from turbo_eval.models.openclip_text import PREFIX as TEXT_PREFIX
    from turbo_eval.models.videocrafter import VideoCrafterUNet

    with torch.device("meta"):
        from diffusers import AutoencoderKL

        unet: Any = VideoCrafterUNet()
        vae: Any = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
        )
    found: dict[str, tuple[int, ...]] = {}
    multipliers = CONFIG["vae"]["ddconfig"]["ch_mult"]
    for prefix, network, modules, axes in (
        (UNET_PREFIX, unet, unet.released_modules(), 1),
        (VAE_PREFIX, vae, vae_modules(multipliers, 2), 2),
    ):
        state = network.state_dict()
        for module in modules:
            for part in ("weight", "bias"):
                tensor = state.get(f"{module.ours}.{part}")
                if tensor is not None:
                    more = (1,) * axes if module.squeeze and part == "weight" else ()
                    found[f"{prefix}{module.lvdm}.{part}"] = (*tensor.shape, *more)
    width = 1024
    text = {
        "token_embedding.weight": (49408, width),
        "positional_embedding": (77, width),
        "text_projection": (width, width),
        "logit_scale": (),
        "ln_final.weight": (width,),
        "ln_final.bias": (width,),
    }
    for i in range(24):
        block = f"transformer.resblocks.{i}"
        for name, rows, columns in (
            ("attn.in_proj_", 3 * width, width),
            ("attn.out_proj.", width, width),
            ("mlp.c_fc.", 4 * width, width),
            ("mlp.c_proj.", width, 4 * width),
        ):
            text[f"{block}.{name}weight"] = (rows, columns)
            text[f"{block}.{name}bias"] = (rows,)
        for norm in ("ln_1", "ln_2"):
            text |= {f"{block}.{norm}.{part}": (width,) for part in ("weight", "bias")}
    return found | {f"{TEXT_PREFIX}{name}": shape for name, shape in text.items()}


def write_checkpoint(path: Path) -> int:
    """Write the checkpoint, a file with a hole for numbers. Returns the parameters.

    Both formats are mapped alike; only that of `torch.save` costs the time of writing it.
    """
    import math

    import torch

    sizes = shapes()
    total = sum(math.prod(shape) for shape in sizes.values())
    if path.suffix == ".safetensors":
        header, end = {}, 0
        for name, shape in sizes.items():
            start, end = end, end + 4 * math.prod(shape)
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + end)
        return total
    holes = path.with_name("zeros")
    with holes.open("wb") as file:
        file.truncate(4 * total)
    storage = torch.UntypedStorage.from_file(str(holes), False, 4 * total)
    flat = torch.tensor([], dtype=torch.float32).set_(storage)
    state, start = {}, 0
    for name, shape in sizes.items():
        count = math.prod(shape)
        state[name] = flat[start : start + count].reshape(shape)
        start += count
    torch.save({"state_dict": state}, path)
    holes.unlink()
    return total


def watched(command: list[str]) -> tuple[float, float, float]:
    """Run a command: seconds, most GiB of its own memory, most GiB with mapped files."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    most = {"RssAnon": 0, "VmRSS": 0}
    done = Event()

    def watch() -> None:
        while not done.wait(0.05):
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            except OSError:
                return
            for line in lines:
                key, _, value = line.partition(":")
                if key in most:
                    most[key] = max(most[key], int(value.split()[0]))

    thread = Thread(target=watch)
    thread.start()
    code = process.wait()
    done.set()
    thread.join()
    if code:
        sys.exit(code)
    seconds = time.perf_counter() - start
    return seconds, most["RssAnon"] / 2**20, most["VmRSS"] / 2**20


def main() -> int:
    """Measure and print; returns 1 above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "convert-vc2")
    parser.add_argument("--keep", action="store_true", help="leave the files in the work folder")
    parser.add_argument("--format", choices=("ckpt", "safetensors"), default="ckpt")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    path = args.work / f"model.{args.format}"
    try:
        parameters = write_checkpoint(path)
        code = (
            "from pathlib import Path; from turbo_eval.models.convert import convert; "
            f"convert(Path({str(path)!r}))"
        )
        os.environ["TURBO_EVAL_HOME"] = str(args.work / "home")
        seconds, own, whole = watched([sys.executable, "-c", code])
        folder = Path(f"{path}-diffusers")
        facts = {
            "parameters": parameters,
            "checkpoint_gb": round(path.stat().st_size / 1e9, 2),
            "folder_gb": round(sum(f.stat().st_size for f in folder.rglob("*")) / 1e9, 2),
            "seconds": round(seconds, 1),
            "own_memory_gib": round(own, 2),
            "with_mapped_files_gib": round(whole, 2),
            "limit_gib": UNTIL,
        }
        print(json.dumps(facts, indent=2))
        return int(whole >= UNTIL)
    finally:
        if not args.keep:
            shutil.rmtree(args.work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
