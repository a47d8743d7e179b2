/*
 * kmeans.c: Lloyd's k-means as a state that the caller steps.
 *
 * S. Lloyd, "Least squares quantization in PCM", 1982; start from k rows of
 * the sample (Forgy 1965); empty lists refilled by splitting a large one, as
 * in FAISS (Clustering.cpp). Random numbers: splitmix64 (Steele, Lea, Flood
 * 2014), whose state is one u64.
 *
 * Decisions:
 *  1. Sums are f64 and every one of them, the objective too, is taken in row
 *     order, so that the result does not depend on how the caller steps.
 *  2. The objective is the sum of the exact distances that sv_assign gives:
 *     those of rows far from the origin lose no digit that the stop rules
 *     look at.
 *  3. A donor is drawn with probability (size - 1) / total, so a list of one
 *     row never gives. The draw walks the totals of GROUPS groups of lists,
 *     then one group: k empty lists cost O(k sqrt k) and not O(k^2).
 *  4. A list is split by its centroid becoming two (sv_split in balance.c),
 *     which the next pass parts.
 *  5. A pass with objective 0 splits nothing: all rows lie on centroids
 *     already, and only duplicates could be parted.
 *  6. Rows that come in groups of neighbours go to few of the k lists, and
 *     from pass to pass to nearly the same. So one pass compares with all,
 *     and those after it with the lists that the rows of the group went to:
 *     each row keeps at least the list it had, and the objective still never
 *     rises. A list that is put beside another joins it in all its groups.
 *     All are compared again when nothing is gained any more: only what a
 *     pass over all lists cannot better has converged.
 *  7. Several states, each with rows of its own, add up to one pass. What each
 *     has summed is taken out as it is, never merged on the way, so that it
 *     can be added in one order wherever it came from.
 *  8. Forgy, as FAISS has it, and not k-means++: its k sweeps of one distance
 *     a row, out of the fast kernel, cost about two iterations.
 */
#include "sv.h"
#include "internal.h"

#include <string.h>

#define TILE 256u   /* rows assigned at a time */
#define GROUPS TILE /* their totals live where lists of a tile live */
#define EARLY_BALANCES 3u
#define BALANCES 8u /* in all: there may be rows that no split parts */

/* Where things are in the scratch the caller gave. */
struct layout {
  uint32_t *origins;     /* k: the list that each was put beside, or itself */
  double *sums;          /* k * dim */
  void *sieve;           /* of the centroids, or of those near a group */
  void *scratch;         /* of sv_assign */
  uint32_t *starts;      /* groups + 1: rows of group g */
  uint32_t *near;        /* k: the lists of a group, ascending */
  uint32_t *counts;      /* k */
  uint32_t *lists;       /* TILE */
  float *distances;      /* TILE */
  uint8_t *used;         /* k */
  uint8_t *met;          /* groups * k: whether rows of the group go there */
};

/* next_random is splitmix64. */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* random_below is uniform up to 2^-32; n >= 1. */
static uint32_t random_below(uint64_t *state, uint32_t n) {
  return (uint32_t)((next_random(state) >> 32) * n >> 32);
}

/* take returns the offset of some bytes, and moves on behind them. */
static uint64_t take(uint64_t *end, uint64_t bytes) {
  const uint64_t at = *end;
  *end += pad16(bytes);
  return at;
}

/* groups_of: rows without groups are one. */
static uint32_t groups_of(uint32_t n_groups) {
  return n_groups > 0 ? n_groups : 1;
}

/* lay_out places everything from memory on and returns where it ends; memory
 * NULL asks for the size alone. */
static uint64_t lay_out(uint32_t dim, uint32_t k, uint32_t n_groups,
                        void *memory, struct layout *at) {
  uint64_t end = 0;
  const uint64_t origins = take(&end, k * 4ull);
  const uint64_t sums = take(&end, (uint64_t)k * dim * 8);
  const uint64_t sieve = take(&end, sv_sieve_size(k, dim));
  const uint64_t scratch = take(&end, sv_sieve_scratch_size(k, dim));
  const uint64_t groups = groups_of(n_groups);
  const uint64_t starts = take(&end, (groups + 1) * 4);
  const uint64_t near = take(&end, k * 4ull);
  const uint64_t counts = take(&end, (uint64_t)k * 4);
  const uint64_t lists = take(&end, TILE * 4);
  const uint64_t distances = take(&end, TILE * 4);
  const uint64_t used = take(&end, k), met = take(&end, groups * k);
  if (!memory) return end;
  uint8_t *p = memory;
  at->origins = (uint32_t *)(void *)(p + origins);
  at->sums = (double *)(void *)(p + sums);
  at->sieve = p + sieve;
  at->scratch = p + scratch;
  at->starts = (uint32_t *)(void *)(p + starts);
  at->near = (uint32_t *)(void *)(p + near);
  at->counts = (uint32_t *)(void *)(p + counts);
  at->lists = (uint32_t *)(void *)(p + lists);
  at->distances = (float *)(void *)(p + distances);
  at->used = p + used;
  at->met = p + met;
  return end;
}

