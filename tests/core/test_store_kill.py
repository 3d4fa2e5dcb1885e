"""A process killed in the middle of appending leaves a table that reads without a fault."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from turbo_eval.core.records import FeatureRow, schema
from turbo_eval.core.store import Table

_CHILD = """
import sys
from pathlib import Path
from turbo_eval.core.records import FeatureRow, schema
from turbo_eval.core.store import Table
table = Table(Path(sys.argv[1]), schema(FeatureRow), ("video_id", "feature_key"))
for i in range(10**9):
    rows = [FeatureRow(f"{i}-{j}", sys.argv[2], "c", "b", i, "", 1.0, "ok") for j in range(5)]
    table.append(rows)
    print(i, flush=True)
"""


@pytest.mark.slow
def test_reading_works_after_kills_and_nothing_reported_is_lost(tmp_path: Path) -> None:
    chance = random.Random(0)
    folder = tmp_path / "t"
    expected: dict[str, int] = {}
    for round_ in range(6):
        who = f"child-{round_}"
        with subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(folder), who], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "0\n"
            time.sleep(chance.uniform(0.0, 0.15))
            os.kill(child.pid, signal.SIGKILL)
            told = [line for line in child.stdout.read().splitlines(keepends=True) if line != "\n"]
        finished = [int(line) for line in told if line.endswith("\n")]
        expected[who] = max(finished, default=0) + 1
    rows = Table(folder, schema(FeatureRow), ("video_id", "feature_key")).read()
    assert list(folder.glob("*.broken")) == []
    for who, batches in expected.items():
        mine = [row for row in rows if row["video_id"] == who]
        # Whole batches only, every one that was reported, at most one more.
        assert len(mine) in {5 * batches, 5 * (batches + 1)}


@pytest.mark.slow
def test_several_processes_append_to_one_table(tmp_path: Path) -> None:
    code = _CHILD.replace("10**9", "20")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), f"p{i}"], stdout=subprocess.DEVNULL
        )
        for i in range(3)
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert Table(tmp_path, schema(FeatureRow), ("video_id", "feature_key")).count() == 3 * 20 * 5
