"""Image files → one uint8 array: every file decoded once, unreadable ones skipped and counted."""

from __future__ import annotations

import functools
import io
import math
import os
import struct
import time
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from compat_core.data.base import Progress
from compat_core.data.files import ImageFile, printable
from compat_core.errors import CompatError

DECODER_VERSION = 1
"""Part of every cache key: raise it when the same file would decode to other pixels."""

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 89_478_485  # Pillow's own warning level, 1/4 GB as RGB; beyond it Pillow only warns, we skip
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"})
MAX_UPLOAD_BYTES = 20 * 2**20
SAMPLE = 64
_CHUNK = 128
_TIMED = 16  # files decoded before it is known how long one takes

# What Pillow raises for bytes that are not the image they claim to be (its plug-ins leak their parsers' exceptions).
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """The outcome of decoding n files.

    Attributes:
        images: ``(M, C, S, S)`` uint8, the readable ones in the order of the files.
        kept: ``(M,)`` int64, which of the n files they are.
        skipped: (id, reason) of each unreadable file.
        greyed: number of colour images that were turned grey because the data set is grey.
    """

    images: np.ndarray
    kept: np.ndarray
    skipped: tuple[tuple[str, str], ...]
    greyed: int


def probe(files: Sequence[ImageFile]) -> tuple[int, int]:
    """Look at the headers of up to 64 files, evenly spaced.

    Returns:
        (channels, side): 1 channel when all of them are grey, else 3; the side in pixels of all of them when they are
        squares of one size, else 0.
    """
    chosen = np.unique(np.linspace(0, len(files) - 1, min(SAMPLE, len(files))).astype(int))
    modes, sizes = set(), set()
    with _pillow_quiet():
        for index in chosen:
            try:
                with Image.open(files[index].path, formats=FORMATS) as image:
                    modes.add(image.mode)
                    sizes.add(image.size)
            except UNREADABLE:
                continue  # counted and reported when it is decoded
    channels = 1 if modes and modes <= GREY_MODES else 3
    width, height = sizes.pop() if len(sizes) == 1 else (0, 1)
    return channels, width if width == height else 0


def decode_file(file: ImageFile, size: int, channels: int) -> tuple[np.ndarray, bool]:
    """One file as ``(C, S, S)`` uint8, upright, its shorter side resized to ``size`` and the centre cut out.

    The first frame of an animation; transparency over white; 16-bit grey by its upper 8 bits.

    Args:
        file: what to read.
        size: side S in pixels.
        channels: C, 1 or 3.

    Returns:
        (pixels, whether colour was lost).

    Raises:
        one of :data:`UNREADABLE`, when the file is not a whole image.
    """
    if file.stamp[0] == 0:
        raise ValueError("empty file")
    return _decode(file.path, size, channels)


def decode_upload(data: bytes, name: str, size: int, channels: int) -> np.ndarray:
    """An uploaded image as ``(C, S, S)`` uint8, decoded exactly as the files of a data set are.

    Args:
        data: the file's content.
        name: what to call it in an error; never used as a path.
        size: side S in pixels.
        channels: C, 1 or 3.

    Raises:
        CompatError: when it is empty, too large, truncated, or no image at all.
    """
    if not data:
        raise CompatError("image", value=name, rule="the file is empty", fix="choose a PNG or JPEG picture")
    if len(data) > MAX_UPLOAD_BYTES:
        raise CompatError("image", value=name, rule=f"over {MAX_UPLOAD_BYTES // 2**20} MiB", fix="send a smaller one")
    try:
        with _pillow_quiet():
            return _decode(io.BytesIO(data), size, channels)[0]
    except UNREADABLE as error:
        fix = "choose a PNG or JPEG picture"
        raise CompatError("image", value=name, rule=f"cannot be read ({_reason(error)})", fix=fix) from error


def preview_upload(data: bytes, side: int) -> np.ndarray:
    """The whole picture of an upload that :func:`decode_upload` read, ``(H, W, 3)`` uint8, its longer side ``side``.

    No side is below one pixel, however long and narrow the picture is.

    Args:
        data: the file's content.
        side: longer side in pixels; a smaller picture is enlarged to it.

    Raises:
        one of :data:`UNREADABLE`, for what :func:`decode_upload` refuses.
    """
    with _pillow_quiet():
        plain, _ = _upright(io.BytesIO(data), side, "RGB")
    scale = side / max(plain.size)
    width, height = (max(1, round(scale * length)) for length in plain.size)
    return np.asarray(plain.resize((width, height), Image.Resampling.BILINEAR))


def _decode(source: str | io.BytesIO, size: int, channels: int) -> tuple[np.ndarray, bool]:
    plain, colour = _upright(source, size, "L" if channels == 1 else "RGB")
    if plain.size != (size, size):
        plain = ImageOps.fit(plain, (size, size), method=Image.Resampling.BILINEAR)  # antialiased when shrinking
    pixels = np.asarray(plain)
    return (pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)), colour and channels == 1


