/*
 * balance.c: seats of small lists go to lists that are too large.
 *
 * The cost of a query is the rows of the lists it visits, so that one list of
 * many times the mean costs every query near it. K-means alone leaves such
 * lists where rows are dense. A balance step takes the centroid of a list that
 * can be spared and puts it beside that of a large one, which the next pass
 * then parts.
 *
 * Decisions:
 *  1. What is spared is judged as by J. H. Ward (1963): a list of few rows
 *     close to another one costs the least, its rows times the squared
 *     distance to the nearest centroid. Of the SPARED smallest lists the
 *     cheapest goes; to measure all would cost k^2 distances.
 *  2. Lists over the mean are not spared: their rows would make the next ones
 *     that are too large.
 *  3. When one list is too large, all within MARGIN of that are split, so that
 *     the passes that follow do not make the next one too large at once.
 *  4. The counts are kept as if every split parted a list evenly, so that one
 *     of four times the mean is split three times at once.
 *  5. A split moves both halves by 1/1024, up and down on alternating
 *     components, so that neither keeps all rows.
 */
#include "internal.h"

#include <math.h>
#include <string.h>

#define SPARED 4u
#define MARGIN 0.85
#define SPLIT (1.0f / 1024)

void sv_split(float *from, float *to, uint32_t dim) {
  for (uint32_t t = 0; t < dim; t++) {
    const float up = from[t] * (1 + SPLIT), down = from[t] * (1 - SPLIT);
    to[t] = t % 2 ? down : up;
    from[t] = t % 2 ? up : down;
  }
}

/* largest_of returns the list with the most rows. */
static uint32_t largest_of(const uint32_t *counts, uint32_t k) {
  uint32_t best = 0;
  for (uint32_t j = 1; j < k; j++)
    if (counts[j] > counts[best]) best = j;
  return best;
}

/* smallest_of finds up to SPARED lists of at most `most` rows that took no
 * part yet, the smallest first, and returns how many there are. */
static uint32_t smallest_of(const uint32_t *counts, const uint8_t *used,
                            uint32_t k, double most, uint32_t *found) {
  uint32_t n = 0;
  for (uint32_t j = 0; j < k; j++) {
    if (used[j] || counts[j] > most) continue;
    uint32_t at = n < SPARED ? n++ : SPARED;
    while (at > 0 && counts[j] < counts[found[at - 1]]) {
      if (at < SPARED) found[at] = found[at - 1];
      at--;
    }
    if (at < SPARED) found[at] = j;
  }
  return n;
}

/* nearest_other returns the squared distance to the nearest other centroid. */
static float nearest_other(const float *centroids, uint32_t k, uint32_t dim,
                           uint32_t list) {
  const float *own = centroids + (size_t)list * dim;
  float best = INFINITY;
  for (uint32_t j = 0; j < k; j++) {
    if (j == list) continue;
    const float d = sv_squared_l2(own, centroids + (size_t)j * dim, dim);
    if (d < best) best = d;
  }
  return best;
}

/* cheapest_of returns the list that can be spared best, or k. */
static uint32_t cheapest_of(const uint32_t *counts, const uint8_t *used,
                            const float *centroids, uint32_t k, uint32_t dim,
                            double most) {
  uint32_t found[SPARED], best = k;
  const uint32_t n = smallest_of(counts, used, k, most, found);
  double least = (double)INFINITY;
  for (uint32_t i = 0; i < n; i++) {
    const float d = nearest_other(centroids, k, dim, found[i]);
    const double cost = (double)counts[found[i]] * (double)d;
    if (best < k && cost >= least) continue;
    best = found[i];
    least = cost;
  }
  return best;
}

uint32_t sv_balance(uint32_t *counts, uint8_t *used, uint32_t k, uint32_t dim,
                    double rows, double limit, float *centroids,
                    uint32_t *origins) {
  const double mean = rows / k;
  uint32_t moved = 0;
  memset(used, 0, k);
  for (;; moved++) {
    const double most = limit * mean * (moved > 0 ? MARGIN : 1);
    const uint32_t donor = largest_of(counts, k);
    if (counts[donor] < 2 || counts[donor] <= most) return moved;
    used[donor] = 1;
    const uint32_t spared =
        cheapest_of(counts, used, centroids, k, dim, mean);
    if (spared == k) return moved;
    used[spared] = 1;
    counts[spared] = counts[donor] / 2;
    counts[donor] -= counts[spared];
    origins[spared] = origins[donor];
    sv_split(centroids + (size_t)donor * dim, centroids + (size_t)spared * dim,
             dim);
  }
}
