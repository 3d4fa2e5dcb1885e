"""What a training configuration says about its data."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["mini", "folder", "webdataset", "latents"]
Rule = Literal["stride", "fractional"]
Resize = Literal["lanczos", "bilinear"]


class DataSettings(BaseModel):
    """Which clips a run learns from, and how frames are taken from them.

    Attributes:
        kind: `mini` (drawn clips), `folder` (videos with captions), `webdataset` (tar shards of mp4
            and txt) or `latents` (written by `cache_latents`).
        path: Folders; for `webdataset` shards, brace patterns, folders of shards, lists of shards
            (.txt), each on this machine or an http(s) address.
        captions: The csv or jsonl file of kind `folder`; when absent `captions.csv` or
            `captions.jsonl` in the folder, else a .txt beside each video.
        pool: Kind `mini`: how many clips there are.
        stream: Kind `mini`: the stream that they come from.
        fps: Frames a second asked of a clip; the teacher's when absent.
        choice: How frames are chosen: `stride` (T2V-Turbo) or `fractional` (T2V-Turbo-v2).
        resize: How frames are resized: `lanczos` (T2V-Turbo) or `bilinear` (T2V-Turbo-v2).
        workers: Threads that read batches ahead; 0 reads each when it is asked for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    kind: Kind = "mini"
    path: list[str] = []
    captions: str | None = None
    pool: int = Field(default=3000, ge=1)
    stream: int = Field(default=200, ge=0)
    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    choice: Rule = "stride"
    resize: Resize = "lanczos"
    workers: int = Field(default=0, ge=0, le=64)

    @model_validator(mode="after")
    def _fits_kind(self) -> "DataSettings":
        if self.kind == "mini" and self.path:
            raise ValueError("kind mini draws its clips and takes no path: choose another kind")
        if self.kind != "mini" and not self.path:
            raise ValueError(f"kind {self.kind} needs a path")
        if self.kind != "folder" and self.captions is not None:
            raise ValueError(f"captions belongs to kind folder, not to {self.kind}")
        return self
