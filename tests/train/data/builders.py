"""Small data sets made in the test run."""

import io
import tarfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from turbo_eval.video import encode
from turbo_train.data import DataSettings, open_source
from turbo_train.data.batch import Source

HEIGHT, WIDTH = 16, 24
FRAMES = 4
FPS = 8.0


def video(path: Path, *, length: int = 12, fps: float = FPS, shade: int = 90) -> Path:
    """A video whose every frame is one shade, five brighter than the one before."""
    frames = np.empty((length, 32, 48, 3), np.uint8)
    frames[:] = (shade + 5 * np.arange(length))[:, None, None, None]
    encode(frames, fps, path)
    return path


def video_bytes(folder: Path, **facts: int) -> bytes:
    """The bytes of `video`."""
    path = video(folder / "made.mp4", **facts)
    data = path.read_bytes()
    path.unlink()
    return data


def shard(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    """An uncompressed tar file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def opened(settings: DataSettings, folder: Path, *, seed: int = 3) -> Source:
    """The source of `settings` at the size of these tests."""
    return open_source(
        settings,
        frames=FRAMES,
        height=HEIGHT,
        width=WIDTH,
        fps=FPS,
        seed=seed,
        folder=folder,
        encode=None,
    )


class Server:
    """Files on this machine's own network, with ways to misbehave.

    Attributes:
        files: Path on the server to contents.
        cuts: For the next answers, after how many bytes each breaks off.
        refuse: For the next answers, the status sent in their place.
        asked: (path, Range header or "") of every request.
        ranges: Whether parts can be asked for.
        mark: Version of the files, sent as ETag.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.refuse: list[int] = []
        self.asked: list[tuple[str, str]] = []
        self.ranges = True
        self.mark = '"one"'
        self.url = ""


@contextmanager
def serving() -> Iterator[Server]:
    """Start a server on a free port, and stop it afterwards."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 (the library's name)
            wanted = self.headers.get("Range", "")
            server.asked.append((self.path, wanted))
            data = server.files.get(self.path)
            status = server.refuse.pop(0) if server.refuse else 0
            if data is None or status:
                self.send_error(status or 404)
                return
            start = 0
            if server.ranges and wanted and self.headers.get("If-Range") == server.mark:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("ETag", server.mark)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            end = server.cuts.pop(0) if server.cuts else len(data)
            self.wfile.write(data[start:end])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
