/* segment.c against naive models, and on hostile bytes. */
#include "check.h"
#include "sv.h"

/* Sizes come as f64, and so do their errors. */
static const double argument = (double)(int)SV_ERROR_ARGUMENT;
static const double malformed = (double)(int)SV_ERROR_MALFORMED;

/* ---- rows -------------------------------------------------------------- */

static void orders(void) {
  for (uint32_t round = 0; round < 300; round++) {
    const uint32_t n = random_below(200), n_lists = 1 + random_below(20);
    uint32_t *lists = make(n * sizeof *lists);
    uint32_t *order = make(n * sizeof *order);
    uint32_t *starts = make((n_lists + 1) * sizeof *starts);
    for (uint32_t i = 0; i < n; i++) lists[i] = random_below(n_lists);
    CHECK(sv_order_by_list(lists, n, n_lists, order, starts) == 0);
    CHECK(starts[0] == 0 && starts[n_lists] == n);
    for (uint32_t j = 0; j < n_lists; j++) {
      CHECK(starts[j] <= starts[j + 1]);
      for (uint32_t i = starts[j]; i < starts[j + 1]; i++) {
        CHECK(lists[order[i]] == j);
        CHECK(i == starts[j] || order[i] > order[i - 1]);
      }
    }
    free(lists);
    free(order);
    free(starts);
  }
}

static void order_refusals(void) {
  uint32_t lists[3] = {0, 2, 1}, order[3] = {7, 7, 7};
  uint32_t starts[4] = {8, 8, 8, 8};
  CHECK(sv_order_by_list(lists, 3, 2, order, starts) == SV_ERROR_MALFORMED);
  CHECK(order[0] == 7 && starts[0] == 8);
  CHECK(sv_order_by_list(lists, 3, 0, order, starts) == SV_ERROR_MALFORMED);
  CHECK(sv_order_by_list(lists, 3, SV_MAX_LISTS + 1, order, starts) ==
        SV_ERROR_ARGUMENT);
  CHECK(sv_order_by_list(lists, 0, 0, order, starts) == 0 && starts[0] == 0);
}

static void gathers_rows(void) {
  for (uint32_t round = 0; round < 200; round++) {
    const uint32_t n_rows = 1 + random_below(30), bytes = random_below(40);
    const uint32_t n = random_below(50);
    uint8_t *rows = make(n_rows * bytes), *out = make(n * bytes);
    uint32_t *picks = make(n * sizeof *picks);
    for (uint32_t i = 0; i < n_rows * bytes; i++)
      rows[i] = (uint8_t)random_u64();
    for (uint32_t i = 0; i < n; i++) picks[i] = random_below(n_rows);
    CHECK(sv_rows_gather(rows, n_rows, bytes, picks, n, out) == 0);
    for (uint32_t i = 0; i < n; i++)
      CHECK(same_bits(out + i * bytes, rows + picks[i] * bytes, bytes));
    if (n > 0) {
      picks[random_below(n)] = n_rows;
      memset(out, 0x77, n * bytes);
      CHECK(sv_rows_gather(rows, n_rows, bytes, picks, n, out) ==
            SV_ERROR_ARGUMENT);
      for (uint32_t i = 0; i < n * bytes; i++) CHECK(out[i] == 0x77);
    }
    free(rows);
    free(out);
    free(picks);
  }
}

/* ---- blob sections ----------------------------------------------------- */

static void put_u32(uint8_t *p, uint32_t v) {
  for (uint32_t b = 0; b < 4; b++) p[b] = (uint8_t)(v >> 8 * b);
}

static uint32_t get_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
         (uint32_t)p[3] << 24;
}

struct section {
  uint32_t n, length;
  uint8_t *bytes;
};

static struct section make_section(uint32_t n) {
  struct section s = {n, 4 * (n + 1), NULL};
  uint32_t *ends = make((n + 1) * sizeof *ends);
  ends[0] = 0;
  for (uint32_t i = 0; i < n; i++)
    ends[i + 1] = ends[i] + (random_below(3) ? random_below(20) : 0);
  s.length += ends[n];
  s.bytes = make(s.length);
  for (uint32_t i = 0; i <= n; i++) put_u32(s.bytes + i * 4, ends[i]);
  for (uint32_t i = 4 * (n + 1); i < s.length; i++)
    s.bytes[i] = (uint8_t)random_u64();
  free(ends);
  CHECK(sv_blobs_check(s.bytes, s.length, n) == 0);
  return s;
}

