"""Text-to-video systems behind one protocol, and folders of videos that exist already."""

from turbo_eval.models.folder import FolderVideos
from turbo_eval.models.labels import labels
from turbo_eval.models.load import REGISTRY, load, model_names, open_source, sampler_of
from turbo_eval.models.protocol import Frames, ModelInfo, Sampler, TextToVideo

__all__ = [
    "REGISTRY",
    "FolderVideos",
    "Frames",
    "ModelInfo",
    "Sampler",
    "TextToVideo",
    "labels",
    "load",
    "model_names",
    "open_source",
    "sampler_of",
]
