"""Run dimensions of the official `vbench` package; for `turbo-eval verify vbench`.

This file is executed by another interpreter, the one that has the official package. It needs
nothing of ours and keeps to what Python 3.8 understands. None of the official files is changed; at
run time the word pieces are read from a folder instead of the network, and Tag2Text is built from
its configuration, because all its weights come from the checkpoint anyway.

Usage: PYTHON vbench_driver.py --dimension D[,D...] --videos FOLDER --info FILE --cache FOLDER
       --out FOLDER
"""

import argparse
import importlib
import os
import sys
import traceback
from typing import Any, List, Optional  # noqa: UP035 (see above)


def main(argv: Optional[List[str]] = None) -> int:  # noqa: UP006, UP045 (see above)
    """Write OUT/{dimension}_eval_results.json, or OUT/{dimension}_error.txt; of several, `all_...`.

    Args:
        argv: The arguments; the process's own when None.

    Returns:
        The exit code: 0, or 1 when the official program failed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dimension", "videos", "info", "cache", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--vocabulary", default="")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    # Python puts the folder of this file first, and our modules there have names of others.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or os.curdir) != here]
    # Read by the official package when it is imported.
    os.environ["VBENCH_CACHE_DIR"] = args.cache
    os.makedirs(args.out, exist_ok=True)
    try:
        _evaluate(args)
    except BaseException as error:
        path = os.path.join(args.out, _name(args) + "_error.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}")
        return 1
    return 0


def _evaluate(args: Any) -> None:
    if args.vocabulary:
        _read_words_from(args.vocabulary)
    dimensions = args.dimension.split(",")
    if "scene" in dimensions:
        _build_from_configuration()
    torch = importlib.import_module("torch")
    # A device, not its name: GRiT breaks on a name, and motion smoothness scales by it.
    device = torch.device(args.device)
    official = importlib.import_module("vbench").VBench(device, args.info, args.out)
    with torch.no_grad():
        official.evaluate(
            videos_path=args.videos,
            name=_name(args),
            dimension_list=dimensions,
            local=True,
            mode="vbench_standard",
            imaging_quality_preprocessing_mode="longer",
        )


def _name(args: Any) -> str:
    return "all" if "," in args.dimension else str(args.dimension)


def _read_words_from(path: str) -> None:
    tokenizer = importlib.import_module("transformers").BertTokenizer

    def from_pretrained(cls: Any, *_: Any, **__: Any) -> Any:
        return cls(path)

    tokenizer.from_pretrained = classmethod(from_pretrained)


def _build_from_configuration() -> None:
    module = importlib.import_module("vbench.third_party.tag2Text.tag2text")

    def from_pretrained(cls: Any, _: str, /, **more: Any) -> Any:
        return cls(**more)

    module.BertModel.from_pretrained = classmethod(from_pretrained)


if __name__ == "__main__":
    sys.exit(main())