static const uint8_t *blob(const uint8_t *bytes, uint32_t n, uint32_t i,
                           uint32_t *length) {
  const uint32_t from = get_u32(bytes + i * 4);
  *length = get_u32(bytes + i * 4 + 4) - from;
  return bytes + 4 * (n + 1) + from;
}

/* check_equals: blob i of one section is blob j of the other. */
static void check_equals(const uint8_t *a, uint32_t n_a, uint32_t i,
                         const uint8_t *b, uint32_t n_b, uint32_t j) {
  uint32_t length_a, length_b;
  const uint8_t *x = blob(a, n_a, i, &length_a);
  const uint8_t *y = blob(b, n_b, j, &length_b);
  CHECK(length_a == length_b && same_bits(x, y, length_a));
}

static void checks_blobs(void) {
  for (uint32_t round = 0; round < 300; round++) {
    const struct section s = make_section(random_below(12));
    for (uint32_t length = 0; length < s.length; length++) {
      uint8_t *cut = make(length);
      memcpy(cut, s.bytes, length);
      CHECK(sv_blobs_check(cut, length, s.n) == SV_ERROR_MALFORMED);
      free(cut);
    }
    uint8_t *longer = make(s.length + 1);
    memcpy(longer, s.bytes, s.length);
    longer[s.length] = 0;
    CHECK(sv_blobs_check(longer, s.length + 1, s.n) == SV_ERROR_MALFORMED);
    free(longer);
    CHECK(sv_blobs_check(s.bytes, s.length, s.n + 1) != 0 || s.length > 8);
    CHECK(sv_blobs_check(s.bytes, s.length, UINT32_MAX) ==
          SV_ERROR_MALFORMED);
    free(s.bytes);
  }
}

/* Whatever is accepted can be read in full; whatever contradicts itself is
 * not accepted. */
static void hostile_blobs(void) {
  uint32_t accepted = 0;
  for (uint32_t round = 0; round < 20000; round++) {
    const struct section s = make_section(random_below(6));
    const uint32_t at = random_below(4 * (s.n + 1));
    s.bytes[at] = (uint8_t)(round % 2 ? random_u64() : s.bytes[at] + 1);
    int valid = get_u32(s.bytes) == 0 &&
                get_u32(s.bytes + 4 * s.n) == s.length - 4 * (s.n + 1);
    for (uint32_t i = 0; i < s.n; i++)
      valid &= get_u32(s.bytes + i * 4) <= get_u32(s.bytes + i * 4 + 4);
    CHECK(sv_blobs_check(s.bytes, s.length, s.n) ==
          (valid ? 0 : SV_ERROR_MALFORMED));
    accepted += valid != 0;
    free(s.bytes);
  }
  CHECK(accepted > 100);
}

static void gathers_blobs(void) {
  for (uint32_t round = 0; round < 500; round++) {
    const struct section s = make_section(1 + random_below(12));
    const uint32_t n = random_below(20);
    uint32_t *picks = make(n * sizeof *picks);
    for (uint32_t i = 0; i < n; i++) picks[i] = random_below(s.n);
    const double size = sv_blobs_gather_size(s.bytes, s.n, picks, n);
    CHECK(size >= 4 * (n + 1));
    const size_t bytes = (size_t)size;
    uint8_t *out = make(bytes);
    CHECK(sv_blobs_gather(s.bytes, s.n, picks, n, out, bytes) == 0);
    CHECK(sv_blobs_check(out, bytes, n) == 0);
    for (uint32_t i = 0; i < n; i++)
      check_equals(out, n, i, s.bytes, s.n, picks[i]);
    CHECK(sv_blobs_gather(s.bytes, s.n, picks, n, out, bytes - 1) ==
          SV_ERROR_TOO_SMALL);
    if (n > 0) {
      picks[random_below(n)] = s.n;
      CHECK(sv_blobs_gather_size(s.bytes, s.n, picks, n) == argument);
      CHECK(sv_blobs_gather(s.bytes, s.n, picks, n, out, bytes) ==
            SV_ERROR_ARGUMENT);
    }
    free(out);
    free(picks);
    free(s.bytes);
  }
}

