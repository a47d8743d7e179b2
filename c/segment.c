/*
 * segment.c: the bytes of a segment's sections, before they are sealed.
 *
 * A segment is an object (js/object.ts) of seven sections, in this order:
 *
 *   0 lists      origin f32 * dimension where rows have codes; then
 *                list u32 | rows u32 for each list that has rows, ascending by
 *                list; nothing where the rows are in no lists
 *   1 codes      block after block (codes.c): the rows of each list, or all
 *                where they are in none, are cut into blocks of as many rows
 *                as take 64 KiB as f32 (rounded down, but 32 at least), the
 *                last of a list smaller; none under 32 components
 *   2 vectors    one row after another, each of dimension components, f32 or
 *                IEEE half, as they were given
 *   3 ids        blob section: UTF-8
 *   4 id table   below
 *   5 metadata   blob section: JSON in UTF-8, or no bytes for none
 *   6 contents   blob section: a byte of kind, 1 for text (UTF-8) and 2 for
 *                bytes, then the contents; no bytes for none
 *
 * Row i is the same item in all of them, and rows stand in the order of their
 * lists.
 *
 * Blob section: n byte strings (ids, metadata, contents) with random access.
 *
 *   0            4 (n + 1)                                    length
 *   | offset u32 * (n + 1) | blob 0 | blob 1 | ... | blob n-1 |
 *
 * Offsets count from the first byte after them; blob i is
 * [offset[i], offset[i + 1]); offset[0] = 0 and offset[n] is the number of
 * bytes after the offsets. No rows: the four bytes of offset[0].
 *
 * Id table: where an id is, by its hash: SipHash-2-4 of its UTF-8 under the
 * first 16 bytes of the epoch's key for ids (js/keyring.ts).
 *
 *   0           8         12                    12 n
 *   | hash u64 | row u32 | hash u64 | row u32 | ... |
 *
 * ascending by (hash, row). Integers are little-endian. Version 1 of both.
 *
 * Decisions:
 *  1. Sorting by list is a counting sort, stable, so that rows of one list
 *     keep the order in which they came.
 *  2. Ids are sorted by a radix sort of six 11-bit digits: an even number of
 *     passes ends in the table, and 2048 counters fit in L1.
 *  3. Sums of lengths are u64 or f64 and are compared before any cast: a
 *     section's offsets are u32, and in wasm size_t is too.
 */
#include "sv.h"
#include "internal.h"

#include <string.h>

#define ID_BYTES 12u
#define DIGIT_BITS 11u
#define DIGITS (1u << DIGIT_BITS)

static uint64_t load_u64(const uint8_t *p) {
  return (uint64_t)load_u32(p) | (uint64_t)load_u32(p + 4) << 32;
}

static void store_u64(uint8_t *p, uint64_t v) {
  store_u32(p, (uint32_t)v);
  store_u32(p + 4, (uint32_t)(v >> 32));
}

/* ---- rows -------------------------------------------------------------- */

int32_t sv_order_by_list(const uint32_t *lists, uint32_t n, uint32_t n_lists,
                         uint32_t *order, uint32_t *starts) {
  if (n_lists > SV_MAX_LISTS) return SV_ERROR_ARGUMENT;
  for (uint32_t i = 0; i < n; i++)
    if (lists[i] >= n_lists) return SV_ERROR_MALFORMED;
  memset(starts, 0, ((size_t)n_lists + 1) * sizeof *starts);
  for (uint32_t i = 0; i < n; i++) starts[lists[i] + 1]++;
  for (uint32_t j = 0; j < n_lists; j++) starts[j + 1] += starts[j];
  for (uint32_t i = 0; i < n; i++) order[starts[lists[i]]++] = i;
  /* Every start has become the end of its list, the next one's start. */
  memmove(starts + 1, starts, (size_t)n_lists * sizeof *starts);
  starts[0] = 0;
  return 0;
}

