from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from turbo_eval.core.errors import InputError
from turbo_eval.features.cache import load_features, read_header, save_features

ARRAYS: dict[str, NDArray[Any]] = {
    "scalar": np.array(3.5, np.float32),
    "empty": np.zeros((0, 4)),
    "bytes": np.arange(5, dtype=np.uint8),
    "strided": np.arange(12.0).reshape(3, 4).T,
}


def test_arrays_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_features(path, ARRAYS, key="k", seconds=0.25)
    assert read_header(path) == {"key": "k", "seconds": "0.250000"}
    found = load_features(path)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_every_truncation_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_features(path, ARRAYS, key="k", seconds=0)
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        assert read_header(path) is None
    path.write_bytes(data[:-1])
    with pytest.raises(InputError, match="cannot be read"):
        load_features(path)
    assert read_header(tmp_path / "missing") is None