/* One blob of 100 MB picked 50 times passes u32. */
static void gathers_too_much(void) {
  const uint32_t size_each = 100000000;
  uint8_t offsets[8] = {0};
  uint32_t picks[50] = {0};
  put_u32(offsets + 4, size_each);
  const double size = sv_blobs_gather_size(offsets, 1, picks, 50);
  CHECK(size == 4.0 * 51 + 50.0 * size_each);
  CHECK(sv_blobs_gather(offsets, 1, picks, 50, offsets, SIZE_MAX) ==
        SV_ERROR_MALFORMED);
}

static void concats(void) {
  for (uint32_t round = 0; round < 500; round++) {
    struct section parts[5];
    const uint32_t n = random_below(6);
    uint32_t lengths[5], rows[5], total = 0, at = 0;
    for (uint32_t s = 0; s < n; s++) {
      parts[s] = make_section(random_below(7));
      lengths[s] = parts[s].length;
      rows[s] = parts[s].n;
      total += lengths[s];
    }
    uint8_t *all = make(total);
    for (uint32_t s = 0; s < n; at += lengths[s++])
      memcpy(all + at, parts[s].bytes, lengths[s]);
    const size_t bytes = (size_t)sv_blobs_concat_size(lengths, rows, n);
    uint8_t *out = make(bytes);
    CHECK(sv_blobs_concat(all, lengths, rows, n, out, bytes) == 0);
    uint32_t n_out = 0, row = 0;
    for (uint32_t s = 0; s < n; s++) n_out += rows[s];
    CHECK(sv_blobs_check(out, bytes, n_out) == 0);
    for (uint32_t s = 0; s < n; s++) {
      for (uint32_t i = 0; i < rows[s]; i++)
        check_equals(out, n_out, row++, parts[s].bytes, rows[s], i);
      free(parts[s].bytes);
    }
    CHECK(sv_blobs_concat(all, lengths, rows, n, out, bytes - 1) ==
          SV_ERROR_TOO_SMALL);
    free(all);
    free(out);
  }
}

static void concat_refusals(void) {
  const uint32_t short_lengths[2] = {4, 7}, short_rows[2] = {0, 1};
  const uint32_t cancel_lengths[2] = {7, 9}, ones[2] = {1, 1};
  const uint32_t lengths[2] = {UINT32_MAX, UINT32_MAX}, none[2] = {0, 0};
  const uint32_t many[2] = {UINT32_MAX, UINT32_MAX};
  uint8_t bytes[16] = {0};
  CHECK(sv_blobs_concat_size(short_lengths, short_rows, 2) == malformed);
  CHECK(sv_blobs_concat_size(cancel_lengths, ones, 2) == malformed);
  CHECK(sv_blobs_concat(bytes, short_lengths, short_rows, 2, bytes, 16) ==
        SV_ERROR_MALFORMED);
  CHECK(sv_blobs_concat_size(lengths, many, 2) == malformed);
  CHECK(sv_blobs_concat_size(lengths, none, 2) == malformed);
  CHECK(sv_blobs_concat_size(lengths, none, 1) == (double)UINT32_MAX);
  CHECK(sv_blobs_concat(bytes, lengths, none, 1, bytes, 16) ==
        SV_ERROR_TOO_SMALL);
}

/* ---- id tables --------------------------------------------------------- */

static uint64_t table_hash(const uint8_t *table, uint32_t i) {
  return get_u32(table + i * 12) | (uint64_t)get_u32(table + i * 12 + 4)
                                       << 32;
}

/* random_hash: uniform, or from few values, or differing in one digit. */
static uint64_t random_hash(uint32_t kind) {
  if (kind == 0) return random_u64();
  if (kind == 1) return random_u64() % 7;
  if (kind == 2) return ~(random_u64() % 3);
  return 1ull << random_u64() % 64;
}