int32_t sv_rows_gather(const uint8_t *rows, uint32_t n_rows,
                       uint32_t row_bytes, const uint32_t *picks, uint32_t n,
                       uint8_t *out) {
  for (uint32_t i = 0; i < n; i++)
    if (picks[i] >= n_rows) return SV_ERROR_ARGUMENT;
  for (uint32_t i = 0; i < n; i++)
    memcpy(out + (size_t)i * row_bytes, rows + (size_t)picks[i] * row_bytes,
           row_bytes);
  return 0;
}

/* ---- blob sections ----------------------------------------------------- */

static uint64_t offset_bytes(uint64_t n) { return 4 * (n + 1); }

static uint32_t offset_at(const uint8_t *section, uint32_t i) {
  return load_u32(section + (size_t)i * 4);
}

int32_t sv_blobs_check(const uint8_t *section, size_t length, uint32_t n) {
  if (length < offset_bytes(n)) return SV_ERROR_MALFORMED;
  if (offset_at(section, 0) != 0) return SV_ERROR_MALFORMED;
  for (uint32_t i = 0; i < n; i++)
    if (offset_at(section, i + 1) < offset_at(section, i))
      return SV_ERROR_MALFORMED;
  return offset_at(section, n) == length - offset_bytes(n)
             ? 0
             : SV_ERROR_MALFORMED;
}

/* gather_bytes returns the bytes of the blobs picked, without offsets; the
 * sum of 2^32 u32 numbers fits. UINT64_MAX when a pick is out of range. */
static uint64_t gather_bytes(const uint8_t *section, uint32_t n_rows,
                             const uint32_t *picks, uint32_t n) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (picks[i] >= n_rows) return UINT64_MAX;
    bytes += offset_at(section, picks[i] + 1) - offset_at(section, picks[i]);
  }
  return bytes;
}

double sv_blobs_gather_size(const uint8_t *section, uint32_t n_rows,
                            const uint32_t *picks, uint32_t n) {
  const uint64_t bytes = gather_bytes(section, n_rows, picks, n);
  if (bytes == UINT64_MAX) return SV_ERROR_ARGUMENT;
  return (double)(offset_bytes(n) + bytes);
}

int32_t sv_blobs_gather(const uint8_t *section, uint32_t n_rows,
                        const uint32_t *picks, uint32_t n, uint8_t *out,
                        size_t capacity) {
  const uint64_t bytes = gather_bytes(section, n_rows, picks, n);
  if (bytes == UINT64_MAX) return SV_ERROR_ARGUMENT;
  if (bytes > UINT32_MAX) return SV_ERROR_MALFORMED;
  if (offset_bytes(n) + bytes > capacity) return SV_ERROR_TOO_SMALL;
  const uint8_t *from = section + offset_bytes(n_rows);
  uint8_t *to = out + offset_bytes(n);
  uint32_t at = 0;
  store_u32(out, 0);
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t start = offset_at(section, picks[i]);
    const uint32_t length = offset_at(section, picks[i] + 1) - start;
    memcpy(to + at, from + start, length);
    at += length;
    store_u32(out + (size_t)(i + 1) * 4, at);
  }
  return 0;
}

/* concat_sizes adds up rows and blob bytes; MALFORMED when a section is
 * shorter than its offsets or either sum passes u32. */
static int32_t concat_sizes(const uint32_t *lengths, const uint32_t *n_rows,
                            uint32_t n_sections, uint64_t *rows,
                            uint64_t *bytes) {
  *rows = 0;
  *bytes = 0;
  for (uint32_t s = 0; s < n_sections; s++) {
    if (lengths[s] < offset_bytes(n_rows[s])) return SV_ERROR_MALFORMED;
    *rows += n_rows[s];
    *bytes += lengths[s] - offset_bytes(n_rows[s]);
  }
  return *rows > UINT32_MAX || *bytes > UINT32_MAX ? SV_ERROR_MALFORMED : 0;
}

double sv_blobs_concat_size(const uint32_t *lengths, const uint32_t *n_rows,
                            uint32_t n_sections) {
  uint64_t rows, bytes;
  const int32_t error =
      concat_sizes(lengths, n_rows, n_sections, &rows, &bytes);
  return error ? (double)error : (double)(offset_bytes(rows) + bytes);
}

