/* sv_scan_run (scan.c) against brute force: every row, in f64, sorted. What
 * holds by vectors holds by codes as well. */
#define SV_ALLOCATOR
#include "check.h"
#include "internal.h"
#include "sv.h"

#define MAX_ROWS 400u
#define MAX_LISTS 8u
#define MAX_BLOCKS 40u

/* Whether rows have codes. */
static int coded;

/* An index of few rows: groups of blocks of rows, in memory. */
struct index {
  int32_t metric;
  uint32_t dim, n_lists, n_blocks, n_rows;
  struct sv_block blocks[MAX_BLOCKS];
  uint32_t starts[MAX_LISTS + 2], order[MAX_LISTS];
  float order_distances[MAX_LISTS];
  float *vectors[MAX_BLOCKS], *norms[MAX_BLOCKS], *query;
  float *origins[MAX_BLOCKS];
  uint8_t *codes[MAX_BLOCKS], *signs[MAX_BLOCKS];
  uint8_t *live;
};

enum kind { PLAIN, EQUAL, LARGE, TINY, SMALL, MIXED, NEAR_TIES, KINDS };

/* fill_row writes a row of some kind. Squares of SMALL are about the least
 * f32. NEAR_TIES are the query moved by the same amounts in another order:
 * all equally far but for the last bits, so that f32 cannot tell which is
 * nearer. */
static void fill_row(float *x, const float *query, uint32_t dim,
                     enum kind kind) {
  const float fixed = 0.5f;
  random_floats(x, dim);
  for (uint32_t t = 0; t < dim; t++) {
    if (kind == EQUAL) x[t] = t % 2 ? fixed : -fixed;
    if (kind == LARGE) x[t] *= 1e18f / sqrtf((float)dim);
    if (kind == TINY) x[t] *= 0x1p-126f * 0x1p-12f;
    if (kind == SMALL) x[t] *= 0x1p-74f;
    if (kind == MIXED) x[t] *= powf(2, (float)random_below(180) - 125);
    if (kind == NEAR_TIES)
      x[t] = query[t] * (1 + 1e-3f * (float)(1 + (t + random_below(2)) % 7));
  }
  if (kind == TINY || kind == SMALL) x[0] += 0x1p-149f;
  if (kind == MIXED) x[0] = 1e-20f;
}

static enum kind random_kind(enum kind kind) {
  return random_below(3) ? kind : (enum kind)random_below(NEAR_TIES);
}

/* encode writes the codes of a block as the first list of a segment of its
 * own. The rows of the other one lie elsewhere, so that the mean of the block
 * is not that of the segment. */
static void encode(struct index *ix, uint32_t b) {
  struct sv_block *block = ix->blocks + b;
  const uint32_t n = block->n_rows, dim = ix->dim, starts[] = {0, n, 2 * n};
  if (!coded) return;
  float *rows = make((size_t)2 * n * dim * sizeof *rows);
  memcpy(rows, ix->vectors[b], (size_t)n * dim * sizeof *rows);
  for (uint32_t i = n * dim; i < 2 * n * dim; i++) rows[i] = -rows[i % dim];
  const size_t size = 2 * (size_t)sv_codes_size(n, dim);
  free(ix->origins[b]);
  free(ix->codes[b]);
  ix->origins[b] = make((dim + 31) / 32 * 32 * 3 * sizeof(float));
  ix->codes[b] = make(size);
  block->codes = ix->codes[b];
  CHECK(sv_codes_encode(ix->metric, rows, dim, starts, 2, NULL, NULL) ==
        (double)size);
  sv_codes_origin(ix->metric, rows, 2 * n, dim, ix->origins[b]);
  CHECK(sv_codes_encode(ix->metric, rows, dim, starts, 2, ix->origins[b],
                        ix->codes[b]) == (double)size);
  free(rows);
  free(ix->signs[b]);
  ix->signs[b] = make(sv_signs_size(n, dim));
  block->signs = sv_signs_size(n, dim) > 0 ? ix->signs[b] : NULL;
  if (!block->signs) return;
  void *scratch = make(sv_signs_scratch_size(dim));
  memset(block->signs, 0, sv_signs_size(n, dim));
  for (uint32_t visits = random_below(4); visits > 0; visits--)
    signs_visit(ix->metric, ix->origins[b], dim, n, block->codes, block->signs,
                scratch);
  free(scratch);
}

