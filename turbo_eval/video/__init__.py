"""Decode, encode, probe and sample video; the only place where files become frames."""

from turbo_eval.video.clip import Clip, clip_of
from turbo_eval.video.encode import encode
from turbo_eval.video.read import VideoInfo, decode, probe
from turbo_eval.video.sample import middle_indices

__all__ = ["Clip", "VideoInfo", "clip_of", "decode", "encode", "middle_indices", "probe"]
