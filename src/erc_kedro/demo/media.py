"""Frames and sounds into the files of the releases; the same input gives the same bytes."""

import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from erc_kedro.demo.face import FPS
from erc_kedro.demo.voice import RATE

_FRAME_RATE = Fraction(FPS)


def write_clip(path: Path, frames: np.ndarray | None, sound: np.ndarray) -> None:
    """Writes an mp4 as MELD has it: H.264 (MPEG-4 where PyAV lacks x264) and AAC.

    Args:
        path: of the file.
        frames: uint8 RGB [frames, height, width, 3], ``FPS`` a second; None for no video stream.
        sound: mono float32 [samples], ``RATE`` a second.
    """
    video = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    # AAC comes in blocks of 1024 samples; nothing shorter can be said in it.
    audio = "aac" if len(sound) >= 1024 else "flac"
    _write(path, "mp4", frames, video, sound, audio)


def write_avi(path: Path, frames: np.ndarray, sound: np.ndarray) -> None:
    """Writes an avi as IEMOCAP has it: MPEG-4 video and PCM sound; arguments as of ``write_clip``."""
    _write(path, "avi", frames, "mpeg4", sound, "pcm_s16le")


def write_wav(path: Path, sound: np.ndarray) -> None:
    """Writes 16-bit PCM; ``sound`` is mono float32 [samples], ``RATE`` a second."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(_pcm(sound).tobytes())


def _pcm(sound: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2")


def _write(
    path: Path, form: str, frames: np.ndarray | None, video: str, sound: np.ndarray, audio: str
) -> None:
    # Bit-exact: no version of a library, no date.
    with av.open(str(path), "w", format=form, options={"fflags": "+bitexact"}) as container:
        # Of several kinds, which types cannot tell apart.
        streams: list[Any] = []
        if frames is not None:
            # A constant quantiser: x264's own choice of one was seen to vary between runs.
            quality = {"qp": "26", "preset": "veryfast"} if video == "libx264" else {"qmin": "4", "qmax": "4"}
            stream: Any = container.add_stream(video, rate=_FRAME_RATE, options=quality)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            streams.append(stream)
        voice: Any = container.add_stream(audio, rate=RATE, layout="mono")
        streams.append(voice)
        for stream in streams:
            stream.codec_context.thread_count = 1
            stream.codec_context.flags |= int(av.codec.context.Flags.bitexact)
        for number, picture in enumerate(frames if frames is not None else ()):
            planes = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, 1 / _FRAME_RATE
            container.mux(streams[0].encode(frame))
        block = av.AudioFrame.from_ndarray(_pcm(sound)[None], format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(voice.encode(block))
        for stream in streams:
            container.mux(stream.encode(None))