static void sorts_ids(void) {
  for (uint32_t round = 0; round < 400; round++) {
    const uint32_t n = random_below(round % 9 ? 40 : 3000);
    uint64_t *hashes = make(n * sizeof *hashes);
    uint8_t *table = make(n * 12), *scratch = make(n * 12);
    uint8_t *seen = make(n);
    for (uint32_t i = 0; i < n; i++) hashes[i] = random_hash(round % 4);
    CHECK(sv_ids_sort(hashes, n, table, scratch) == 0);
    CHECK(sv_ids_check(table, (size_t)n * 12, n) == 0);
    memset(seen, 0, n);
    for (uint32_t i = 0; i < n; i++) {
      const uint32_t row = get_u32(table + i * 12 + 8);
      CHECK(row < n && !seen[row]);
      CHECK(table_hash(table, i) == hashes[row]);
      seen[row] = 1;
    }
    free(hashes);
    free(table);
    free(scratch);
    free(seen);
  }
}

static void finds_ids(void) {
  for (uint32_t round = 0; round < 400; round++) {
    const uint32_t n = random_below(200), m = 50;
    uint64_t *hashes = make(n * sizeof *hashes), asked[50];
    uint8_t *table = make(n * 12), *scratch = make(n * 12);
    uint32_t found[50];
    for (uint32_t i = 0; i < n; i++) hashes[i] = random_hash(round % 4);
    sv_ids_sort(hashes, n, table, scratch);
    for (uint32_t i = 0; i < m; i++) {
      const int known = n > 0 && i % 2;
      asked[i] = known ? hashes[random_below(n)] : random_hash(i % 4);
    }
    asked[0] = 0;
    asked[2] = UINT64_MAX;
    int32_t expected_count = 0;
    const int32_t count = sv_ids_find(table, n, asked, m, found);
    for (uint32_t i = 0; i < m; i++) {
      uint32_t expected = 0;
      while (expected < n && table_hash(table, expected) != asked[i])
        expected++;
      CHECK(found[i] == (expected < n ? expected : SV_NO_ROW));
      expected_count += expected < n;
    }
    CHECK(count == expected_count);
    free(hashes);
    free(table);
    free(scratch);
  }
}

static void checks_ids(void) {
  enum { N = 9 };
  uint64_t hashes[N];
  uint8_t table[N * 12], scratch[N * 12];
  for (uint32_t round = 0; round < 2000; round++) {
    for (uint32_t i = 0; i < N; i++) hashes[i] = random_hash(round % 4);
    sv_ids_sort(hashes, N, table, scratch);
    table[random_below(N * 12)] ^= (uint8_t)(1u << random_below(8));
    int valid = 1;
    for (uint32_t i = 0; i < N; i++) {
      const uint32_t row = get_u32(table + i * 12 + 8);
      valid &= row < N;
      if (i == 0) continue;
      const uint32_t before = get_u32(table + i * 12 - 4);
      const uint64_t h = table_hash(table, i), g = table_hash(table, i - 1);
      valid &= g < h || (g == h && before < row);
    }
    CHECK(sv_ids_check(table, sizeof table, N) ==
          (valid ? 0 : SV_ERROR_MALFORMED));
  }
  CHECK(sv_ids_check(table, 0, 0) == 0);
  CHECK(sv_ids_check(table, 12, 0) == SV_ERROR_MALFORMED);
  CHECK(sv_ids_check(table, 11, 1) == SV_ERROR_MALFORMED);
  CHECK(sv_ids_check(table, 13, 1) == SV_ERROR_MALFORMED);
  uint8_t *small = make(8); /* 12 n passes u32 and becomes 8 there */
  CHECK(sv_ids_check(small, 8, 0x55555556u) == SV_ERROR_MALFORMED);
  free(small);
}

int main(void) {
  run("orders rows by list, stable", orders);
  run("refuses a list beyond n_lists, writing nothing", order_refusals);
  run("gathers rows, refusing picks out of range", gathers_rows);
  run("refuses a blob section of any other length", checks_blobs);
  run("accepts changed offsets only where they agree", hostile_blobs);
  run("gathers blobs into a section of the size announced", gathers_blobs);
  run("refuses to gather more than offsets can say", gathers_too_much);
  run("concatenates sections in order", concats);
  run("refuses sections that contradict their lengths", concat_refusals);
  run("sorts ids by hash, then row", sorts_ids);
  run("finds the first entry of each hash, or none", finds_ids);
  run("accepts id tables in order only", checks_ids);
  return 0;
}