static void encode_all(struct index *ix) {
  for (uint32_t b = 0; b < ix->n_blocks; b++) encode(ix, b);
}

static void add_block(struct index *ix, enum kind kind) {
  const uint32_t b = ix->n_blocks++, n = random_below(14);
  ix->vectors[b] = make(n * ix->dim * sizeof(float));
  ix->norms[b] = make(n * sizeof(float));
  for (uint32_t i = 0; i < n; i++)
    fill_row(ix->vectors[b] + i * ix->dim, ix->query, ix->dim,
             random_kind(kind));
  sv_norms(ix->vectors[b], n, ix->dim, ix->norms[b]);
  ix->blocks[b].vectors = ix->vectors[b];
  ix->blocks[b].norms = ix->metric == SV_SQUARED_L2 ? NULL : ix->norms[b];
  ix->blocks[b].n_rows = n;
  ix->blocks[b].first_row = ix->n_rows;
  ix->blocks[b].origin = b;
  ix->n_rows += n;
  encode(ix, b);
}

static struct index make_index_of(uint32_t dim, int32_t metric,
                                  enum kind kind) {
  struct index ix;
  memset(&ix, 0, sizeof ix);
  ix.metric = metric;
  ix.dim = dim;
  ix.n_lists = random_below(MAX_LISTS + 1);
  ix.query = make(ix.dim * sizeof(float));
  fill_row(ix.query, NULL, ix.dim, kind == NEAR_TIES ? PLAIN : kind);
  for (uint32_t g = 0; g <= ix.n_lists; g++) {
    ix.starts[g] = ix.n_blocks;
    for (uint32_t b = random_below(4); b > 0; b--) add_block(&ix, kind);
  }
  ix.starts[ix.n_lists + 1] = ix.n_blocks;
  float distance = random_float() + 1;
  for (uint32_t i = 0; i < ix.n_lists; i++) {
    const uint32_t j = random_below(i + 1);
    ix.order[i] = ix.order[j];
    ix.order[j] = i;
    ix.order_distances[i] = distance;
    distance += (random_float() + 1) * (float)random_below(3);
  }
  ix.live = make((ix.n_rows + 7) / 8);
  const uint32_t sparse = random_below(4);
  for (uint32_t i = 0; i < (ix.n_rows + 7) / 8; i++)
    ix.live[i] = (uint8_t)(sparse == 0   ? 255
                           : sparse == 1 ? random_u64() & random_u64()
                                         : random_u64());
  return ix;
}

static struct index make_index(int32_t metric, enum kind kind) {
  const uint32_t dim = coded ? 32 + random_below(70) : 1 + random_below(40);
  return make_index_of(dim, metric, kind);
}

static void drop_index(struct index *ix) {
  for (uint32_t b = 0; b < ix->n_blocks; b++) {
    free(ix->vectors[b]);
    free(ix->norms[b]);
    free(ix->codes[b]);
    free(ix->signs[b]);
    free(ix->origins[b]);
  }
  free(ix->query);
  free(ix->live);
}

static void add_codes(struct sv_scan *scan, const struct index *ix) {
  const size_t probe = sv_probe_size(ix->dim);
  scan->origins = (const float *const *)ix->origins;
  scan->probes = make(MAX_BLOCKS * probe);
  for (uint32_t i = 0; i < MAX_BLOCKS; i++)
    memset((uint8_t *)scan->probes + i * probe, 255, 4);
  scan->sign_scratch = make(sv_signs_scratch_size(ix->dim));
  scan->room = 64;
  scan->candidates = make(scan->room * sizeof *scan->candidates);
  scan->bounds.k = scan->top.k;
  scan->bounds.distances = make(scan->top.k * sizeof(double));
  scan->bounds.rows = make(scan->top.k * sizeof(uint32_t));
  scan->z = sqrtf((float)ix->dim) / 2 * 1.001f;
}

/* run_scan gives room when that is wanted. */
static int32_t run_scan(struct sv_scan *scan) {
  int32_t code;
  while ((code = sv_scan_run(scan)) == SV_SCAN_ROOM) {
    struct sv_candidate *more =
        make((scan->room + 64) * sizeof *scan->candidates);
    memcpy(more, scan->candidates,
           scan->n_candidates * sizeof *scan->candidates);
    free(scan->candidates);
    scan->candidates = more;
    scan->room += 64;
  }
  return code;
}

