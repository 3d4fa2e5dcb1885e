"""Resizing of frames as T2V-Turbo's data were resized: OpenCV's Lanczos-4, without OpenCV."""

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array
from torch.nn import functional as F

from turbo_train.data.settings import Resize

_LOBES = 4

Frames = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Float32 = npt.NDArray[np.float32]


def lanczos_matrix(length: int, wanted: int) -> Float32:
    """Weights that resample one axis: float32 [wanted, length], rows sum to 1.

    Eight taps at half-pixel centres, w(d) = sinc(d) sinc(d / 4), normalised; the outermost pixel
    stands for those beyond the border. The kernel keeps its width when the axis gets shorter, so
    there is no smoothing against aliasing.

    Source: Lanczos (1956) window with four lobes, conventions of OpenCV's INTER_LANCZOS4.
    """
    centres = (np.arange(wanted) + 0.5) * (length / wanted) - 0.5
    taps = np.floor(centres)[:, None].astype(np.int64) + np.arange(1 - _LOBES, 1 + _LOBES)
    distance = centres[:, None] - taps
    weights = np.sinc(distance) * np.sinc(distance / _LOBES)
    weights /= weights.sum(1, keepdims=True)
    matrix = np.zeros((wanted, length))
    np.add.at(matrix, (np.arange(wanted)[:, None], taps.clip(0, length - 1)), weights)
    return matrix.astype(np.float32)


def lanczos(frames: Frames, height: int, width: int) -> Float32:
    """Resize frames by Lanczos-4; the aspect ratio is not kept.

    Args:
        frames: [T, H, W, C], uint8 or float32.
        height: Wanted rows.
        width: Wanted columns.

    Returns:
        float32 [T, height, width, C]; values overshoot the range of the input near edges.
    """
    count, rows, columns, channels = frames.shape
    # Only eight weights of a row are not 0.
    across = csr_array(lanczos_matrix(columns, width))
    down = csr_array(lanczos_matrix(rows, height))
    result = np.empty((count, height, width, channels), np.float32)
    for index, frame in enumerate(frames):
        tall = down @ frame.astype(np.float32).reshape(rows, -1)
        turned = tall.reshape(height, columns, channels).swapaxes(0, 1)
        wide = across @ turned.reshape(columns, -1)
        result[index] = wide.reshape(width, height, channels).swapaxes(0, 1)
    return result


def bilinear(frames: Frames, height: int, width: int) -> Float32:
    """Resize frames bilinearly, smoothed against aliasing where they get smaller.

    Args:
        frames: [T, H, W, C], uint8 or float32.
        height: Wanted rows.
        width: Wanted columns.

    Returns:
        float32 [T, height, width, C], within the range of the input up to rounding.
    """
    given = torch.from_numpy(frames.astype(np.float32)).permute(0, 3, 1, 2)
    resized = F.interpolate(
        given, (height, width), mode="bilinear", antialias=True, align_corners=False
    )
    result: Float32 = resized.permute(0, 2, 3, 1).contiguous().numpy()
    return result


def fit(
    frames: Frames, height: int, width: int, method: Resize = "lanczos"
) -> npt.NDArray[np.float16]:
    """Frames of the wanted size as T2V-Turbo keeps them: float16 [T, height, width, C] in 0..255.

    The authors clamp after the change to -1..1; here the overshoot is cut off at once, which gives
    the same values.
    """
    resized = (lanczos if method == "lanczos" else bilinear)(frames, height, width)
    return resized.clip(0, 255).astype(np.float16)
