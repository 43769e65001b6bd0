"""What a file says of itself: whether it can be opened, and how long it claims to be."""

import math
import os
import stat
from pathlib import Path
from typing import Any

import av

from erc_kedro.extractors.media.budget import Watched
from erc_kedro.extractors.media.refusals import PADDING_S
from erc_kedro.extractors.media.signals import Unusable

# What FFmpeg may take a file for. Playlists, image patterns and the like would open other files.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,dv,"
    "wav,w64,mp3,flac,ogg,aac,aiff,amr,au,caf"
)
# A container of these does not say how long it is; FFmpeg guesses it by bit rates or time stamps.
UNSTATED = ("aac", "amr", "mpeg", "mpegts")
# Headers of an MP3's own before its sound.
MOST_TAGS = 64


def check(path: Path) -> os.stat_result:
    """The file's status.

    Raises:
        Unusable: it is not there, not a file, empty, or cannot be looked at.
    """
    try:
        status = path.stat()
    except ValueError as error:
        raise Unusable("no_media", f"no file can be called so ({error})") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Unusable("no_media", "there is no such file") from error
    except OSError as error:
        raise Unusable("unreadable", error.strerror or str(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise Unusable("unreadable", "not a file")
    if status.st_size == 0:
        raise Unusable("unreadable", "the file is empty")
    return status


def opened(file: Watched) -> Any:
    """FFmpeg's container.

    Raises:
        Unusable: the file is no media, or opening it took too much work.
    """
    try:
        return av.open(file, options={"format_whitelist": FORMATS}, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        file.check()
        raise Unusable("unreadable", said(error)) from error


def stated_s(path: Path, container: Any, stream: Any, video: Any) -> float:
    """How long the container says that a stream is, in seconds; infinity where it does not say.

    Args:
        video: the file's stream of pictures, None without one.
    """
    name = container.format.name
    if stream.duration:
        said = float(stream.duration * stream.time_base)
    else:
        said = container.duration / av.time_base if container.duration else math.inf
    if name in UNSTATED or (name == "matroska,webm" and stream.duration):
        # Matroska states it for all of its streams at once, or else it is a guess.
        return math.inf
    if name == "mp3":
        rate = stream.codec_context.sample_rate
        counted = mp3_frames(path) * (1152 if rate >= 32_000 else 576) / max(rate, 1)
        # Of several joined files, FFmpeg does not believe the first one's either, and guesses.
        return said if abs(said - counted) < 2 * PADDING_S else math.inf
    if name == "wav":
        # FFmpeg takes what is left of a file that breaks off for the whole.
        stated = _riff_bytes(path)
        if stated > container.size and stream.codec_context.bit_rate:
            said = max(said, 8 * stated / stream.codec_context.bit_rate)
    if name == "avi" and video and video.frames and video.average_rate:
        # The same; the header counts frames.
        said = max(said, video.frames / float(video.average_rate))
    return said


def mp3_frames(path: Path) -> int:
    """How many frames an MP3 says that it has, in its first one (Xing, Info or VBRI); 0 if it does not."""
    with path.open("rb") as file:
        head = file.read(10)
        # A file may be nothing but such headers.
        for _ in range(MOST_TAGS):
            if head[:3] != b"ID3" or len(head) != 10:
                break
            # Four bytes of seven bits; a footer repeats the header.
            size = sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
            file.seek(size + (10 if head[5] & 16 else 0), os.SEEK_CUR)
            head = file.read(10)
        head += file.read(4096)
    for name, place in ((b"Xing", 8), (b"Info", 8), (b"VBRI", 14)):
        at = head.find(name)
        if at >= 0 and (name == b"VBRI" or int.from_bytes(head[at + 4 : at + 8], "big") & 1):
            return int.from_bytes(head[at + place : at + place + 4], "big")
    return 0


def _riff_bytes(path: Path) -> int:
    """How many bytes a WAV file says that it has; 0 if it does not, as one that was streamed."""
    with path.open("rb") as file:
        head = file.read(8)
    size = int.from_bytes(head[4:], "little")
    # Streams write the largest number of 31 or 32 bits, or almost.
    return size + 8 if head[:4] == b"RIFF" and size < 0x7FFF0000 else 0


def said(error: Exception) -> str:
    """What a library's error says, without its arguments."""
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