static struct sv_scan make_scan(struct index *ix, uint32_t k,
                                int filtered) {
  struct sv_scan scan;
  memset(&scan, 0, sizeof scan);
  scan.query = ix->query;
  scan.blocks = ix->blocks;
  scan.list_starts = ix->starts;
  scan.order = ix->order;
  scan.order_distances = ix->order_distances;
  scan.live = filtered ? ix->live : NULL;
  scan.top.k = k;
  scan.top.distances = make(k * sizeof(double));
  scan.top.rows = make(k * sizeof(uint32_t));
  scan.query_norm = sqrt(
      -sv_distance(SV_INNER_PRODUCT, ix->query, ix->query, ix->dim));
  scan.scale = 1;
  scan.stop_ratio = INFINITY;
  scan.metric = ix->metric;
  scan.dim = ix->dim;
  scan.n_lists = ix->n_lists;
  scan.n_probes = scan.ranked = ix->n_lists;
  if (coded) add_codes(&scan, ix);
  return scan;
}

static void drop_scan(struct sv_scan *scan) {
  free(scan->top.distances);
  free(scan->top.rows);
  free(scan->bounds.distances);
  free(scan->bounds.rows);
  free(scan->candidates);
  free(scan->probes);
  free(scan->sign_scratch);
}

struct expected {
  uint32_t n, rows_scanned, groups;
  double distances[MAX_ROWS];
  uint32_t rows[MAX_ROWS];
};

/* insert keeps everything, sorted by (distance, row). */
static void insert(struct expected *e, double distance, uint32_t row) {
  uint32_t i = e->n++;
  CHECK(e->n <= MAX_ROWS);
  for (; i > 0 && (e->distances[i - 1] > distance ||
                   (e->distances[i - 1] == distance && e->rows[i - 1] > row));
       i--) {
    e->distances[i] = e->distances[i - 1];
    e->rows[i] = e->rows[i - 1];
  }
  e->distances[i] = distance;
  e->rows[i] = row;
}

static void visit(const struct index *ix, const struct sv_scan *scan,
                  uint32_t group, struct expected *e) {
  for (uint32_t b = ix->starts[group]; b < ix->starts[group + 1]; b++)
    for (uint32_t i = 0; i < ix->blocks[b].n_rows; i++) {
      const uint32_t row = ix->blocks[b].first_row + i;
      if (scan->live && !(ix->live[row / 8] >> row % 8 & 1)) continue;
      e->rows_scanned++;
      insert(e,
             sv_distance(ix->metric, ix->query,
                         ix->vectors[b] + i * ix->dim, ix->dim),
             row);
    }
  e->groups++;
}

/* expect is sv_scan_run by its documentation, without any bound; after a scan
 * by codes, over the groups it visited, since it stops by estimates. */
static struct expected expect(const struct index *ix,
                              const struct sv_scan *scan) {
  struct expected e;
  memset(&e, 0, sizeof e);
  if (scan->top.k == 0) return e;
  visit(ix, scan, ix->n_lists, &e);
  for (uint32_t j = 0; j < ix->n_lists; j++) {
    if (coded && scan->position > 0) {
      if (j + 1 >= scan->position) break;
      visit(ix, scan, ix->order[j], &e);
      continue;
    }
    if (e.n >= scan->top.k && j >= scan->n_probes) break;
    if (j >= scan->min_probes && e.n >= scan->top.k &&
        scan->stop_ratio < INFINITY) {
      const double gap = (double)ix->order_distances[j] -
                         (double)ix->order_distances[0];
      const double kth = e.distances[scan->top.k - 1];
      const double r2 = scan->scale * kth + scan->offset;
      if (!(gap * pow(j + 1, 0.75) <= (double)scan->stop_ratio * r2)) break;
    }
    visit(ix, scan, ix->order[j], &e);
  }
  if (e.n > scan->top.k) e.n = scan->top.k;
  return e;
}

static void check_scan(struct sv_scan *scan, const struct expected *e) {
  CHECK(scan->top.count == e->n);
  sv_topk_sort(&scan->top);
  for (uint32_t i = 0; i < e->n; i++) {
    CHECK(scan->top.rows[i] == e->rows[i]);
    CHECK(same_bits(scan->top.distances + i, e->distances + i,
                    sizeof(double)));
  }
  CHECK(scan->rows_scanned == e->rows_scanned);
  CHECK(scan->position == e->groups);
}

