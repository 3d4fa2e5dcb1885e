"""The process that `turbo_eval.video.apart` lets look at files: requests in, frames out.

Usage: python -m turbo_eval.video.worker

Its first line is `ready`. Each line of stdin is a JSON object {"do": "probe", "shape" or "frames",
"path"}; each answer on stdout is one JSON line, after "frames" followed by the frames' bytes.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from turbo_eval.core.errors import InputError, one_line
from turbo_eval.video.read import decode, probe

READY = b"ready\n"
"""The first line: everything that decoding needs is imported."""
_STDOUT = 1
_STDERR = 2


def answer(what: str, path: Path) -> tuple[dict[str, Any], npt.NDArray[np.uint8] | None]:
    """What a request is answered with: facts or an error, and the frames if they were asked for."""
    try:
        if what == "probe":
            return asdict(probe(path)), None
        clip = decode(path)
    except InputError as error:
        return {"error": [error.what, error.why, error.fix]}, None
    except MemoryError:
        return {"error": [f"{path} does not fit in memory", "", "cut it, or make it smaller"]}, None
    except Exception as error:
        why = one_line(f"{type(error).__name__}: {error}")
        return {"error": [f"{path} cannot be decoded", why, "make the video again"]}, None
    facts = {"shape": clip.frames.shape, "fps": clip.fps, "content_hash": clip.content_hash}
    return facts, clip.frames if what == "frames" else None


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the other side closes its end."""
    for line in requests:
        request = json.loads(line)
        facts, frames = answer(request["do"], Path(request["path"]))
        answers.write(json.dumps(facts).encode() + b"\n")
        if frames is not None:
            answers.write(frames.data)
        answers.flush()
        # Nothing is kept while waiting for the next request, which may be minutes away.
        del frames


def main() -> None:
    """Serve on stdin and stdout; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(_STDOUT), "wb")
    os.dup2(_STDERR, _STDOUT)
    answers.write(READY)
    answers.flush()
    try:
        serve(sys.stdin.buffer, answers)
    except BrokenPipeError:
        # The other side has ended, so nobody waits for the answer.
        os._exit(0)


if __name__ == "__main__":
    main()
