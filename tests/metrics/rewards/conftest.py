"""Tests that have nothing to compare with are not collected, so none of them passes unchecked."""

from pathlib import Path

SHARED = Path(__file__).resolve().parents[4] / "shared" / "fixtures" / "t2v_turbo"
ARRAYS = SHARED / "reward_preprocess.npz"
collect_ignore = [] if ARRAYS.is_file() else ["test_preprocess_golden.py"]
