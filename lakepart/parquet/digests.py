"""What rows are, whatever their order: a count and a sum of hashes, to prove that rewriting changed no row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]

_BATCH_ROWS = 65_536
_STEP = np.uint64(0x9E3779B97F4A7C15)  # told apart by it: columns of a row, elements of a list, words of a text
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_NULL = np.uint64(0xD6E8FEB86659FD93)
_OTHER_LANE = np.uint64(0xA0761D6478BD642F)
_NOT_A_NUMBER = {16: 0x7E00, 32: 0x7FC0_0000, 64: 0x7FF8_0000_0000_0000}
_WORD = 8


class RowDigest:
    """A fingerprint of rows as a multiset: their number, and the sum of a hash of each.

    Addition is commutative and associative, so neither the order of rows nor how they are cut into tables matters,
    and memory is that of one batch. Equal rows add up instead of cancelling each other out, as they would by
    exclusive or. A row's hash depends on every value and its column; NaN is NaN whatever its bits, and 0.0 is not
    -0.0; a null is none of the values of its type; in lists the order counts.

    Each row has a hash of 64 bits that goes into two sums of 64 bits, 128 together. One row that was lost, doubled or
    changed goes unnoticed with a chance of 1 in 2^64; changes of several rows that cancel out by accident need
    both sums to agree. The hash is a fixed function: it is proof against accidents, not against somebody who looks
    for rows that collide.

    Notes
    -----
    Tens of nanoseconds a number, a few hundred a short text. Splitmix64 mixes the bits (Steele, Lea, Flood: *Fast
    splittable pseudorandom number generators*, 2014).
    """

    __slots__ = ("_high", "_low", "row_count")

    def __init__(self) -> None:
        self.row_count = 0
        self._low = np.uint64(0)
        self._high = np.uint64(0)

    def add(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Take rows in."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        self.row_count += table.num_rows
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            if not batch.num_columns or not batch.num_rows:
                continue
            hashes = _of_tuple([_hash(column) for column in batch.columns])
            with np.errstate(over="ignore"):
                self._low = self._low + hashes.sum(dtype=np.uint64)
                self._high = self._high + _mix(hashes ^ _OTHER_LANE).sum(dtype=np.uint64)

    @property
    def value(self) -> tuple[int, str]:
        """The number of rows, and 32 hex characters."""
        return self.row_count, f"{int(self._high):016x}{int(self._low):016x}"


def _hash(array: Any) -> Hashes:
    """Hash each value of an array; nulls alike, whatever lies under them."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not len(array):
        return np.zeros(0, dtype=np.uint64)
    if array.null_count == len(array):
        return np.full(len(array), _NULL)
    hashes = _hash_values(array)
    if array.null_count:
        hashes = np.where(array.is_valid().to_numpy(zero_copy_only=False), hashes, _NULL)
    return hashes


def _hash_values(array: Any) -> Hashes:
    types, data_type = pa.types, array.type
    if types.is_struct(data_type):
        return _of_tuple([_hash(child) for child in array.flatten()])
    if types.is_fixed_size_list(data_type):
        size = data_type.list_size
        values = array.values.slice(array.offset * size, len(array) * size)
        return _of_runs(_hash(values), np.full(len(array), size, dtype=np.int64))
    if types.is_list(data_type) or types.is_large_list(data_type) or types.is_map(data_type):
        offsets = np.asarray(array.offsets, dtype=np.int64)
        values = array.values.slice(offsets[0], offsets[-1] - offsets[0])
        return _of_runs(_hash(values), np.diff(offsets))
    if types.is_boolean(data_type):
        array = array.cast(pa.uint8())
    elif _is_view(data_type):
        array = array.cast(pa.large_binary())
    if _has_offsets(array.type):
        return _of_texts(array)
    return _of_fixed(array, data_type)


def _of_fixed(array: Any, data_type: pa.DataType) -> Hashes:
    """Hash values of one width: by their bits, and those of more than eight bytes as texts of one length."""
    bits = array.type.bit_width
    buffer = array.buffers()[1]
    if bits not in {8, 16, 32, 64}:
        width = bits // 8
        starts = (np.arange(len(array), dtype=np.int64) + array.offset) * width
        return _of_bytes(np.frombuffer(buffer, np.uint8), starts, np.full(len(array), width, dtype=np.int64))
    width = bits // 8
    values = np.frombuffer(buffer, f"<u{width}", count=len(array), offset=array.offset * width)
    if pa.types.is_floating(data_type):
        values = np.where(np.isnan(values.view(f"<f{width}")), values.dtype.type(_NOT_A_NUMBER[bits]), values)
    return _mix(values.astype(np.uint64))


def _of_texts(array: Any) -> Hashes:
    kind = np.dtype("<i8") if _is_large(array.type) else np.dtype("<i4")
    _, offsets_buffer, data = array.buffers()
    offsets = np.frombuffer(offsets_buffer, kind, count=len(array) + 1, offset=array.offset * kind.itemsize)
    taken = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    wide: npt.NDArray[np.int64] = offsets.astype(np.int64)
    return _of_bytes(taken, wide[:-1], np.diff(wide))


def _of_bytes(data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> Hashes:
    """Hash stretches of bytes, eight at a time; what is beyond the end of one is masked out."""
    low, high = int(starts[0]), int(starts[-1] + lengths[-1])
    padded = np.zeros(high - low + _WORD, np.uint8)
    padded[: high - low] = data[low:high]
    anywhere: Any = np.ndarray((high - low + 1,), "<u8", padded, strides=(1,))
    counts = (lengths + _WORD - 1) // _WORD
    within = _within(counts)
    words = anywhere[np.repeat(starts - low, counts) + _WORD * within]
    left = np.repeat(lengths, counts) - _WORD * within
    short = left < _WORD
    words[short] &= (np.uint64(1) << (_WORD * left[short]).astype(np.uint64)) - np.uint64(1)
    return _of_runs(words, counts, lengths)


def _of_runs(words: Hashes, counts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64] | None = None) -> Hashes:
    """Hash runs of ``counts`` neighbouring words each: what they are, where in the run, and how long it is."""
    with np.errstate(over="ignore"):
        placed = _mix(words + (_within(counts).astype(np.uint64) + np.uint64(1)) * _STEP)
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(placed, dtype=np.uint64)))
        ends = np.cumsum(counts)
        run = sums[ends] - sums[ends - counts]
        return _mix(run + (counts if lengths is None else lengths).astype(np.uint64) * _FIRST)


def _of_tuple(columns: list[Hashes]) -> Hashes:
    """Hash rows by the hashes of their values, each by its column."""
    with np.errstate(over="ignore"):
        total = np.zeros(len(columns[0]), np.uint64)
        for number, hashes in enumerate(columns, start=1):
            total += _mix(hashes + np.uint64(number) * _STEP)
    return _mix(total)


def _within(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Give the number that each member of runs of these lengths has in its run, from 0."""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0, dtype=np.int64) - np.repeat(ends - counts, counts)


def _mix(bits: Hashes) -> Hashes:
    with np.errstate(over="ignore"):
        mixed = bits ^ (bits >> np.uint64(30))
        mixed *= _FIRST
        mixed ^= mixed >> np.uint64(27)
        mixed *= _SECOND
        mixed ^= mixed >> np.uint64(31)
    return mixed


def _is_large(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(data_type) or pa.types.is_large_binary(data_type))


def _has_offsets(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_string(data_type) or pa.types.is_binary(data_type)) or _is_large(data_type)


def _is_view(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(data_type) or pa.types.is_binary_view(data_type))