size_t sv_kmeans_scratch_size(uint32_t dim, uint32_t k, uint32_t n_groups) {
  if (k > SV_MAX_LISTS || dim > SV_MAX_DIM + 1 || n_groups > SV_MAX_LISTS)
    return 0;
  const uint64_t bytes = lay_out(dim, k, n_groups, NULL, NULL);
  return bytes > SIZE_MAX ? 0 : (size_t)bytes;
}

static struct layout laid_out(const struct sv_kmeans *state, void *scratch) {
  struct layout at;
  lay_out(state->dim, state->k, state->n_groups, scratch, &at);
  return at;
}

int32_t sv_sample(uint32_t n, uint32_t m, uint64_t seed, uint32_t *picks) {
  if (m > n) return SV_ERROR_ARGUMENT;
  uint64_t random = seed;
  for (uint32_t i = 0, picked = 0; picked < m; i++)
    if (random_below(&random, n - i) < m - picked) picks[picked++] = i;
  return 0;
}

/* pick_rows is sv_sample that copies rows instead of naming them. */
static void pick_rows(const struct sv_kmeans *state, const float *rows,
                      float *centroids) {
  const size_t row_bytes = state->dim * sizeof *rows;
  uint64_t random = state->seed;
  for (uint32_t i = 0, picked = 0; picked < state->k; i++) {
    if (random_below(&random, state->n - i) >= state->k - picked) continue;
    memcpy(centroids + (size_t)picked * state->dim,
           rows + (size_t)i * state->dim, row_bytes);
    picked++;
  }
}

static int is_valid(const struct sv_kmeans *state, const uint32_t *starts,
                    int32_t warm) {
  if (!(state->k >= 1 && state->n >= (warm ? 1 : state->k) &&
        state->k <= SV_MAX_LISTS && state->dim >= 1 &&
        state->dim <= SV_MAX_DIM + 1 && state->max_iters >= 1 &&
        state->tolerance >= 0 && state->stall >= 0 &&
        (state->balance == 0 || state->balance >= 1) &&
        state->n_groups <= SV_MAX_LISTS))
    return 0;
  if (!starts || state->n_groups == 0) return !starts && !state->n_groups;
  for (uint32_t g = 0; g < state->n_groups; g++)
    if (starts[g] > starts[g + 1]) return 0;
  return starts[0] == 0 && starts[state->n_groups] == state->n;
}

int32_t sv_kmeans_start(struct sv_kmeans *state, const float *rows,
                        const uint32_t *starts, int32_t warm,
                        float *centroids, void *scratch) {
  if (!is_valid(state, starts, warm)) return SV_ERROR_ARGUMENT;
  state->random = ~state->seed; /* splits draw from another stream */
  state->iteration = 0;
  state->next_row = 0;
  state->group = 0;
  state->compare_all = 1;
  state->repaired = 0;
  state->balances = 0;
  state->balanced_at = 0;
  state->ending = SV_KMEANS_RUNNING;
  state->stop = SV_KMEANS_RUNNING;
  state->objective = 0;
  state->sum = 0;
  memset(state->history, 0, sizeof state->history);
  if (!warm) pick_rows(state, rows, centroids);
  const struct layout at = laid_out(state, scratch);
  const uint32_t whole[2] = {0, state->n};
  memcpy(at.starts, starts ? starts : whole,
         (groups_of(state->n_groups) + 1) * sizeof *starts);
  return 0;
}

