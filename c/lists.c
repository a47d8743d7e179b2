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
 *  3. Kernels are small functions that are not inlined; see sieve.c.
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

int32_t sv_rank_lists(const float *routed, uint32_t dim, const float *packed,
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
  return 0;
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

void ranking_begin(struct ranking *ranking, const float *routed, uint32_t dim,
                   const float *packed, const float *half_norms, uint32_t k,
                   void *scratch) {
  uint64_t *heap = scratch;
  float *scores = (float *)(void *)(heap + k);
  const double square = -sv_distance(SV_INNER_PRODUCT, routed, routed, dim);
  sv_scores(routed, dim, packed, half_norms, k, scores);
  for (uint32_t j = 0; j < k; j++)
    heap[j] = (uint64_t)score_to_key(square, scores[j]) << 32 | j;
  for (uint32_t i = k / 2; i-- > 0;) sift_least(heap, k, i, heap[i]);
  *ranking = (struct ranking){heap, k, 0};
}

void ranking_reach(struct ranking *ranking, uint32_t n, uint32_t *order,
                   float *distances) {
  while (ranking->ranked < n && ranking->left > 0) {
    const uint64_t least = ranking->heap[0];
    const uint32_t key = (uint32_t)(least >> 32), at = ranking->ranked++;
    order[at] = (uint32_t)least;
    memcpy(distances + at, &key, sizeof key);
    ranking->left--;
    sift_least(ranking->heap, ranking->left, 0,
               ranking->heap[ranking->left]);
  }
}

/* ---- the stop rule ----------------------------------------------------- */

/* The power by two square roots, which round alike everywhere. */
double gap_of(const float *distances, uint32_t j) {
  const double root = sqrt((double)j + 1);
  return ((double)distances[j] - (double)distances[0]) * root * sqrt(root);
}

int32_t sv_list_gaps(const uint32_t *order, const float *distances, uint32_t k,
                     double *gaps) {
  for (uint32_t j = 0; j < k; j++) gaps[order[j]] = gap_of(distances, j);
  return 0;
}
