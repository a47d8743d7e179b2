/*
 * fuzz_segment.c: whatever sv_blobs_check and sv_ids_check let through, the
 * functions that trust it stay inside its bytes and agree with it.
 *
 * The first two bytes of the input choose the number of rows; the rest is the
 * section.
 */
#include <stdlib.h>
#include <string.h>

#include "sv.h"

static void must(int truth) {
  if (!truth) abort();
}

/* gathers copies the rows backwards and forwards again: the same section. */
static void gathers(const uint8_t *section, size_t length, uint32_t n) {
  uint32_t *picks = malloc((n + 1) * sizeof *picks);
  for (uint32_t i = 0; i < n; i++) picks[i] = n - 1 - i;
  must(sv_blobs_gather_size(section, n, picks, n) == (double)length);
  uint8_t *back = malloc(length), *forth = malloc(length);
  must(sv_blobs_gather(section, n, picks, n, back, length) == 0);
  must(sv_blobs_check(back, length, n) == 0);
  must(sv_blobs_gather(back, n, picks, n, forth, length) == 0);
  must(memcmp(section, forth, length) == 0);
  must(sv_blobs_gather(section, n, picks, n, back, length - 1) < 0);
  free(picks);
  free(back);
  free(forth);
}

static void concats(const uint8_t *section, size_t length, uint32_t n) {
  uint8_t *twice = malloc(2 * length);
  memcpy(twice, section, length);
  memcpy(twice + length, section, length);
  const uint32_t lengths[2] = {(uint32_t)length, (uint32_t)length};
  const uint32_t rows[2] = {n, n};
  const double size = sv_blobs_concat_size(lengths, rows, 2);
  must(size >= 4 && size <= 2 * (double)length);
  uint8_t *out = malloc((size_t)size);
  must(sv_blobs_concat(twice, lengths, rows, 2, out, (size_t)size) == 0);
  must(sv_blobs_check(out, (size_t)size, 2 * n) == 0);
  free(twice);
  free(out);
}

static void hashes(const uint8_t *section, uint32_t n) {
  static const uint8_t key[16] = {1, 2, 3};
  uint64_t *all = malloc((n + 1) * sizeof *all);
  must(sv_id_hashes(key, section, n, all) == 0);
  uint8_t *table = malloc(12 * (size_t)n + 1);
  uint8_t *scratch = malloc(12 * (size_t)n + 1);
  uint32_t *entries = malloc((n + 1) * sizeof *entries);
  must(sv_ids_sort(all, n, table, scratch) == 0);
  must(sv_ids_check(table, 12 * (size_t)n, n) == 0);
  must(sv_ids_find(table, n, all, n, entries) == (int32_t)n);
  free(all);
  free(table);
  free(scratch);
  free(entries);
}

static void finds(const uint8_t *table, size_t length, uint32_t n) {
  uint64_t wanted[4] = {0, UINT64_MAX, 0, 0};
  memcpy(wanted + 2, table, length < 16 ? length : 16);
  uint32_t entries[4];
  const int32_t found = sv_ids_find(table, n, wanted, 4, entries);
  must(found >= 0 && found <= 4);
  for (int i = 0; i < 4; i++) must(entries[i] == SV_NO_ROW || entries[i] < n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  const uint32_t n = (uint32_t)data[0] | (uint32_t)data[1] << 8;
  const size_t length = size - 2;
  uint8_t *bytes = malloc(length + 1);
  memcpy(bytes, data + 2, length);
  if (sv_blobs_check(bytes, length, n) == 0) {
    gathers(bytes, length, n);
    concats(bytes, length, n);
    hashes(bytes, n);
  }
  if (sv_ids_check(bytes, length, n) == 0) finds(bytes, length, n);
  free(bytes);
  return 0;
}