/* add_row adds x to the sum of its list. */
static void add_row(const float *x, uint32_t dim, double *sum) {
  uint32_t t = 0;
#if SV_SIMD
  for (; t + 2 <= dim; t += 2)
    wasm_v128_store(
        sum + t,
        wasm_f64x2_add(wasm_v128_load(sum + t),
                       wasm_f64x2_promote_low_f32x4(
                           wasm_v128_load64_zero(x + t))));
#endif
  for (; t < dim; t++) sum[t] += (double)x[t];
}

/* met_by is the part of met of a group. */
static uint8_t *met_by(const struct layout *at, uint32_t group, uint32_t k) {
  return at->met + (size_t)group * k;
}

/* add_tile adds rows to the lists that near names; NULL names them all. */
static void add_tile(struct sv_kmeans *state, const struct layout *at,
                     const float *rows, uint32_t m, const uint32_t *near) {
  const uint32_t dim = state->dim;
  uint8_t *met = met_by(at, state->group, state->k);
  for (uint32_t i = 0; i < m; i++) {
    const size_t list = near ? near[at->lists[i]] : at->lists[i];
    state->sum += (double)at->distances[i];
    at->counts[list]++;
    met[list] = 1;
    add_row(rows + (size_t)i * dim, dim, at->sums + list * dim);
  }
}

static void move_centroids(const struct sv_kmeans *state,
                           const struct layout *at, float *centroids) {
  for (size_t j = 0; j < state->k; j++) {
    if (at->counts[j] == 0) continue;
    const double count = (double)at->counts[j];
    for (size_t t = j * state->dim; t < (j + 1) * state->dim; t++)
      centroids[t] = (float)(at->sums[t] / count);
  }
}

static uint32_t spare(uint32_t count) { return count > 0 ? count - 1 : 0; }

/* draw_donor finds the list that holds the pick-th row to spare. totals[g]
 * is what lists [g * width, (g + 1) * width) have to spare. */
static uint32_t draw_donor(const uint32_t *counts, const uint32_t *totals,
                           uint32_t width, uint32_t pick) {
  uint32_t group = 0;
  while (pick >= totals[group]) pick -= totals[group++];
  uint32_t list = group * width;
  while (pick >= spare(counts[list])) pick -= spare(counts[list++]);
  return list;
}

/* refill gives every empty list half of another. There is always one to
 * spare: n >= k, so with e lists empty e rows are second or later in theirs. */
static void refill(struct sv_kmeans *state, const struct layout *at,
                   float *centroids) {
  const uint32_t k = state->k, dim = state->dim;
  const uint32_t width = (k + GROUPS - 1) / GROUPS;
  uint32_t *counts = at->counts, *totals = at->lists, total = 0;
  memset(totals, 0, GROUPS * sizeof *totals);
  for (uint32_t j = 0; j < k; j++) {
    totals[j / width] += spare(counts[j]);
    total += spare(counts[j]);
  }
  for (uint32_t j = 0; j < k; j++) {
    if (counts[j] > 0) continue;
    const uint32_t pick = random_below(&state->random, total--);
    const uint32_t donor = draw_donor(counts, totals, width, pick);
    totals[donor / width] -= spare(counts[donor]);
    counts[j] = counts[donor] / 2;
    counts[donor] -= counts[j];
    totals[j / width] += spare(counts[j]);
    totals[donor / width] += spare(counts[donor]);
    at->origins[j] = at->origins[donor];
    sv_split(centroids + (size_t)donor * dim, centroids + (size_t)j * dim,
             dim);
    state->repaired++;
  }
}

/* stop_rule judges the pass that just ended; history[i % 3] holds the
 * objective of pass i. */
static uint32_t stop_rule(const struct sv_kmeans *state) {
  const uint32_t i = state->iteration;
  const double now = state->objective;
  if (now == 0) return SV_KMEANS_CONVERGED;
  if (state->ending && i < state->max_iters)
    return i < state->balanced_at + 2 ? SV_KMEANS_RUNNING : state->ending;
  if (i >= state->balanced_at + 2) {
    const double before = state->history[(i - 1) % 3];
    if (before - now <= (double)state->tolerance * before)
      return SV_KMEANS_CONVERGED;
  }
  if (i >= 4) {
    const double before = state->history[i % 3];
    if (before - now < (double)state->stall * before)
      return SV_KMEANS_STALLED;
  }
  return i >= state->max_iters ? SV_KMEANS_MAX_ITERS : SV_KMEANS_RUNNING;
}

/* balance moves seats after the first passes, and when all would end. Lloyd's
 * passes may undo it: in the end there are but two between balance steps, one
 * over all lists, so that no list is left with rows that have a nearer one. */
