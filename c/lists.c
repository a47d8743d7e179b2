/*
 * lists.c: which lists a query visits, in which order.
 *
 * Inverted lists are searched nearest first (Sivic and Zisserman 2003; Jegou
 * et al. 2011), with a stop rule per query in place of a fixed number of
 * probes.
 *
 * Decisions:
 *  1. Ranking is a radix sort of the bits of the distances, which order like
 *     unsigned integers because none is negative. It is stable, so ties go
 *     to the lower list, and it is O(k).
 *  2. A query that visits few lists takes them one by one from a heap, in
 *     the same order: 512 lists are ranked in a third of the time.
 *  3. Of many lists most are ruled out by their codes (codes.c), an eighth of
 *     the bytes of the centroids. Those with the least bounds are compared, and
 *     more when the next one might be among the rest: the order is that of
 *     the distances, as far as bounds hold.
 *  4. Kernels are small functions that are not inlined; see sieve.c.
 */
#include "sv.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#define KERNEL __attribute__((noinline))
#define RADIX 256u

/* ---- ranking ----------------------------------------------------------- */

size_t sv_rank_scratch_size(uint32_t k) {
  return RADIX * 4 * sizeof(uint32_t) + (size_t)k * 3 * sizeof(uint32_t);
}

/* radix_pass moves n (key, value) pairs in the order of one byte of the key.
 * counts holds how many keys have each value of it. */
static KERNEL void radix_pass(const uint32_t *keys, const uint32_t *values,
                              uint32_t n, uint32_t shift, uint32_t *counts,
                              uint32_t *keys_out, uint32_t *values_out) {
  uint32_t at = 0;
  for (uint32_t b = 0; b < RADIX; b++) {
    const uint32_t count = counts[b];
    counts[b] = at;
    at += count;
  }
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t to = counts[keys[i] >> shift & 0xff]++;
    keys_out[to] = keys[i];
    values_out[to] = values[i];
  }
}

/* score_to_key returns the bits of the squared distance of a score, at
 * least 0; a NaN ranks last. */
static uint32_t score_to_key(double square, float score) {
  const double d = square - 2 * (double)score;
  const float distance = d > 0 ? (float)d : d <= 0 ? 0 : INFINITY;
  uint32_t key;
  memcpy(&key, &distance, sizeof key);
  return key;
}

/* make_keys also counts every byte of every key, for all four passes. */
static KERNEL void make_keys(const float *scores, double square, uint32_t k,
                             uint32_t *keys, uint32_t *order,
                             uint32_t *counts) {
  memset(counts, 0, RADIX * 4 * sizeof *counts);
  for (uint32_t j = 0; j < k; j++) {
    const uint32_t key = score_to_key(square, scores[j]);
    keys[j] = key;
    order[j] = j;
    counts[key & 0xff]++;
    counts[RADIX + (key >> 8 & 0xff)]++;
    counts[RADIX * 2 + (key >> 16 & 0xff)]++;
    counts[RADIX * 3 + (key >> 24)]++;
  }
}

void sv_rank_lists(const float *routed, uint32_t dim, const float *packed,
                   const float *half_norms, uint32_t k, uint32_t *order,
                   float *distances, void *scratch) {
  uint32_t *counts = scratch;
  uint32_t *keys = counts + (size_t)RADIX * 4;
  uint32_t *other_keys = keys + k, *other_order = other_keys + k;
  const double square = -sv_distance(SV_INNER_PRODUCT, routed, routed, dim);
  sv_scores(routed, dim, packed, half_norms, k, distances);
  make_keys(distances, square, k, keys, order, counts);
  radix_pass(keys, order, k, 0, counts, other_keys, other_order);
  radix_pass(other_keys, other_order, k, 8, counts + RADIX, keys, order);
  radix_pass(keys, order, k, 16, counts + (size_t)RADIX * 2, other_keys,
             other_order);
  radix_pass(other_keys, other_order, k, 24, counts + (size_t)RADIX * 3,
             keys, order);
  memcpy(distances, keys, k * sizeof *keys);
}

/* ---- one list after another -------------------------------------------- */