def _upright(source: str | io.BytesIO, size: int, mode: str) -> tuple[Image.Image, bool]:
    """The whole picture in 8-bit ``mode``, its sides not below ``2 size`` where the file's are not; and whether the
    file is in colour."""
    with Image.open(source, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} px is over the limit of {MAX_PIXELS} px")
        colour = image.mode not in GREY_MODES
        # JPEG can be decoded at 1/2, 1/4 or 1/8: stay at twice the target, the resize of the caller does the rest.
        image.draft(None, (2 * size, 2 * size))  # type: ignore[arg-type]
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _plain(image, mode), colour


def decode_chunks(
    files: Sequence[ImageFile], size: int, channels: int, progress: Progress | None = None
) -> Iterator[Decoded]:
    """Decode all files, a chunk of them at a time, on as many threads as that is faster on.

    Pillow's decoders release the interpreter's lock. A few chunks are in memory at once, however slowly they are taken.

    Args:
        files: n files.
        size, channels: S and C of the result.
        progress: told after every chunk; what it raises stops the work and passes through.

    Yields:
        consecutive parts of the result; ``kept`` counts files from the first of all.
    """

    def decode_chunk(start: int, length: int = _CHUNK) -> Decoded:
        chunk = files[start : start + length]
        images = np.empty((len(chunk), channels, size, size), dtype=np.uint8)
        kept: list[int] = []
        bad: list[tuple[str, str]] = []
        greyed = 0
        for index, file in enumerate(chunk, start):
            try:
                images[len(kept)], lost_colour = decode_file(file, size, channels)
            except UNREADABLE as error:
                bad.append((file.id, _reason(error)))
            else:
                kept.append(index)
                greyed += lost_colour
        return Decoded(images[: len(kept)], np.array(kept, dtype=np.int64), tuple(bad), greyed)

    if not files:
        return
    done = min(_TIMED, len(files))
    with _pillow_quiet():
        started = time.perf_counter()
        first = decode_chunk(0, _TIMED)
        taken = time.perf_counter() - started
    threads = _threads(taken / len(first.kept) if len(first.kept) else math.inf)
    yield first
    if progress is not None:
        progress(done, len(files))
    with _pillow_quiet(), ThreadPoolExecutor(threads) as pool:
        try:
            for decoded in _in_order(pool, decode_chunk, range(done, len(files), _CHUNK), 4 * threads):
                yield decoded
                done += len(decoded.kept) + len(decoded.skipped)
                if progress is not None:
                    progress(done, len(files))
        finally:
            pool.shutdown(cancel_futures=True)


def decode_files(files: Sequence[ImageFile], size: int, channels: int, progress: Progress | None = None) -> Decoded:
    """:func:`decode_chunks` with all images in main memory."""
    images = np.empty((len(files), channels, size, size), dtype=np.uint8)
    kept = [np.empty(0, dtype=np.int64)]
    skipped: list[tuple[str, str]] = []
    filled = greyed = 0
    for part in decode_chunks(files, size, channels, progress):
        images[filled : filled + len(part.images)] = part.images
        filled += len(part.images)
        kept.append(part.kept)
        skipped += part.skipped
        greyed += part.greyed
    return Decoded(images[:filled], np.concatenate(kept), tuple(skipped), greyed)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[int], Decoded], starts: Iterable[int], most: int
) -> Iterator[Decoded]:
    """``map(work, starts)`` on the pool's threads, with at most ``most`` results under way or waiting to be taken."""
    waiting: deque[Future[Decoded]] = deque()
    for start in starts:
        waiting.append(pool.submit(work, start))
        if len(waiting) == most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """``image`` as 8-bit ``mode`` without transparency."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        # 16-bit files open as I;16 or, in some formats, as I (32 bits holding 16): Pillow's convert would clip at 255.
        values = values >> 8 if image.mode != "I" or values.max(initial=0) > 255 else values
        return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert(mode)
    if image.mode == "F":
        raise ValueError("32-bit float pixels have no defined range")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert(mode)
    return image if image.mode == mode else image.convert(mode)


def _reason(error: BaseException) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image in a known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return printable(" ".join(str(error).split())[:100]) or type(error).__name__


def _threads(seconds: float) -> int:
    """Threads that files of ``seconds`` each are decoded on.

    While one runs Python the others wait for the interpreter, and waking each other costs more than small files do:
    on two cores 16 threads read pictures of 32 px at half the speed of one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(max(1, min(cores, 16, seconds / _interpreted())))


@functools.cache
def _interpreted() -> float:
    """Seconds of one file that are Python's, however small its picture: 2.5 times what a dot in memory takes.

    Opening a file is Python's, too, and so are JPEG's headers. Two threads gain nothing on files of 32 px (2.5 times
    the dot) and of 64 px (4), and 1.8 times on those that take 5 and more.
    """
    dot = io.BytesIO()
    Image.new("RGB", (1, 1)).save(dot, "PNG")
    taken = []
    for _ in range(20):
        started = time.perf_counter()
        _decode(io.BytesIO(dot.getvalue()), 1, 3)
        taken.append(time.perf_counter() - started)
    return 2.5 * min(taken)


class _pillow_quiet(warnings.catch_warnings):
    """Pillow warns about sizes and metadata per file; what matters here is said once, in the data set's notes."""

    def __enter__(self) -> None:  # type: ignore[override]
        super().__enter__()
        warnings.filterwarnings("ignore", module=r"PIL\.")