static void balance(struct sv_kmeans *state, const struct layout *at,
                    double rows, float *centroids) {
  const uint32_t i = state->iteration;
  const int ends = state->stop != SV_KMEANS_RUNNING;
  const int due = ends ? state->balances < BALANCES : i <= EARLY_BALANCES;
  if (state->balance == 0 || state->objective == 0 || !due ||
      i >= state->max_iters ||
      sv_balance(at->counts, at->used, state->k, state->dim, rows,
                 (double)state->balance, centroids, at->origins) == 0)
    return;
  state->balances++;
  state->balanced_at = i;
  if (ends) state->ending = state->stop;
  state->compare_all |= (uint32_t)ends;
  state->stop = SV_KMEANS_RUNNING;
}

/* join_lists has groups that met a list meet those put beside it too. */
static void join_lists(const struct sv_kmeans *state,
                       const struct layout *at) {
  for (uint32_t g = 0; g < state->n_groups; g++) {
    uint8_t *met = met_by(at, g, state->k);
    memcpy(at->used, met, state->k);
    for (uint32_t j = 0; j < state->k; j++) met[j] |= at->used[at->origins[j]];
  }
}

static void begin_pass(struct sv_kmeans *state, const struct layout *at,
                       const float *centroids) {
  memset(at->sums, 0, (size_t)state->k * state->dim * sizeof *at->sums);
  memset(at->counts, 0, state->k * sizeof *at->counts);
  state->sum = 0;
  state->group = 0;
  if (!state->compare_all) return join_lists(state, at);
  memset(at->met, 0, (size_t)groups_of(state->n_groups) * state->k);
  sv_sieve_pack(centroids, NULL, state->k, state->dim, at->sieve);
}

/* find_near names the lists that rows of the group under way may go to. */
static uint32_t find_near(const struct sv_kmeans *state,
                          const struct layout *at) {
  const uint8_t *met = met_by(at, state->group, state->k);
  uint32_t n = 0;
  for (uint32_t j = 0; j < state->k; j++)
    if (met[j]) at->near[n++] = j;
  return n;
}

static double added_rows(const struct sv_kmeans *state,
                         const struct layout *at) {
  double rows = 0;
  for (uint32_t j = 0; j < state->k; j++) rows += at->counts[j];
  return rows;
}

/* finish_pass wants as many rows as lists, at least. */
static void finish_pass(struct sv_kmeans *state, const struct layout *at,
                        double rows, float *centroids) {
  const uint32_t compared_all = state->compare_all;
  state->objective = state->sum / rows;
  state->next_row = 0;
  state->iteration++;
  move_centroids(state, at, centroids);
  for (uint32_t j = 0; j < state->k; j++) at->origins[j] = j;
  if (state->objective != 0) refill(state, at, centroids);
  state->compare_all = state->n_groups == 0;
  state->stop = stop_rule(state);
  if (state->stop == SV_KMEANS_CONVERGED && !compared_all) {
    state->compare_all = 1;
    state->stop = state->iteration < state->max_iters ? SV_KMEANS_RUNNING
                                                      : SV_KMEANS_MAX_ITERS;
  }
  balance(state, at, rows, centroids);
  state->history[state->iteration % 3] = state->objective;
}

/* next_tile assigns at most max_rows rows of one group and returns how many
 * it did. */
static uint32_t next_tile(struct sv_kmeans *state, const struct layout *at,
                          const float *rows, uint32_t max_rows,
                          const float *centroids) {
  const uint32_t dim = state->dim, *starts = at->starts + state->group;
  const uint32_t *near = NULL;
  uint32_t n_lists = state->k;
  if (!state->compare_all) {
    near = at->near;
    n_lists = find_near(state, at);
    if (state->next_row == starts[0] && starts[0] < starts[1])
      sv_sieve_pack(centroids, near, n_lists, dim, at->sieve);
  }
  const uint32_t left = starts[1] - state->next_row;
  uint32_t m = left < max_rows ? left : max_rows;
  if (m > TILE) m = TILE;
  const float *tile = rows + (size_t)state->next_row * dim;
  sv_assign(tile, m, dim, at->sieve, n_lists, at->scratch, at->lists,
            at->distances);
  add_tile(state, at, tile, m, near);
  state->next_row += m;
  if (state->next_row == starts[1]) state->group++;
  return m;
}

