/* topk.c against a sort of everything offered. */
#include "check.h"
#include "sv.h"

struct entry {
  double distance;
  uint32_t row;
};

static int by_distance(const void *a, const void *b) {
  const struct entry *x = a, *y = b;
  if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

static struct sv_topk make_top(uint32_t k) {
  struct sv_topk top = {k, 0, make(k * sizeof(double)),
                        make(k * sizeof(uint32_t))};
  return top;
}

static void drop_top(struct sv_topk top) {
  free(top.distances);
  free(top.rows);
}

/* check_top offers entries in the order given, checks every return value
 * and the result. levels is how many different distances there are. */
static void check_top(uint32_t k, uint32_t n, uint32_t levels) {
  struct sv_topk top = make_top(k);
  struct entry *seen = make(n * sizeof *seen);
  for (uint32_t i = 0; i < n; i++) {
    seen[i].distance = (double)random_below(levels) - 3;
    seen[i].row = i;
  }
  for (uint32_t i = n; i > 1; i--) {
    const uint32_t j = random_below(i);
    const struct entry swap = seen[j];
    seen[j] = seen[i - 1];
    seen[i - 1] = swap;
  }
  for (uint32_t i = 0; i < n; i++) {
    uint32_t better = 0;
    for (uint32_t j = 0; j < i; j++)
      better += by_distance(seen + j, seen + i) < 0;
    CHECK(sv_topk_push(&top, seen[i].distance, seen[i].row) == (better < k));
  }
  sv_topk_sort(&top);
  qsort(seen, n, sizeof *seen, by_distance);
  CHECK(top.count == (n < k ? n : k));
  for (uint32_t i = 0; i < top.count; i++) {
    CHECK(top.distances[i] == seen[i].distance);
    CHECK(top.rows[i] == seen[i].row);
  }
  free(seen);
  drop_top(top);
}

static void keeps_nearest(void) {
  for (uint32_t k = 0; k <= 17; k++)
    for (uint32_t n = 0; n <= 60; n += 1 + n / 8) {
      check_top(k, n, 1000000);
      check_top(k, n, 5);
      check_top(k, n, 1);
    }
  check_top(500, 3000, 400);
}

static void root_is_worst(void) {
  struct sv_topk top = make_top(10);
  for (uint32_t i = 0; i < 500; i++) {
    sv_topk_push(&top, (double)random_float(), i);
    for (uint32_t j = 1; j < top.count; j++)
      CHECK(top.distances[j] <= top.distances[0]);
  }
  drop_top(top);
}

static void refuses_nan(void) {
  struct sv_topk top = make_top(3);
  CHECK(sv_topk_push(&top, (double)NAN, 1) == 0);
  CHECK(top.count == 0);
  CHECK(sv_topk_push(&top, (double)INFINITY, 1) == 1);
  CHECK(sv_topk_push(&top, 1, 2) == 1);
  CHECK(sv_topk_push(&top, (double)-INFINITY, 3) == 1);
  CHECK(sv_topk_push(&top, (double)NAN, 4) == 0);
  CHECK(sv_topk_push(&top, 5, 5) == 1);
  sv_topk_sort(&top);
  CHECK(top.rows[0] == 3 && top.rows[1] == 2 && top.rows[2] == 5);
  drop_top(top);
}

static void keeps_none(void) {
  struct sv_topk top = {0, 0, NULL, NULL};
  CHECK(sv_topk_push(&top, 1, 1) == 0);
  sv_topk_sort(&top);
  CHECK(top.count == 0);
}

int main(void) {
  run("keeps the k nearest, ties by row, in whatever order they come",
      keeps_nearest);
  run("holds the worst at the root", root_is_worst);
  run("never keeps a NaN, and orders infinities", refuses_nan);
  run("keeps nothing when k is 0", keeps_none);
  return 0;
}