static void scans_all(void) {
  for (uint32_t round = 0; round < 6000; round++) {
    struct index ix =
        make_index((int32_t)(round % 3), (enum kind)(round / 3 % KINDS));
    struct sv_scan scan = make_scan(&ix, random_below(20), round % 2);
    const struct expected e = expect(&ix, &scan);
    CHECK(run_scan(&scan) == 0);
    check_scan(&scan, &e);
    drop_scan(&scan);
    drop_index(&ix);
  }
}

/* Rows so alike that f32 orders them wrongly: a bar without its allowance
 * loses some of them. In half of the rounds the query is subnormal and the
 * rows are long, so that the bar itself has few bits. */
static void scans_near_ties(void) {
  for (uint32_t round = 0; round < 3000; round++) {
    struct index ix = make_index((int32_t)(round % 3), NEAR_TIES);
    for (uint32_t b = 0; b < ix.n_blocks; b++) {
      for (uint32_t i = 0; i < ix.blocks[b].n_rows; i++)
        fill_row(ix.vectors[b] + i * ix.dim, ix.query, ix.dim, NEAR_TIES);
      for (uint32_t i = 0; i < ix.blocks[b].n_rows * ix.dim; i++)
        ix.vectors[b][i] *= round % 2 ? 0x1p50f : 1;
      sv_norms(ix.vectors[b], ix.blocks[b].n_rows, ix.dim, ix.norms[b]);
    }
    encode_all(&ix);
    for (uint32_t t = 0; t < ix.dim; t++)
      ix.query[t] *= round % 2 ? 0x1p-126f * 0x1p-12f : 1;
    struct sv_scan scan = make_scan(&ix, 1 + random_below(6), 0);
    const struct expected e = expect(&ix, &scan);
    CHECK(run_scan(&scan) == 0);
    check_scan(&scan, &e);
    drop_scan(&scan);
    drop_index(&ix);
  }
}

/* The largest sums of codes: all components at the end of their steps, of as
 * many components as there may be, and a query whose are all its largest. */
static void scans_largest_sums(void) {
  for (int32_t metric = 0; metric < 3; metric++) {
    struct index ix = make_index_of(SV_MAX_DIM, metric, PLAIN);
    for (uint32_t t = 0; t < ix.dim; t++) ix.query[t] = 1;
    for (uint32_t b = 0; b < ix.n_blocks; b++) {
      for (uint32_t i = 0; i < ix.blocks[b].n_rows * ix.dim; i++)
        ix.vectors[b][i] = i / ix.dim % 2 ? 1 : -1;
      sv_norms(ix.vectors[b], ix.blocks[b].n_rows, ix.dim, ix.norms[b]);
    }
    encode_all(&ix);
    struct sv_scan scan = make_scan(&ix, 1 + random_below(20), 0);
    const struct expected e = expect(&ix, &scan);
    CHECK(run_scan(&scan) == 0);
    check_scan(&scan, &e);
    drop_scan(&scan);
    drop_index(&ix);
  }
}

static void stops(void) {
  uint32_t early = 0;
  for (uint32_t round = 0; round < 3000; round++) {
    struct index ix = make_index((int32_t)(round % 3), PLAIN);
    struct sv_scan scan = make_scan(&ix, 1 + random_below(5), round % 2);
    scan.n_probes = random_below(MAX_LISTS + 4);
    scan.min_probes = random_below(4);
    scan.stop_ratio = (random_float() + 1) * 2;
    scan.scale = (double)random_float() + 1;
    scan.offset = (double)random_float();
    struct expected e = expect(&ix, &scan);
    CHECK(run_scan(&scan) == 0);
    if (coded) e = expect(&ix, &scan);
    early += e.groups <= scan.n_probes && e.groups <= ix.n_lists;
    check_scan(&scan, &e);
    CHECK(run_scan(&scan) == 0); /* done stays done */
    CHECK(scan.rows_scanned == e.rows_scanned);
    drop_scan(&scan);
    drop_index(&ix);
  }
  CHECK(early > 300);
}

/* Few probes, but more rows wanted than they hold: the scan goes on. */
static void never_short(void) {
  for (uint32_t round = 0; round < 300; round++) {
    struct index ix = make_index((int32_t)(round % 3), PLAIN);
    struct sv_scan scan = make_scan(&ix, ix.n_rows, 0);
    scan.n_probes = round % 2;
    scan.stop_ratio = 0;
    CHECK(run_scan(&scan) == 0);
    CHECK(scan.top.count == ix.n_rows);
    drop_scan(&scan);
    drop_index(&ix);
  }
}