int32_t sv_kmeans_step(struct sv_kmeans *state, const float *rows,
                       uint32_t max_rows, const float *centroids,
                       void *scratch) {
  if (state->stop != SV_KMEANS_RUNNING) return 0;
  if (max_rows == 0) return SV_ERROR_ARGUMENT;
  const struct layout at = laid_out(state, scratch);
  if (state->next_row == 0) begin_pass(state, &at, centroids);
  while (max_rows > 0 && state->next_row < state->n)
    max_rows -= next_tile(state, &at, rows, max_rows, centroids);
  return state->next_row < state->n;
}

int32_t sv_kmeans_finish(struct sv_kmeans *state, float *centroids,
                         void *scratch) {
  if (state->stop != SV_KMEANS_RUNNING) return 0;
  const struct layout at = laid_out(state, scratch);
  const double rows = added_rows(state, &at);
  if (state->next_row < state->n || rows < state->k) return SV_ERROR_ARGUMENT;
  finish_pass(state, &at, rows, centroids);
  return state->stop == SV_KMEANS_RUNNING;
}

void sv_kmeans_next(struct sv_kmeans *state, int32_t compare_all) {
  state->next_row = 0;
  state->compare_all = compare_all != 0;
}

/* ---- sums in any order ------------------------------------------------- */

/* add_grains adds x, rounded to multiples of a grain: adding and taking away
 * 1.5 * 2^52 grains leaves nothing finer. */
static void add_grains(const float *x, uint32_t dim, double grain,
                       double *sum) {
  const double round = grain * 0x1.8p52;
  uint32_t t = 0;
#if SV_SIMD
  const v128_t round_f64x2 = wasm_f64x2_splat(round);
  for (; t + 2 <= dim; t += 2) {
    const v128_t pair =
        wasm_f64x2_promote_low_f32x4(wasm_v128_load64_zero(x + t));
    const v128_t rounded =
        wasm_f64x2_sub(wasm_f64x2_add(pair, round_f64x2), round_f64x2);
    wasm_v128_store(sum + t,
                    wasm_f64x2_add(wasm_v128_load(sum + t), rounded));
  }
#endif
  for (; t < dim; t++) sum[t] += (double)x[t] + round - round;
}

int32_t sv_add_rows(const float *rows, const uint32_t *lists, uint32_t n,
                    uint32_t dim, double grain, double *sums,
                    uint32_t *counts) {
  for (uint32_t i = 0; i < n; i++, rows += dim) {
    add_grains(rows, dim, grain, sums + (size_t)lists[i] * dim);
    counts[lists[i]]++;
  }
  return 0;
}

/* ---- sums of several states -------------------------------------------- */

size_t sv_kmeans_sums_size(uint32_t k, uint32_t dim) {
  const uint64_t bytes = 8 + ((uint64_t)dim * 8 + 4) * k;
  return k > SV_MAX_LISTS || dim > SV_MAX_DIM + 1 || bytes > SIZE_MAX
             ? 0
             : (size_t)bytes;
}

void sv_kmeans_take(struct sv_kmeans *state, void *scratch, uint8_t *sums) {
  const struct layout at = laid_out(state, scratch);
  const size_t sums_bytes = (size_t)state->k * state->dim * sizeof *at.sums;
  const size_t counts_bytes = state->k * sizeof *at.counts;
  memcpy(sums, &state->sum, sizeof state->sum);
  memcpy(sums += sizeof state->sum, at.sums, sums_bytes);
  memcpy(sums + sums_bytes, at.counts, counts_bytes);
  state->sum = 0;
  memset(at.sums, 0, sums_bytes);
  memset(at.counts, 0, counts_bytes);
}

void sv_kmeans_add(struct sv_kmeans *state, void *scratch,
                   const uint8_t *sums) {
  const struct layout at = laid_out(state, scratch);
  const size_t components = (size_t)state->k * state->dim;
  double sum;
  memcpy(&sum, sums, sizeof sum);
  state->sum += sum;
  sums += sizeof sum;
  for (size_t t = 0; t < components; t++, sums += sizeof sum) {
    memcpy(&sum, sums, sizeof sum);
    at.sums[t] += sum;
  }
  for (uint32_t j = 0; j < state->k; j++, sums += sizeof *at.counts) {
    uint32_t count;
    memcpy(&count, sums, sizeof count);
    at.counts[j] += count;
  }
}
