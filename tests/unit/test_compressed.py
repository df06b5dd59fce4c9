"""Decompressing log files."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lines import valid_lines
from log_processor.following.compressed import NoLog, is_compressed, opened, text_of

LINES = valid_lines(500)
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
every_format = pytest.mark.parametrize("kind", COMPRESSORS)


def text(path: Path) -> bytes:
    with opened(path) as file:
        return file.read()


def written(folder: Path, data: bytes) -> Path:
    path = folder / "old"
    path.write_bytes(data)
    return path


def tar(name: str, data: bytes, form: int = tarfile.GNU_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("access.log", data)
    return file.getvalue()


@every_format
def test_a_small_file_with_a_large_text_takes_little_memory(tmp_path: Path, kind: str) -> None:
    size = 100 << 20
    path = written(tmp_path, COMPRESSORS[kind](b"x" * size))
    tracemalloc.start()
    try:
        with opened(path) as file:
            assert sum(map(len, iter(lambda: file.read(1 << 20), b""))) == size
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()


def test_a_file_that_asks_for_much_memory_is_refused(tmp_path: Path) -> None:
    large = lzma.compress(LINES, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 256 << 20, "mf": lzma.MF_HC3}])
    with pytest.raises(NoLog, match="Memory usage limit exceeded"):
        text(written(tmp_path, large))
    assert text(written(tmp_path, lzma.compress(LINES, preset=9))) == LINES


@every_format
def test_any_number_of_parts_are_read_whatever_the_file_is_called(tmp_path: Path, kind: str) -> None:
    compress = COMPRESSORS[kind]
    parts = b"".join(compress(part) for part in (LINES[:10_000], b"", LINES[10_000:]))
    assert text(written(tmp_path, parts)) == LINES
    assert text(written(tmp_path, parts + b"\0" * 10_000)) == LINES, "padded"
    assert text(written(tmp_path, parts + b"\n")) == LINES, "a newline after it"
    assert is_compressed(parts[:6])


def test_frames_without_text_are_passed_over(tmp_path: Path) -> None:
    frame = b"\x5a\x2a\x4d\x18\x04\0\0\0size"
    compressed = COMPRESSORS["zstd"](LINES)
    assert text(written(tmp_path, frame + compressed + frame)) == LINES


def test_parts_may_be_of_several_formats(tmp_path: Path) -> None:
    parts = [compress(LINES) for compress in COMPRESSORS.values()]
    assert text(written(tmp_path, b"".join(parts))) == len(parts) * LINES


def test_a_file_that_is_not_compressed_is_its_own_text(tmp_path: Path) -> None:
    assert text(written(tmp_path, LINES)) == LINES
    assert text(written(tmp_path, b"")) == b""


@every_format
def test_a_damaged_file_is_refused(tmp_path: Path, kind: str) -> None:
    compressed = COMPRESSORS[kind](LINES)
    damaged = bytearray(compressed)
    damaged[len(damaged) // 2] ^= 0xFF
    for data in (compressed[:-1], compressed[:-20], compressed[:10], compressed + b"and more", bytes(damaged)):
        with pytest.raises(NoLog, match=r"old is no whole compressed file: .*\.$"):
            text(written(tmp_path, data))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped(LINES), "is a zip archive"),
        (tar("access.log", LINES), "is a tar archive"),
        (tar("access.log", LINES, tarfile.PAX_FORMAT), "is a tar archive"),
        (gzip.compress(tar("access.log", LINES)), "is compressed, and then a tar archive"),
        (lzma.compress(zipped(LINES)), "is compressed, and then a zip archive"),
        (bz2.compress(gzip.compress(LINES)), "is compressed, and then compressed again"),
        (b"7z\xbc\xaf\x27\x1c" + LINES, "is a 7z archive"),
        (b"Rar!\x1a\x07\x00" + LINES, "is a rar archive"),
        (b"\x04\x22\x4d\x18" + LINES, "is compressed by lz4"),
        (b"\x1f\x9d\x90" + LINES, r"is compressed by compress \(.Z\)"),
    ],
)
def test_archives_and_other_compression_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(NoLog, match=rf"old {message}: unpack it, and hand in the log files\."):
        text(written(tmp_path, data))


def test_a_path_without_a_regular_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoLog, match=r"missing cannot be read: No such file or directory\."):
        text(tmp_path / "missing")
    with pytest.raises(NoLog, match=r"cannot be read: Is a directory\."):
        text(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    # Nobody writes to it.
    with pytest.raises(NoLog, match=r"pipe is no regular file\."):
        text(tmp_path / "pipe")


@given(
    st.lists(st.tuples(st.sampled_from(sorted(COMPRESSORS)), st.binary(max_size=20_000)), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 50_000), st.integers(0, 5_000))),
)
def test_it_is_read_from_anywhere(parts: list[tuple[str, bytes]], looks: list[tuple[int, int]]) -> None:
    whole = b"".join(data for _, data in parts)
    file = text_of(io.BytesIO(b"".join(COMPRESSORS[kind](data) for kind, data in parts)))
    for offset, length in looks:
        file.seek(offset)
        assert file.read(length) == whole[offset : offset + length]