/* With a k-th distance of 0, or lists at infinity, infinity times 0 and
 * infinity minus infinity must not stop an exhaustive search. */
static void never_stops(void) {
  for (uint32_t round = 0; round < 300; round++) {
    struct index ix = make_index(SV_SQUARED_L2, EQUAL);
    for (uint32_t i = round % 2; i < ix.n_lists; i++)
      ix.order_distances[i] = INFINITY;
    struct sv_scan scan = make_scan(&ix, 1, 0);
    scan.scale = 0;
    const struct expected e = expect(&ix, &scan);
    CHECK(run_scan(&scan) == 0);
    check_scan(&scan, &e);
    CHECK(e.groups == ix.n_lists + 1);
    drop_scan(&scan);
    for (uint32_t i = 0; i < ix.n_lists; i++)
      ix.order_distances[i] = INFINITY; /* so that all gaps are NaN */
    scan = make_scan(&ix, 1, 0);
    scan.stop_ratio = 1;
    CHECK(run_scan(&scan) == 0);
    CHECK(scan.position == ix.n_lists + 1);
    drop_scan(&scan);
    drop_index(&ix);
  }
}

static int any_live(const struct index *ix, const struct sv_scan *scan,
                    uint32_t b) {
  for (uint32_t i = 0; i < ix->blocks[b].n_rows; i++) {
    const uint32_t row = ix->blocks[b].first_row + i;
    if (!scan->live || ix->live[row / 8] >> row % 8 & 1) return 1;
  }
  return 0;
}

static void hide(struct index *ix, uint32_t b) {
  ix->blocks[b].vectors = NULL;
  ix->blocks[b].codes = NULL;
}

static void expect_distinct(const uint32_t *numbers, int32_t n) {
  for (int32_t i = 0; i < n; i++)
    for (int32_t j = 0; j < i; j++) CHECK(numbers[i] != numbers[j]);
}

/* is_ahead says whether what is missing is first among what is to be loaded,
 * all of it once. */
static int is_ahead(struct sv_scan *scan) {
  uint32_t ahead[MAX_BLOCKS];
  const int32_t n = sv_scan_ahead(scan, MAX_BLOCKS, ahead);
  expect_distinct(ahead, n);
  return n > 0 && ahead[0] == scan->missing;
}

/* give_rows gives the rows of candidates, one of the missing block first of
 * all. */
static void give_rows(const struct index *ix, struct sv_scan *scan) {
  uint32_t numbers[MAX_ROWS];
  const uint32_t most = 1 + random_below(8);
  const int32_t n = sv_scan_candidates(scan, most, numbers);
  float *rows = make(most * ix->dim * sizeof *rows);
  CHECK(n > 0 && n <= (int32_t)most);
  expect_distinct(numbers, n);
  CHECK(scan->candidates[numbers[0]].place == scan->missing);
  for (int32_t i = 0; i < n; i++) {
    const struct sv_candidate *one = scan->candidates + numbers[i];
    CHECK(one->place < ix->n_blocks && !ix->blocks[one->place].vectors);
    memcpy(rows + (uint32_t)i * ix->dim,
           ix->vectors[one->place] + one->row * ix->dim,
           ix->dim * sizeof *rows);
  }
  sv_scan_compare(scan, (uint32_t)n, numbers, rows);
  for (int32_t i = 0; i < n; i++)
    CHECK(scan->candidates[numbers[i]].place == SV_NO_ROW);
  free(rows);
}

/* Blocks come one at a time, each gone when the next is asked for; or rows of
 * candidates do. */