int32_t sv_blobs_concat(const uint8_t *sections, const uint32_t *lengths,
                        const uint32_t *n_rows, uint32_t n_sections,
                        uint8_t *out, size_t capacity) {
  uint64_t rows, bytes;
  const int32_t error =
      concat_sizes(lengths, n_rows, n_sections, &rows, &bytes);
  if (error) return error;
  if (offset_bytes(rows) + bytes > capacity) return SV_ERROR_TOO_SMALL;
  uint8_t *offsets = out, *to = out + offset_bytes(rows);
  uint32_t base = 0;
  store_u32(offsets, 0);
  for (uint32_t s = 0; s < n_sections; s++) {
    const uint32_t header = (uint32_t)offset_bytes(n_rows[s]);
    for (uint32_t i = 1; i <= n_rows[s]; i++) {
      offsets += 4;
      store_u32(offsets, base + offset_at(sections, i));
    }
    memcpy(to, sections + header, lengths[s] - header);
    to += lengths[s] - header;
    base += lengths[s] - header;
    sections += lengths[s];
  }
  return 0;
}

/* ---- id tables --------------------------------------------------------- */

static uint64_t hash_at(const uint8_t *table, uint32_t i) {
  return load_u64(table + (size_t)i * ID_BYTES);
}

static uint32_t digit(uint64_t hash, uint32_t pass) {
  return (uint32_t)(hash >> pass * DIGIT_BITS) & (DIGITS - 1);
}

static void id_pass(const uint8_t *from, uint32_t n, uint32_t pass,
                    uint8_t *to) {
  uint32_t counts[DIGITS] = {0}, at = 0;
  for (uint32_t i = 0; i < n; i++) counts[digit(hash_at(from, i), pass)]++;
  for (uint32_t d = 0; d < DIGITS; d++) {
    const uint32_t count = counts[d];
    counts[d] = at;
    at += count;
  }
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t slot = counts[digit(hash_at(from, i), pass)]++;
    memcpy(to + (size_t)slot * ID_BYTES, from + (size_t)i * ID_BYTES,
           ID_BYTES);
  }
}

int32_t sv_ids_sort(const uint64_t *hashes, uint32_t n, uint8_t *table,
                    uint8_t *scratch) {
  for (uint32_t i = 0; i < n; i++) {
    store_u64(table + (size_t)i * ID_BYTES, hashes[i]);
    store_u32(table + (size_t)i * ID_BYTES + 8, i);
  }
  for (uint32_t pass = 0; pass < 6; pass += 2) {
    id_pass(table, n, pass, scratch);
    id_pass(scratch, n, pass + 1, table);
  }
  return 0;
}

int32_t sv_ids_check(const uint8_t *table, size_t length, uint32_t n) {
  if (length != (uint64_t)n * ID_BYTES) return SV_ERROR_MALFORMED;
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t row = load_u32(table + (size_t)i * ID_BYTES + 8);
    if (row >= n) return SV_ERROR_MALFORMED;
    if (i == 0) continue;
    const uint64_t before = hash_at(table, i - 1), hash = hash_at(table, i);
    const uint32_t row_before =
        load_u32(table + (size_t)(i - 1) * ID_BYTES + 8);
    if (hash < before || (hash == before && row <= row_before))
      return SV_ERROR_MALFORMED;
  }
  return 0;
}

/* find_one returns the first entry with a hash, by halving. Where it goes on
 * is computed, not branched to, as no one could foresee it. */
static uint32_t find_one(const uint8_t *table, uint32_t n, uint64_t hash) {
  uint32_t low = 0;
  for (uint32_t left = n, half; left > 0; left -= half) {
    half = left - left / 2;
    low += half * (hash_at(table, low + half - 1) < hash);
  }
  return low < n && hash_at(table, low) == hash ? low : SV_NO_ROW;
}

int32_t sv_ids_find(const uint8_t *table, uint32_t n, const uint64_t *hashes,
                    uint32_t m, uint32_t *entries) {
  int32_t found = 0;
  for (uint32_t i = 0; i < m; i++) {
    entries[i] = find_one(table, n, hashes[i]);
    found += entries[i] != SV_NO_ROW;
  }
  return found;
}
