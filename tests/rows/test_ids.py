"""Files of raw ids: how wide they are, their headers and indexes, the pairs of the extraction benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.rows import ids_of, read, told

from memviz.errors import InputError


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32", "int64"])
def test_widths_of_raw_ids_are_recognised_and_said(tmp_path: Path, dtype: str) -> None:
    n_ids = 250 if dtype == "uint8" else 152_000 if dtype == "int64" else 50_257
    ids = np.random.default_rng(0).integers(0, n_ids, 1001)
    path = tmp_path / "a.bin"
    ids.astype(np.dtype(dtype).newbyteorder("<")).tofile(path)
    found, refused, said = told(path, n_ids, whole=True)
    shown = "uint32" if dtype == "int32" else dtype
    assert found[0].content.tolist() == ids.tolist() and not refused
    assert said == [f"a.bin is read as {shown}, recognised by its ids: wider ones would lie outside the vocabulary"]
    assert told(path, n_ids, whole=True, dtype=dtype)[2] == [f"a.bin is read as {dtype}, as asked"]
    (tmp_path / "a.bin.json").write_text(json.dumps({"dtype": np.dtype(dtype).str}))
    assert told(path, n_ids, whole=True)[2] == [f"a.bin is read as {dtype}, as a.bin.json says"]


def test_padded_raw_ids(tmp_path: Path) -> None:
    ids = np.array([5, 6, 7, -1, -1], "<i4")
    ids.tofile(tmp_path / "a.bin")
    assert ids_of(tmp_path / "a.bin", 50, whole=True, pad_id=-1) == [[5, 6, 7]]
    with pytest.raises(InputError, match=r"a.bin does not show how wide its ids are"):
        read(tmp_path / "a.bin", 50, whole=True)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "a.bin is empty"),
        (b"123", "a.bin does not show how wide its ids are: .* name one of uint8, uint16, uint32, int32, int64"),
        (bytes(80), "a.bin does not show"),
        (
            np.full(20, 40_000, "<u2").tobytes(),
            "a.bin does not show how wide its ids are: no width alone gives ids of 0",
        ),
        (np.array([5, 6, 7, 8, 9, 999], "<u4").tobytes(), "a.bin does not show"),  # one id is wrong
        (
            np.arange(1, 3, dtype=">u4").tobytes() * 9,
            "a.bin does not show",
        ),  # the other end first: as uint16, 0 and 256
        (b"\x93NUMPY" + bytes(200), "a.bin is an array of numpy, whose header is no ids: call it NAME.npy"),
    ],
)
def test_raw_ids_that_show_no_width(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read(tmp_path / "a.bin", 600, whole=True)
    (tmp_path / "a.bin").write_bytes(bytes(7))
    with pytest.raises(InputError, match=r"a.bin has 7 bytes, no whole number of uint32 ids"):
        read(tmp_path / "a.bin", 300, whole=True, dtype="uint32")


def test_ids_of_a_vocabulary_that_a_width_cannot_hold(tmp_path: Path) -> None:
    np.random.default_rng(0).normal(size=200).astype("<f4").tofile(tmp_path / "a.bin")  # any bytes fit as uint16
    with pytest.raises(InputError, match=r"a.bin does not show how wide its ids are"):
        read(tmp_path / "a.bin", 152_000, whole=True)


def test_a_sidecar_that_says_what_is_not_read(tmp_path: Path) -> None:
    np.arange(5, 25, dtype=">u2").tofile(tmp_path / "a.bin")
    (tmp_path / "a.json").write_text('{"dtype": ">u2"}')
    with pytest.raises(InputError, match=r"a.json says that a.bin holds >u2, which is not read: write the ids as one"):
        read(tmp_path / "a.bin", 60_000, whole=True)


def test_headers_of_llm_c(tmp_path: Path) -> None:
    for magic, dtype in ((20240520, "<u2"), (20240801, "<u4")):
        ids = np.arange(5, 25)
        header = np.zeros(256, "<i4")
        header[:3] = magic, 1, len(ids)
        (tmp_path / "a.bin").write_bytes(header.tobytes() + ids.astype(dtype).tobytes())
        found, _, said = told(tmp_path / "a.bin", 300, whole=True)
        assert found[0].content.tolist() == ids.tolist()
        assert said == [f"a.bin is read as {np.dtype(dtype).name}, as its header of 1,024 bytes says"]


def test_documents_of_a_megatron_index(tmp_path: Path) -> None:
    """Written here as Megatron-LM writes them: magic, version, dtype, counts, sizes, pointers, documents."""
    sizes = np.array([3, 1, 4], "<i4")
    np.arange(8, dtype="<u2").tofile(tmp_path / "a.bin")
    counts = np.array([len(sizes), len(sizes) + 1], "<u8").tobytes()
    pointers = (2 * (sizes.cumsum() - sizes)).astype("<i8").tobytes() + np.arange(4, dtype="<i8").tobytes()
    head = b"MMIDIDX\x00\x00" + np.uint64(1).tobytes() + bytes([8]) + counts
    (tmp_path / "a.idx").write_bytes(head + sizes.tobytes() + pointers)
    found, _, said = told(tmp_path / "a.bin")
    assert [record.content.tolist() for record in found] == [[0, 1, 2], [3], [4, 5, 6, 7]]
    assert said == ["a.bin is read as uint16 in 3 documents, as a.idx says"]
    np.arange(9, dtype="<u2").tofile(tmp_path / "a.bin")
    with pytest.raises(InputError, match=r"has 9 ids of uint16, a.idx speaks of 8"):
        read(tmp_path / "a.bin")
    (tmp_path / "a.idx").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"a.idx is no index of a Megatron file of ids"):
        read(tmp_path / "a.bin")


def test_prefix_and_suffix_arrays_of_the_extraction_benchmark(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    prefix, suffix = (rng.integers(0, 50257, (20, 50)).astype(np.uint16) for _ in range(2))
    np.save(tmp_path / "train_prefix.npy", prefix)
    np.save(tmp_path / "train_suffix.npy", suffix)
    np.save(tmp_path / "counts.npy", np.arange(20) + 2**60)
    found, refused, said = told(tmp_path / "train_prefix.npy", labels_file=str(tmp_path / "counts.npy"))
    assert not refused and len(found) == 20
    assert (np.array([r.content for r in found]) == np.concatenate([prefix, suffix], axis=1)).all()
    assert [r.labels for r in found] == [(number + 2**60,) for number in range(20)]
    assert said == ["rows of train_suffix.npy stand behind those of train_prefix.npy"]
    (tmp_path / "train_suffix.npy").unlink()
    with pytest.raises(InputError, match=r"needs train_suffix.npy beside it: put it there, or rename the file"):
        read(tmp_path / "train_prefix.npy")
    for name in ("train_preprefix.npy", "prefix.npy", "my_prefix.npy"):  # no names of the benchmark's pairs
        np.save(tmp_path / name, prefix)
        assert ids_of(tmp_path / name) == prefix.tolist()


def test_pairs_of_another_number_and_labels_of_another_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "val_prefix.npy", np.ones((3, 2), int))
    np.save(tmp_path / "val_suffix.npy", np.ones((4, 2), int))
    with pytest.raises(InputError, match=r"has 3 rows and .*val_suffix.npy has 4"):
        read(tmp_path / "val_prefix.npy")
    np.save(tmp_path / "labels.npy", np.ones((2, 2)))
    with pytest.raises(InputError, match=r"labels.npy holds float64 of shape \(2, 2\): expected \(4,\)"):
        read(tmp_path / "val_suffix.npy", labels_file=str(tmp_path / "labels.npy"))
    with pytest.raises(InputError, match="has no column 'score'; it has text"):
        (tmp_path / "a.csv").write_text("text\na\n")
        read(tmp_path / "a.csv", labels=("score",))