static void resumes(void) {
  for (uint32_t round = 0; round < 2000; round++) {
    struct index ix = make_index((int32_t)(round % 3), PLAIN);
    struct sv_scan scan = make_scan(&ix, 1 + random_below(9), round % 2);
    scan.stop_ratio = round % 5 ? INFINITY : 0.3f;
    struct expected e = expect(&ix, &scan);
    const uint32_t resident = random_below(4);
    for (uint32_t b = 0; b < ix.n_blocks; b++)
      if (resident == 0 || b % 4 != resident) hide(&ix, b);
    uint32_t missed = 0, last = SV_NO_ROW;
    for (int32_t wants; (wants = run_scan(&scan)) != 0; missed++) {
      const uint32_t again = scan.missing;
      CHECK(wants == SV_SCAN_VECTORS || (coded && wants == SV_SCAN_CODES));
      CHECK(again < ix.n_blocks);
      CHECK(missed <= 2 * ix.n_blocks + scan.n_candidates);
      CHECK(wants == SV_SCAN_CODES ? !ix.blocks[again].codes
                                   : !ix.blocks[again].vectors);
      CHECK(any_live(&ix, &scan, again));
      CHECK(run_scan(&scan) == wants && scan.missing == again);
      if (coded && wants == SV_SCAN_VECTORS && round % 4 > 1) {
        give_rows(&ix, &scan);
        continue;
      }
      if (!coded || wants == SV_SCAN_CODES)
        CHECK(is_ahead(&scan) && scan.missing == again);
      if (last != SV_NO_ROW) hide(&ix, last);
      ix.blocks[again].vectors = ix.vectors[again];
      ix.blocks[again].codes = ix.codes[again];
      last = again;
    }
    if (coded) e = expect(&ix, &scan);
    check_scan(&scan, &e);
    drop_scan(&scan);
    drop_index(&ix);
  }
}

/* Vectors that no writer of ours made: nothing is promised but an answer
 * without NaN. */
static void survives_nan(void) {
  static const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};
  for (uint32_t round = 0; round < 500; round++) {
    struct index ix = make_index((int32_t)(round % 3), PLAIN);
    for (uint32_t b = 0; b < ix.n_blocks; b++) {
      const uint32_t n = ix.blocks[b].n_rows;
      for (uint32_t i = 0; i < n * ix.dim; i++)
        if (random_below(20) == 0) ix.vectors[b][i] = bad[random_below(4)];
      sv_norms(ix.vectors[b], n, ix.dim, ix.norms[b]);
    }
    encode_all(&ix);
    struct sv_scan scan = make_scan(&ix, 1 + random_below(9), round % 2);
    CHECK(run_scan(&scan) == 0);
    for (uint32_t i = 0; i < scan.top.count; i++) {
      CHECK(!isnan(scan.top.distances[i]));
      CHECK(scan.top.rows[i] < ix.n_rows);
    }
    drop_scan(&scan);
    drop_index(&ix);
  }
}

static void scans_nothing(void) {
  const uint32_t starts[2] = {0, 0};
  const float query = 1;
  struct sv_scan scan;
  memset(&scan, 0, sizeof scan);
  scan.query = &query;
  scan.list_starts = starts;
  scan.dim = 1;
  CHECK(run_scan(&scan) == 0); /* k = 0 */
  double distance;
  uint32_t row;
  scan.top.k = 1;
  scan.top.distances = &distance;
  scan.top.rows = &row;
  scan.stop_ratio = INFINITY;
  CHECK(run_scan(&scan) == 0); /* no blocks */
  CHECK(scan.top.count == 0 && scan.rows_scanned == 0);
}

/* An estimate is within z steps of the distance, and seldom beyond one: rows
 * that belong are then lost in fewer than one of 500. */
static void seldom_loses(void) {
  uint32_t found = 0, wanted = 0;
  for (uint32_t round = 0; round < 3000; round++) {
    struct index ix = make_index((int32_t)(round % 3), PLAIN);
    struct sv_scan scan = make_scan(&ix, 5, 0);
    const struct expected e = expect(&ix, &scan);
    scan.z = 1;
    CHECK(run_scan(&scan) == 0);
    for (uint32_t i = 0; i < scan.top.count; i++)
      found += scan.top.distances[i] <= e.distances[e.n - 1];
    wanted += e.n;
    drop_scan(&scan);
    drop_index(&ix);
  }
  CHECK(wanted > 10000 && found + wanted / 500 > wanted);
}

static void run_both(void) {
  run("an exhaustive scan equals brute force in f64, whatever the rows",
      scans_all);
  run("tells rows apart that f32 cannot", scans_near_ties);
  run("stops where n_probes, min_probes and stop_ratio say", stops);
  run("never stops short of k rows", never_short);
  run("neither an infinite stop_ratio nor a NaN stops it", never_stops);
  run("resumes at every missing block", resumes);
  run("survives NaN and infinity in vectors", survives_nan);
}

int main(void) {
  run_both();
  coded = 1;
  run_both();
  run("counts to the largest sums that codes have", scans_largest_sums);
  run("estimates by one step lose next to nothing", seldom_loses);
  run("scans nothing without k or without blocks", scans_nothing);
  return 0;
}
