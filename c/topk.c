/*
 * topk.c: the k nearest seen so far.
 *
 * A binary max-heap (Williams 1964) by (distance, row), the worst at the
 * root, sorted at the end by heapsort.
 *
 * Decisions:
 *  1. Order is by distance, then by row number, so that results do not
 *     depend on the order in which rows are visited.
 *  2. A NaN distance is never kept: it would be neither better nor worse
 *     than anything and would break the heap.
 *  3. Two arrays instead of an array of pairs: they are the result.
 */
#include "sv.h"
#include "internal.h"

/* worse says whether entry (d, r) comes after entry (e, s). */
static inline int worse(double d, uint32_t r, double e, uint32_t s) {
  return d > e || (d == e && r > s);
}

static void sift_up(struct sv_topk *top, uint32_t i, double d, uint32_t row) {
  while (i > 0) {
    const uint32_t parent = (i - 1) / 2;
    if (!worse(d, row, top->distances[parent], top->rows[parent])) break;
    top->distances[i] = top->distances[parent];
    top->rows[i] = top->rows[parent];
    i = parent;
  }
  top->distances[i] = d;
  top->rows[i] = row;
}

/* sift_down puts (d, row) at the root of the first n entries. */
static void sift_down(struct sv_topk *top, uint32_t n, double d,
                      uint32_t row) {
  const double *ds = top->distances;
  const uint32_t *rs = top->rows;
  uint32_t i = 0;
  for (uint32_t child = 1; child < n; child = 2 * i + 1) {
    if (child + 1 < n &&
        worse(ds[child + 1], rs[child + 1], ds[child], rs[child]))
      child++;
    if (!worse(ds[child], rs[child], d, row)) break;
    top->distances[i] = ds[child];
    top->rows[i] = rs[child];
    i = child;
  }
  top->distances[i] = d;
  top->rows[i] = row;
}

int32_t sv_topk_push(struct sv_topk *top, double distance, uint32_t row) {
  if (top->k == 0 || distance != distance) return 0;
  if (top->count < top->k) {
    sift_up(top, top->count++, distance, row);
    return 1;
  }
  if (!worse(top->distances[0], top->rows[0], distance, row)) return 0;
  sift_down(top, top->k, distance, row);
  return 1;
}

void sv_topk_sort(struct sv_topk *top) {
  for (uint32_t n = top->count; n > 1; n--) {
    const double worst = top->distances[0];
    const uint32_t row = top->rows[0];
    sift_down(top, n - 1, top->distances[n - 1], top->rows[n - 1]);
    top->distances[n - 1] = worst;
    top->rows[n - 1] = row;
  }
}
