"""Small media files that tests make: whole ones with a face and a voice, and broken ones."""

import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

RATE = 16_000


def voice(seconds: float, rate: int = RATE, pitch: float = 140.0) -> np.ndarray:
    """A buzzing, swelling tone, float32 [samples]."""
    time = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 8))
    return (0.2 * tone * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))).astype(np.float32)


def portrait() -> np.ndarray:
    """A photograph of a face that comes with scikit-image, RGB uint8 [256, 256, 3]."""
    from skimage import data

    return cv2.resize(data.astronaut()[0:260, 90:350], (256, 256))


def scene(size: tuple[int, int], at: tuple[int, int] | None, face: int = 120) -> np.ndarray:
    """A gray wall, width and height given, with a face at a place or without, RGB uint8."""
    width, height = size
    image = np.full((height, width, 3), 110, np.uint8)
    image[:, ::16] = 120
    if at is not None:
        left, top = at
        image[top : top + face, left : left + face] = cv2.resize(portrait(), (face, face))
    return image


def write(
    path: Path,
    frames: list[np.ndarray] | None,
    sound: np.ndarray | None,
    *,
    fps: int = 12,
    times: list[float] | None = None,
    rate: int = RATE,
    channels: int = 1,
    video_codec: str = "mpeg4",
    pix_fmt: str = "yuv420p",
    audio_codec: str = "aac",
    audio_kbps: int | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encodes frames (RGB) and a sound; ``times`` gives each frame's own time in seconds."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        video = audio = None
        if frames is not None:
            video = container.add_stream(video_codec, rate=fps)
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt = pix_fmt
            video.time_base = video.codec_context.time_base = Fraction(1, 600)
            video.bit_rate = 2_000_000
        if sound is not None:
            audio = container.add_stream(audio_codec, rate=rate)
            audio.layout = {1: "mono", 2: "stereo"}[channels]
            if audio_kbps:
                audio.bit_rate = 1000 * audio_kbps
            if audio_codec == "vorbis":
                audio.codec_context.options = {"strict": "-2"}
        for number, image in enumerate(frames or []):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            frame.time_base = Fraction(1, 600)
            frame.pts = round(600 * (times[number] if times else number / fps))
            container.mux(video.encode(frame))
        if sound is not None:
            step = audio.codec_context.frame_size or 1024
            kind = "s16" if audio_codec in ("pcm_s16le", "flac", "libopus", "mp2") else "fltp"
            for first in range(0, len(sound), step):
                part = np.tile(sound[first : first + step], (channels, 1))
                if kind == "s16":
                    part = (part.T.reshape(1, -1) * 32767).clip(-32768, 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(part), kind, {1: "mono", 2: "stereo"}[channels]
                )
                frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
                container.mux(audio.encode(frame))
        for stream in filter(None, (video, audio)):
            container.mux(stream.encode(None))
    return path


def clip(path: Path, seconds: float = 1.5, **options) -> Path:
    """A face that wanders to the right, and a voice."""
    count = max(1, round(seconds * options.get("fps", 12)))
    frames = [scene((320, 240), (60 + 2 * number, 60)) for number in range(count)]
    return write(path, frames, voice(seconds), **options)


def wav(path: Path, sound: np.ndarray, rate: int = RATE, channels: int = 1) -> Path:
    """16-bit PCM; ``sound`` float32 [samples] or [samples, channels]."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def not_numbers(path: Path, channels: int = 1) -> Path:
    """A WAV of 32-bit floats, some of those in its first channel not numbers."""
    samples = np.tile(voice(1.0)[:, None], channels)
    samples[4000:4100, 0] = np.nan
    data = samples.astype("<f4").tobytes()
    head = b"fmt " + (16).to_bytes(4, "little") + (3).to_bytes(2, "little") + channels.to_bytes(2, "little")
    head += RATE.to_bytes(4, "little") + (4 * RATE * channels).to_bytes(4, "little")
    head += (4 * channels).to_bytes(2, "little") + (32).to_bytes(2, "little")
    body = b"WAVE" + head + b"data" + len(data).to_bytes(4, "little") + data
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    return path
