"""Remote shards from a server on this machine that breaks off, refuses and changes its mind."""

import socket
import threading
from pathlib import Path

import pytest

from tests.train.data.builders import Server
from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_train.data.fetch import fetch

DATA = bytes(range(256)) * 40


def test_downloads_once(server: Server, tmp_path: Path) -> None:
    server.files["/a/s-0.tar"] = DATA
    path = fetch(f"{server.url}/a/s-0.tar", tmp_path)
    assert path.read_bytes() == DATA
    assert path.name.endswith("-s-0.tar")
    assert fetch(f"{server.url}/a/s-0.tar", tmp_path) == path
    assert server.asked == [("/a/s-0.tar", "")]
    assert list(tmp_path.iterdir()) == [path]


def test_goes_on_where_it_broke_off(server: Server, tmp_path: Path) -> None:
    server.files["/s.tar"] = DATA
    server.cuts = [4000, 7000]
    assert fetch(f"{server.url}/s.tar", tmp_path, wait=0).read_bytes() == DATA
    assert [wanted for _, wanted in server.asked] == ["", "bytes=4000-", "bytes=7000-"]


def test_goes_on_in_the_next_run(server: Server, tmp_path: Path) -> None:
    server.files["/s.tar"] = DATA
    server.cuts = [5000]
    with pytest.raises(PrerequisiteError) as caught:
        fetch(f"{server.url}/s.tar", tmp_path, attempts=1)
    assert "5000" in caught.value.why
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tar"]
    assert fetch(f"{server.url}/s.tar", tmp_path, attempts=1).read_bytes() == DATA
    assert server.asked[1][1] == "bytes=5000-"


def test_begins_anew_when_the_file_has_changed(server: Server, tmp_path: Path) -> None:
    server.files["/s.tar"] = DATA
    server.cuts = [5000]
    with pytest.raises(PrerequisiteError):
        fetch(f"{server.url}/s.tar", tmp_path, attempts=1)
    server.files["/s.tar"], server.mark = DATA[::-1][:6000], '"two"'
    assert fetch(f"{server.url}/s.tar", tmp_path, attempts=1).read_bytes() == DATA[::-1][:6000]


@pytest.mark.parametrize("mark", ['W/"weak"', '"one"'])
def test_servers_without_parts(server: Server, tmp_path: Path, mark: str) -> None:
    server.files["/s.tar"], server.mark, server.ranges = DATA, mark, False
    server.cuts = [5000]
    assert fetch(f"{server.url}/s.tar", tmp_path, wait=0).read_bytes() == DATA
    assert server.asked[1][1] == ("" if mark.startswith("W") else "bytes=5000-")


def test_a_server_in_trouble_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.files["/s.tar"] = DATA
    server.refuse = [503, 429]
    assert fetch(f"{server.url}/s.tar", tmp_path, wait=0).read_bytes() == DATA
    server.refuse = [500, 500]
    with pytest.raises(PrerequisiteError, match=r"cannot download .*500.*2 times"):
        fetch(f"{server.url}/s.tar?again", tmp_path, attempts=2, wait=0)


def test_all_had_arrived_but_the_name(server: Server, tmp_path: Path) -> None:
    server.files["/s.tar"] = DATA
    server.cuts = [5000]
    with pytest.raises(PrerequisiteError):
        fetch(f"{server.url}/s.tar", tmp_path, attempts=1)
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(DATA)
    server.refuse = [416]
    assert fetch(f"{server.url}/s.tar", tmp_path, wait=0).read_bytes() == DATA


@pytest.mark.parametrize("status", [404, 403])
def test_a_file_that_is_not_there_is_asked_for_once(
    server: Server, tmp_path: Path, status: int
) -> None:
    server.refuse = [status]
    with pytest.raises(InputError, match=f"s.tar.*{status}"):
        fetch(f"{server.url}/s.tar", tmp_path)
    assert len(server.asked) == 1


def test_nobody_answers(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(PrerequisiteError, match="check the network"):
        fetch(f"http://127.0.0.1:{port}/s.tar", tmp_path, attempts=2, wait=0)


def test_two_at_once_download_once(server: Server, tmp_path: Path) -> None:
    server.files["/s.tar"] = DATA
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(fetch(f"{server.url}/s.tar", tmp_path)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4
    assert len(set(paths)) == 1
    assert len(server.asked) == 1