/* sift_least puts an entry at the root of a heap of n whose least is first. */
static void sift_least(uint64_t *heap, uint32_t n, uint32_t i,
                       uint64_t entry) {
  for (uint32_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
    if (child + 1 < n && heap[child + 1] < heap[child]) child++;
    if (heap[child] >= entry) break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = entry;
}

static void make_heap(uint64_t *heap, uint32_t n) {
  for (uint32_t i = n / 2; i-- > 0;) sift_least(heap, n, i, heap[i]);
}

/* ---- by codes ---------------------------------------------------------- */

/* Lists that are compared at first; each time that they do not suffice, as
 * many again as there were. */
#define FIRST_LISTS 48u
#define AT_ONCE 8u
#define PICKS 64u

/* What is known of the lists: a heap of those compared, whose rest lies at the
 * end, by their lower bounds. */
struct lists {
  double square; /* |query|^2 */
  uint32_t compared, rest, k;
  uint32_t sure; /* no list of the rest is nearer than this key */
  uint64_t entries[];
};

size_t sv_list_ranking_size(uint32_t k, uint32_t dim) {
  return sizeof(struct lists) + (size_t)k * sizeof(uint64_t) +
         sv_probe_size(dim) + ((size_t)k + 4) * sizeof(float);
}

static uint32_t key_of(uint64_t entry) { return (uint32_t)(entry >> 32); }

/* bound_entry: what is not over 0, or NaN, is 0. */
static inline uint64_t bound_entry(float lower, uint32_t number) {
  uint32_t key;
  const float least = lower > 0 ? lower : 0;
  memcpy(&key, &least, sizeof key);
  return (uint64_t)key << 32 | number;
}

/* bound_lists gives each list the key of its lower bound. */
static KERNEL void bound_lists(const float *routed, uint32_t dim,
                               const float *origin, uint32_t k,
                               struct lists *lists) {
  struct probe *probe = (struct probe *)(void *)(lists->entries + k);
  const uint8_t *block = (const uint8_t *)(origin + padded_of(dim));
  const uint32_t most = sv_block_rows(dim);
  probe_prepare(probe, SV_SQUARED_L2, routed, origin, dim);
  for (uint32_t at = 0; at < k; at += most) {
    const uint32_t n = k - at < most ? k - at : most;
    struct code_terms terms;
    probe_block(probe, block, n, 1, &terms);
    for (uint32_t i = 0; i < n; i += 64) {
      float lowers[64], estimates[64];
      const uint32_t m = n - i < 64 ? n - i : 64;
      codes_test(&terms, i, first_bits(m), INFINITY, lowers, estimates);
      for (uint32_t j = 0; j < m; j++)
        lists->entries[at + i + j] = bound_entry(lowers[j], at + i + j);
    }
    block += (size_t)sv_codes_size(n, dim);
  }
}

/* pick_key returns a key that about `wanted` of n entries are not over, and
 * one at least is not. */
static uint32_t pick_key(const uint64_t *entries, uint32_t n,
                         uint32_t wanted) {
  uint32_t picks[PICKS];
  const uint32_t m = n < PICKS ? n : PICKS;
  if (wanted >= n) return UINT32_MAX;
  for (uint32_t i = 0; i < m; i++) {
    const uint32_t key = key_of(entries[(uint64_t)i * n / m]);
    uint32_t at = i;
    for (; at > 0 && picks[at - 1] > key; at--) picks[at] = picks[at - 1];
    picks[at] = key;
  }
  return picks[(uint64_t)wanted * m / n];
}

/* scores_at writes the scores of lists as sv_scores does, eight at a time so
 * that none waits for its own sum. */
static KERNEL void scores_at(const float *routed, uint32_t dim,
                             const float *packed, const float *half_norms,
                             const uint32_t numbers[AT_ONCE],
                             float scores[AT_ONCE]) {
  const float *at[AT_ONCE];
  for (uint32_t j = 0; j < AT_ONCE; j++) {
    at[j] = packed + (size_t)(numbers[j] / SV_PACK_LANES) * dim *
                         SV_PACK_LANES + numbers[j] % SV_PACK_LANES;
    scores[j] = -half_norms[numbers[j]];
  }
  for (uint32_t t = 0; t < dim; t++)
    for (uint32_t j = 0; j < AT_ONCE; j++)
      scores[j] += routed[t] * at[j][(size_t)t * SV_PACK_LANES];
}

/* compare_lists replaces the bounds of n entries by their distances. */
static void compare_lists(const struct ranking *ranking, uint64_t *entries,
                          uint32_t n) {
  const struct lists *lists = ranking->lists;
  for (uint32_t i = 0; i < n; i += AT_ONCE) {
    uint32_t numbers[AT_ONCE];
    float scores[AT_ONCE];
    for (uint32_t j = 0; j < AT_ONCE; j++)
      numbers[j] = (uint32_t)entries[i + j < n ? i + j : i];
    scores_at(ranking->routed, ranking->dim, ranking->packed,
              ranking->half_norms, numbers, scores);
    for (uint32_t j = 0; j < AT_ONCE && i + j < n; j++)
      entries[i + j] = (uint64_t)score_to_key(lists->square, scores[j]) << 32 |
                       numbers[j];
  }
}

/* part moves the entries that are not over a key to the front, and returns
 * their number. */
static KERNEL uint32_t part(uint64_t *entries, uint32_t n, uint32_t limit) {
  uint32_t first = 0;
  for (uint32_t i = 0; i < n; i++) {
    const uint64_t entry = entries[i];
    if (key_of(entry) > limit) continue;
    entries[i] = entries[first];
    entries[first++] = entry;
  }
  return first;
}

/* compare_more moves about as many lists as wanted, those with the least
 * bounds, from the rest into the heap. */
static KERNEL void compare_more(const struct ranking *ranking,
                                uint32_t wanted) {
  struct lists *lists = ranking->lists;
  uint64_t *rest = lists->entries + (lists->k - lists->rest);
  uint64_t *heap = lists->entries;
  uint32_t limit = 0, n = lists->rest, before = 0;
  do {
    before = n;
    limit = pick_key(rest, n, wanted);
    n = part(rest, n, limit);
  } while (n > 2 * wanted && n < before);
  compare_lists(ranking, rest, n);
  memmove(heap + lists->compared, rest, n * sizeof *rest);
  lists->compared += n;
  lists->rest -= n;
  lists->sure = limit;
  make_heap(heap, lists->compared);
}

void ranking_begin(const struct ranking *ranking, const float *origin,
                   uint32_t k) {
  struct lists *lists = ranking->lists;
  *lists = (struct lists){
      .square = -sv_distance(SV_INNER_PRODUCT, ranking->routed,
                             ranking->routed, ranking->dim),
      .k = k};
  if (origin) {
    bound_lists(ranking->routed, ranking->dim, origin, k, lists);
    lists->rest = k;
    compare_more(ranking, FIRST_LISTS);
    return;
  }
  float *scores = (float *)(void *)(lists->entries + k);
  sv_scores(ranking->routed, ranking->dim, ranking->packed,
            ranking->half_norms, k, scores);
  for (uint32_t j = 0; j < k; j++)
    lists->entries[j] =
        (uint64_t)score_to_key(lists->square, scores[j]) << 32 | j;
  lists->compared = k;
  lists->sure = UINT32_MAX;
  make_heap(lists->entries, k);
}

uint32_t ranking_next(const struct ranking *ranking, float *distance) {
  struct lists *lists = ranking->lists;
  uint64_t *heap = lists->entries;
  while (lists->rest > 0 &&
         (lists->compared == 0 || key_of(heap[0]) > lists->sure))
    compare_more(ranking, lists->k - lists->rest);
  const uint64_t least = heap[0];
  const uint32_t key = key_of(least);
  memcpy(distance, &key, sizeof key);
  lists->compared--;
  sift_least(heap, lists->compared, 0, heap[lists->compared]);
  return (uint32_t)least;
}

/* ---- the stop rule ----------------------------------------------------- */

/* The power by two square roots, which round alike everywhere. */
double gap_of(const float *distances, uint32_t j) {
  const double root = sqrt((double)j + 1);
  return ((double)distances[j] - (double)distances[0]) * root * sqrt(root);
}

void sv_list_gaps(const uint32_t *order, const float *distances, uint32_t k,
                  double *gaps) {
  for (uint32_t j = 0; j < k; j++) gaps[order[j]] = gap_of(distances, j);
}
