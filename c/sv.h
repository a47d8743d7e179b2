/*
 * sv.h: the whole C interface of SealVec, and its manual.
 *
 * The core is bytes and arithmetic: it opens no file, draws no randomness,
 * allocates nothing but what sv_alloc hands out (sv_stretch excepted), and
 * keeps no pointer between calls. Every buffer is the caller's. Sizes are
 * asked first (sv_..._size), and checked for overflow.
 *
 * Convention: every function that can fail returns int32_t, >= 0 for success
 * (0, or a count where the text says so) and < 0 for one code of
 * SV_ERROR_LIST. Out-parameters are written only on success unless said.
 * "Safe for untrusted bytes" reads nothing outside the lengths given,
 * whatever the bytes are; the others trust their caller, who authenticated.
 *
 * Letters: n rows, dim components of a row, k lists (centroids) while
 * training and neighbours while searching, n_lists, n_probes. Rows are f32,
 * row-major, without padding. Integers in files are little-endian.
 *
 * Two spaces. A *row* is a vector as the user gave it. A *routed* row is the
 * same row carried to a space in which the metric is squared L2, so that
 * clustering, ranking of lists and the stop rule exist once: the row itself
 * (squared L2), the unit row (cosine), or the row with one more component
 * sqrt(max_norm^2 - |x|^2) (inner product; Bachrach et al. 2014). Only the
 * choice of lists happens there; distances come from the rows themselves.
 */
#ifndef SV_H
#define SV_H
#include <stddef.h>
#include <stdint.h>

/* A section is sealed in chunks of chunk_bytes plain bytes, 1 to SV_CHUNK_MAX,
 * the last one shorter: nonce 24 | ciphertext | tag 16. */
#define SV_CHUNK_MAX 65496u
#define SV_CHUNK_OVERHEAD 40u

#define SV_KEY_BYTES 32u
#define SV_NONCE_BYTES 24u
#define SV_TAG_BYTES 16u
#define SV_HASH_BYTES 32u
#define SV_SIGNATURE_BYTES 64u
#define SV_AAD_MAX 128u
#define SV_MAX_DIM 16384u
#define SV_MAX_LISTS 1048576u
#define SV_PACK_LANES 8u /* centroids side by side in a packed matrix */
#define SV_NO_ROW 0xffffffffu

/* X(name, code, meaning) */
#define SV_ERROR_LIST(X)                                              \
  X(ARGUMENT, -1, "an argument is out of its range")                  \
  X(AUTH_FAILED, -2, "authentication failed")                         \
  X(WRONG_KEY, -3, "the key does not belong to this index")           \
  X(MALFORMED, -4, "lengths or offsets contradict each other")        \
  X(TOO_SMALL, -5, "a length is larger than what holds it")           \
  X(NO_MEMORY, -6, "wasm memory is exhausted")                        \
  X(NOT_FINITE, -7, "a component is not finite, or a norm is over 1e18") \
  X(ZERO_VECTOR, -8, "a zero vector has no direction under cosine")   \
  X(OUT_OF_F16, -9, "a component does not fit in half precision")

enum sv_error {
#define SV_ERROR_ENUM(name, code, meaning) SV_ERROR_##name = code,
  SV_ERROR_LIST(SV_ERROR_ENUM)
#undef SV_ERROR_ENUM
};

enum sv_metric {
  SV_SQUARED_L2 = 0,    /* sum (x-y)^2 */
  SV_COSINE = 1,        /* 1 - x.y / (|x| |y|), in [0, 2] */
  SV_INNER_PRODUCT = 2, /* -x.y */
};

/* ---- error.c ----------------------------------------------------------- */
/* sv_error_meaning returns the meaning of a code, "no error" for >= 0. */
const char *sv_error_meaning(int32_t code);
/* sv_alloc returns size bytes aligned to 16, or NULL; sv_free wipes none. */
void *sv_alloc(size_t size);
void sv_free(void *memory);

/* ---- distance.c -------------------------------------------------------- */
/* sv_distance returns the distance of a metric in f64: the value that
 * results carry. Components are widened before anything is added. */
double sv_distance(int32_t metric, const float *x, const float *y,
                   uint32_t dim);

/* sv_check_rows returns NOT_FINITE when a component is not or a norm is over
 * 1e18, ZERO_VECTOR for one under SV_COSINE; *row is the first such row. */
int32_t sv_check_rows(int32_t metric, const float *rows, uint32_t n,
                      uint32_t dim, uint32_t *row);

/* sv_norms writes |x| of each row, rounded from f64, to norms[n]. */
void sv_norms(const float *rows, uint32_t n, uint32_t dim, float *norms);
/* sv_route_rows writes the routed rows, n * sv_route_dim floats: dim, or for
 * SV_INNER_PRODUCT dim + 1; otherwise routed may be rows. Only that uses
 * max_norm; a longer row gets 0 as its last component. */
uint32_t sv_route_dim(int32_t metric, uint32_t dim);
int32_t sv_route_rows(int32_t metric, const float *rows, uint32_t n,
                      uint32_t dim, float max_norm, float *routed);

/* sv_route_query writes the routed query. For SV_INNER_PRODUCT it is scaled
 * to length max_norm (zero stays zero) and its last component is 0. Squared
 * L2 in routed space = *scale * distance + *offset for every row not longer
 * than max_norm (1, 0 / 2, 0 / 2 max_norm/|q|, 2 max_norm^2). */
int32_t sv_route_query(int32_t metric, const float *query, uint32_t dim,
                       float max_norm, float *routed, double *scale,
                       double *offset);

/* ---- scores.c ---------------------------------------------------------- */
/* sv_pack_size returns the floats that k packed rows take. */
size_t sv_pack_size(uint32_t k, uint32_t dim);
/* sv_pack writes k rows side by side: component t of row j is
 * packed[(j / 8 * dim + t) * 8 + j % 8]. half_norms receives |row|^2 / 2. Both
 * are filled to whole lanes with zeros, infinitely far. sv_unpack reverses. */
void sv_pack(const float *rows, uint32_t k, uint32_t dim, float *packed,
             float *half_norms);
void sv_unpack(const float *packed, uint32_t k, uint32_t dim, float *rows);

/* ---- sieve.c ----------------------------------------------------------- */
/* A sieve is k vectors as f32 and in fixed point, for finding which of them
 * is nearest. Norms are at most 2e18. sv_sieve_size returns its bytes (0 when
 * over a limit), sv_sieve_scratch_size those the searches take; 16-aligned. */
size_t sv_sieve_size(uint32_t k, uint32_t dim);
size_t sv_sieve_scratch_size(uint32_t k, uint32_t dim);

/* sv_sieve_pack builds the sieve of k rows: those that picks[k] names,
 * or the first k when picks is NULL. */
void sv_sieve_pack(const float *rows, const uint32_t *picks, uint32_t k,
                   uint32_t dim, void *sieve);

/* sv_assign finds for each of n rows which of the k >= 1 vectors of a sieve
 * is nearest: lists[n] receives the index with the least sv_squared_l2, the
 * lower one on a tie, and distances[n] that distance, exactly as if all k
 * had been compared. A row with a NaN gets list 0 and +infinity. */
int32_t sv_assign(const float *rows, uint32_t n, uint32_t dim,
                  const void *sieve, uint32_t k, void *scratch,
                  uint32_t *lists, float *distances);

/* sv_neighbors looks for the k nearest rows of every query among n rows, as
 * if all had been compared by sv_squared_l2, to measure recall while
 * training. The sieve holds n_queries queries. lists[n] is the list of each
 * row; skip[q] the row number (first_row + i) that is query q itself, or
 * SV_NO_ROW. best_distances / best_lists hold k entries per query, ascending,
 * and are carried from call to call: begin with +infinity and SV_NO_ROW. */
int32_t sv_neighbors(const float *rows, const uint32_t *lists, uint32_t n,
                     uint32_t first_row, uint32_t dim, const void *sieve,
                     uint32_t n_queries, const uint32_t *skip, uint32_t k,
                     float *best_distances, uint32_t *best_lists,
                     void *scratch);

/* ---- quantize.c -------------------------------------------------------- */
/* sv_f16_encode rounds n floats to IEEE half precision, to nearest even;
 * OUT_OF_F16 when one would become infinite. sv_f16_decode widens n halves,
 * exactly; safe for untrusted bytes. */
int32_t sv_f16_encode(const float *values, size_t n, uint16_t *halves);
int32_t sv_f16_decode(const uint16_t *halves, size_t n, float *values);
/* sv_centroids_encode brings k >= 1 centroids to fixed point, about their mean
 * and each by a unit of its own (quantize.c): 4 (dim + k) + 2 k dim bytes.
 * sv_centroids_decode reverses it, whatever the bytes are. */
void sv_centroids_encode(const float *centroids, uint32_t k, uint32_t dim,
                         uint8_t *out);
void sv_centroids_decode(const uint8_t *bytes, uint32_t k, uint32_t dim,
                         float *centroids);

/* ---- topk.c ------------------------------------------------------------ */
/* The k nearest seen so far, as a max-heap by (distance, row): the worst is
 * first. distances and rows hold k entries each. */
struct sv_topk {
  uint32_t k, count;
  double *distances;
  uint32_t *rows;
};

/* sv_topk_push offers one row; returns 1 when it was kept, 0 when not.
 * sv_topk_sort turns the heap into ascending order, in place. */
int32_t sv_topk_push(struct sv_topk *top, double distance, uint32_t row);
void sv_topk_sort(struct sv_topk *top);

/* ---- kmeans.c ---------------------------------------------------------- */
enum sv_kmeans_stop {
  SV_KMEANS_RUNNING = 0,
  SV_KMEANS_CONVERGED = 1, /* an iteration improved by less than tolerance */
  SV_KMEANS_MAX_ITERS = 2,
  SV_KMEANS_STALLED = 3,   /* three iterations together improved by < stall */
};

/* Lloyd's k-means as a state that the caller steps; it fills the first block.
 * Rows may come in groups of neighbours: a pass that compares with all lists
 * then notes where the rows of each group went, and those after it compare
 * them with those lists only, and with what is put beside them. The first pass
 * compares with all, and so does one after a pass without gain.
 *
 * A pass is: sv_kmeans_step until all rows are in, then sv_kmeans_finish. The
 * rows of one clustering may lie with several states: each steps through its
 * own, all sums are taken and added to one of them, in the same order always,
 * that one finishes, the others go on with sv_kmeans_next from its centroids,
 * compare_all and origins. */
struct sv_kmeans {
  uint32_t n, dim, k;   /* 1 <= k <= n; a warm start wants n >= 1 only */
  uint32_t n_groups;    /* 0: none, every pass compares with all */
  uint32_t max_iters;   /* >= 1 */
  float tolerance;      /* >= 0: relative improvement of the objective */
  float stall;          /* >= 0; 0 switches the rule off */
  float balance;        /* >= 1: of the mean, most rows of a list; 0: any */
  uint64_t seed;
  /* state */
  uint64_t random;
  uint32_t iteration;   /* finished iterations */
  uint32_t next_row;
  uint32_t group;       /* that of next_row */
  uint32_t compare_all; /* whether the pass under way does */
  uint32_t repaired;    /* empty lists refilled, in all */
  uint32_t balances, balanced_at; /* balance steps, iteration of the last */
  uint32_t ending;      /* what stops it once the lists are balanced */
  uint32_t stop;        /* enum sv_kmeans_stop */
  double objective;     /* mean squared distance in the last full pass */
  double sum;           /* of the pass under way */
  double history[3];
};

/* sv_kmeans_scratch_size returns 0 over a limit. */
size_t sv_kmeans_scratch_size(uint32_t dim, uint32_t k, uint32_t n_groups);

/* sv_kmeans_start clears the state and, unless warm, writes k rows chosen by
 * the seed to centroids (Forgy). Group g is rows [starts[g], starts[g + 1]),
 * from 0 to n; starts is NULL when there are none. Scratch is 16-aligned. */
int32_t sv_kmeans_start(struct sv_kmeans *state, const float *rows,
                        const uint32_t *starts, int32_t warm,
                        float *centroids, void *scratch);

/* sv_kmeans_step assigns at most max_rows further rows of the pass, to the
 * same effect however many. Returns 1 while there are more, 0 when all are in
 * or state->stop is set. */
int32_t sv_kmeans_step(struct sv_kmeans *state, const float *rows,
                       uint32_t max_rows, const float *centroids,
                       void *scratch);

/* sv_kmeans_finish ends a pass: it moves the centroids to the means of their
 * rows, splits a large list in place of each empty one, and of a small one as
 * the balance asks, and applies the stop rules. Returns 1 when another pass
 * is to follow, 0 when state->stop is set; ARGUMENT while rows are left, or
 * when fewer than k were added. */
int32_t sv_kmeans_finish(struct sv_kmeans *state, float *centroids,
                         void *scratch);
/* sv_kmeans_next begins the next pass of a state that did not finish. Scratch
 * begins with the k origins: the list that each was put beside, or itself. */
void sv_kmeans_next(struct sv_kmeans *state, int32_t compare_all);

/* sv_kmeans_take moves what a state has summed since the last take to `sums`,
 * of sv_kmeans_sums_size(k, dim) bytes: objective f64 | sums f64 * k * dim |
 * counts u32 * k. sv_kmeans_add adds it to a state that began the pass. */
size_t sv_kmeans_sums_size(uint32_t k, uint32_t dim);
void sv_kmeans_take(struct sv_kmeans *state, void *scratch, uint8_t *sums);
void sv_kmeans_add(struct sv_kmeans *state, void *scratch,
                   const uint8_t *sums);

/* sv_add_rows adds each of n rows to the sum of its list (dim f64 each), and
 * counts it. Components are rounded to multiples of grain, a power of two, so
 * that sums are exact in any order of rows, up to 2^53 grains. */
int32_t sv_add_rows(const float *rows, const uint32_t *lists, uint32_t n,
                    uint32_t dim, double grain, double *sums,
                    uint32_t *counts);

/* sv_sample writes m distinct numbers below n to picks, ascending, chosen
 * uniformly by the seed (selection sampling; Knuth, TAOCP 3.4.2 S). */
int32_t sv_sample(uint32_t n, uint32_t m, uint64_t seed, uint32_t *picks);

/* ---- lists.c ----------------------------------------------------------- */
/* sv_rank_lists orders all k lists by squared distance of the routed query
 * to their centroids, nearest first: order[k] and distances[k], the latter
 * in that order. scratch holds sv_rank_scratch_size(k) bytes. */
size_t sv_rank_scratch_size(uint32_t k);
size_t sv_list_ranking_size(uint32_t k, uint32_t dim); /* dim: routed */
void sv_rank_lists(const float *routed, uint32_t dim, const float *packed,
                   const float *half_norms, uint32_t k, uint32_t *order,
                   float *distances, void *scratch);

/* sv_list_gaps writes to gaps[list] what stop_ratio * r^2 must reach for a
 * scan to visit it: (D_j - D_0) (j + 1)^0.75, j its place, D the distances. */
void sv_list_gaps(const uint32_t *order, const float *distances, uint32_t k,
                  double *gaps);

/* ---- codes.c ----------------------------------------------------------- */
/* Rows of 32 components or more have codes, four bits each, block by block:
 * list l is rows [starts[l], starts[l + 1]), cut into blocks of sv_block_rows.
 * sv_codes_size returns the bytes of one block of n rows. */
uint32_t sv_block_rows(uint32_t dim);
double sv_codes_size(uint32_t n, uint32_t dim);

/* sv_codes_origin writes what codes may lie about: a mean of rows (unit rows
 * for SV_COSINE). It has room for 3 dim floats, dim rounded up to 32, of which
 * the first dim count; sv_codes_encode uses the rest. That returns the bytes
 * of all blocks, none under 32 components, and, unless out is NULL, writes
 * them, 16-aligned. */
void sv_codes_origin(int32_t metric, const float *rows, uint32_t n,
                     uint32_t dim, float *origin);
double sv_codes_encode(int32_t metric, const float *rows, uint32_t dim,
                       const uint32_t *starts, uint32_t n_lists,
                       float *origin, uint8_t *out);
/* sv_probe_size returns the bytes a query takes per origin. */
size_t sv_probe_size(uint32_t dim);

/* sv_signs_size returns the bytes that a first look at a block of n rows takes
 * (signs.c), none under 64 components; sv_signs_scratch_size, what making them
 * takes. */
size_t sv_signs_size(uint32_t n, uint32_t dim);
size_t sv_signs_scratch_size(uint32_t dim);

/* ---- scan.c ------------------------------------------------------------ */
/* A run of rows of one list. vectors and codes are NULL while they are not
 * resident; norms has |x| per row (NULL for squared L2). signs, or NULL, is
 * memory for sv_signs_size bytes, 0 at first, which a scan fills. Rows are
 * numbered first_row, first_row + 1, ... across the whole index. */
struct sv_block {
  const float *vectors, *norms;
  const uint8_t *codes;
  uint8_t *signs;
  uint32_t n_rows, first_row, origin;
};

/* A row that may be among the nearest: of a block (SV_NO_ROW once compared by
 * its vector), by its number there. */
struct sv_candidate {
  float lower, estimate;
  uint32_t place, row;
};

/* One query under way. The caller fills the first part and may look at the
 * rest; n_probes = n_lists with stop_ratio = infinity is exhaustive. */
struct sv_scan {
  const float *query;          /* dim floats, the row as given */
  const struct sv_block *blocks;
  const uint32_t *list_starts; /* n_lists + 2: where the blocks of a list
                                  begin; after those of all lists come those
                                  of the rows in no list, scanned first */
  uint32_t *order;             /* n_lists, from sv_rank_lists */
  float *order_distances;
  const uint8_t *live;         /* bit per row that may be found; NULL: all */
  const float *const *origins; /* of codes; NULL: rows have none */
  void *probes;                /* sv_probe_size per origin, first i32 -1 */
  struct sv_candidate *candidates; /* room of them */
  struct sv_topk top, bounds;  /* bounds: as many, of upper bounds */
  const float *packed, *half_norms; /* these five are for sv_scan_begin */
  float *routed;               /* sv_route_dim floats */
  void *rank_scratch;          /* sv_list_ranking_size */
  const float *list_codes;     /* NULL, or the origin of the centroids (to
                                  whole 32) and their codes, as one list */
  void *sign_scratch;          /* sv_signs_scratch_size */
  double query_norm;           /* |query| */
  double scale, offset;        /* from sv_route_query */
  float max_norm, stop_ratio;  /* see sv_scan_run */
  float z;                     /* bound of estimates, see codes.c; all rows
                                  visited are found from sqrt(dim) / 2 up */
  int32_t metric;
  uint32_t dim, n_lists;
  uint32_t n_probes;           /* lists to visit, more only to find k */
  uint32_t min_probes;         /* lists to visit before stop_ratio counts */
  uint32_t n_origins, room;    /* 64 or more */
  /* state, from 0 */
  uint32_t n_candidates;
  uint32_t position;           /* groups finished: 0, then 1 + lists */
  uint32_t block, row;         /* of the group, of the block: finished */
  uint32_t rows_scanned;       /* live rows looked at */
  uint32_t missing;            /* block that is not resident */
  uint32_t ranked;             /* entries of order; all when given */
};

/* Codes or vectors of scan->missing, or room for 64 more candidates. */
enum sv_scan_wants { SV_SCAN_CODES = 1, SV_SCAN_VECTORS, SV_SCAN_ROOM };

/* sv_scan_run visits the rows in no list, then the lists in order, and keeps
 * the k nearest live rows. It returns what it wants: provide it and call
 * again. Blocks without a live row are passed over. It returns 0 when done:
 * all lists visited, or, with k found, n_probes lists visited or the gap of
 * the next list (sv_list_gaps) over stop_ratio * r^2, r^2 being the k-th
 * distance so far, in routed space. A row is dropped only when the bound of
 * its estimate, or of the rounding error of its f32 distance, allows it, and
 * kept by its f64 distance. The caller sorts with sv_topk_sort. */
int32_t sv_scan_run(struct sv_scan *scan);

/* sv_scan_begin checks the query (sv_check_rows), ranks the lists, clears the
 * state and calls sv_scan_run, so that a query is one call; sv_scan_next goes
 * on after it. Both sort what was found when they return 0. */
int32_t sv_scan_begin(struct sv_scan *scan);
int32_t sv_scan_next(struct sv_scan *scan);

/* sv_scan_ahead writes which blocks, `most` at most, will be wanted of codes,
 * or of vectors where rows have no codes, the missing one first, and returns
 * their number. */
int32_t sv_scan_ahead(struct sv_scan *scan, uint32_t most, uint32_t *places);

/* ---- compare.c --------------------------------------------------------- */
/* sv_scan_candidates writes the numbers of those candidates, `most` at most,
 * that are to be compared next and lie in no resident block. The caller makes
 * blocks resident, or gives the rows of numbers[n] to sv_scan_compare. */
int32_t sv_scan_candidates(const struct sv_scan *scan, uint32_t most,
                           uint32_t *numbers);
void sv_scan_compare(struct sv_scan *scan, uint32_t n, const uint32_t *numbers,
                     const float *rows);

/* ---- segment.c --------------------------------------------------------- */
/* sv_order_by_list sorts row numbers by list, stable, to order[n] and
 * starts[n_lists + 1]. MALFORMED when a list is >= n_lists. */
int32_t sv_order_by_list(const uint32_t *lists, uint32_t n, uint32_t n_lists,
                         uint32_t *order, uint32_t *starts);
/* sv_rows_gather: out[i] = rows[picks[i]]; ARGUMENT for one >= n_rows. */
int32_t sv_rows_gather(const uint8_t *rows, uint32_t n_rows,
                       uint32_t row_bytes, const uint32_t *picks, uint32_t n,
                       uint8_t *out);
/* A blob section is n + 1 u32 offsets (from the first byte after them), then
 * the bytes. sv_blobs_check verifies that offsets begin at 0, never fall and
 * end at the section's end. Safe for untrusted bytes. */
int32_t sv_blobs_check(const uint8_t *section, size_t length, uint32_t n);
/* sv_blobs_gather writes a blob section of the rows picked, in that order,
 * from a checked one; sv_blobs_gather_size returns its bytes, as f64 because
 * they may pass 2^31, negative for an error. */
double sv_blobs_gather_size(const uint8_t *section, uint32_t n_rows,
                            const uint32_t *picks, uint32_t n);
int32_t sv_blobs_gather(const uint8_t *section, uint32_t n_rows,
                        const uint32_t *picks, uint32_t n, uint8_t *out,
                        size_t capacity);
/* sv_blobs_concat: one blob section out of several that lie one after
 * another, of lengths[n_sections] bytes and n_rows[n_sections] rows. */
double sv_blobs_concat_size(const uint32_t *lengths, const uint32_t *n_rows,
                            uint32_t n_sections);
int32_t sv_blobs_concat(const uint8_t *sections, const uint32_t *lengths,
                        const uint32_t *n_rows, uint32_t n_sections,
                        uint8_t *out, size_t capacity);
/* An id table is n entries, u64 hash | u32 row, ascending. sv_ids_sort builds
 * it from the hashes of rows 0 .. n-1; scratch holds 12 n bytes. */
int32_t sv_ids_sort(const uint64_t *hashes, uint32_t n, uint8_t *table,
                    uint8_t *scratch);
/* sv_ids_check verifies order and rows < n. Safe for untrusted bytes. */
int32_t sv_ids_check(const uint8_t *table, size_t length, uint32_t n);
/* sv_ids_find writes, for each of m hashes, the index of the first table
 * entry with that hash, or SV_NO_ROW; returns how many were found. */
int32_t sv_ids_find(const uint8_t *table, uint32_t n, const uint64_t *hashes,
                    uint32_t m, uint32_t *entries);

/* ---- seal.c ------------------------------------------------------------ */
/* sv_hash: BLAKE2b-256; sv_derive: keyed, of 16 <= out_length <= 64 bytes. */
int32_t sv_hash(const uint8_t *bytes, size_t length, uint8_t out[32]);
int32_t sv_derive(const uint8_t key[32], const uint8_t *context,
                  size_t context_length, uint8_t *out, size_t out_length);

/* sv_stretch makes a key of a passphrase by Argon2id (RFC 9106, version 1.3,
 * one lane, no secret): memory_kib KiB from 8 up are gone over `passes` times,
 * 1 or more; out_length >= 16. The key depends on every argument. That memory
 * and 0.2 % more come from the heap and go back unwiped, as the stack is left:
 * the caller wipes both. NO_MEMORY leaves out zeroed. */
int32_t sv_stretch(const uint8_t *passphrase, size_t length,
                   const uint8_t salt[16], uint32_t memory_kib,
                   uint32_t passes, uint8_t *out, size_t out_length);

/* sv_seal writes nonce | ciphertext | tag, length + 40 bytes, with
 * XChaCha20-Poly1305-IETF; not in place. */
int32_t sv_seal(const uint8_t key[32], const uint8_t nonce[24],
                const uint8_t *aad, size_t aad_length, const uint8_t *plain,
                size_t length, uint8_t *out);

/* sv_open reverses it: length sealed bytes to length - 40. AUTH_FAILED leaves
 * out zeroed. Safe for untrusted bytes. */
int32_t sv_open(const uint8_t key[32], const uint8_t *aad, size_t aad_length,
                const uint8_t *sealed, size_t length, uint8_t *out);


/* sv_seal_chunks seals n chunks from first_chunk on of a section of
 * section_length plain bytes, from plain (exactly those chunks). Additional
 * data of each is aad (at most SV_AAD_MAX - 16 bytes) followed by
 * section u32 | chunk u32 | n_chunks u32 | plain length of the chunk u32.
 * nonces holds n * 24 random bytes; hashes receives BLAKE2b-256 of each. */
int32_t sv_seal_chunks(const uint8_t key[32], const uint8_t *aad,
                       size_t aad_length, uint32_t section,
                       size_t section_length, uint32_t chunk_bytes,
                       uint32_t first_chunk, uint32_t n,
                       const uint8_t *nonces, const uint8_t *plain,
                       uint8_t *out, uint8_t *hashes);

/* sv_open_chunks reverses it, from sealed (length bytes, exactly those
 * chunks), first comparing each with its hash (from that of first_chunk on).
 * AUTH_FAILED zeroes all of out. Safe for untrusted bytes. */
int32_t sv_open_chunks(const uint8_t key[32], const uint8_t *aad,
                       size_t aad_length, uint32_t section,
                       size_t section_length, uint32_t chunk_bytes,
                       uint32_t first_chunk, uint32_t n,
                       const uint8_t *sealed, size_t length,
                       const uint8_t *hashes, uint8_t *out);

/* sv_id_hashes writes SipHash-2-4 of n ids in a checked blob section. */
int32_t sv_id_hashes(const uint8_t key[16], const uint8_t *section,
                     uint32_t n, uint64_t *hashes);
/* sv_sign_public writes the Ed25519 public key of a seed, sv_sign the
 * detached signature; sv_verify (safe for untrusted bytes) checks it. */
int32_t sv_sign_public(const uint8_t seed[32], uint8_t public_key[32]);
int32_t sv_sign(const uint8_t seed[32], const uint8_t *message,
                size_t length, uint8_t signature[64]);
int32_t sv_verify(const uint8_t public_key[32], const uint8_t *message,
                  size_t length, const uint8_t signature[64]);
/* sv_equal compares in constant time; no compiler drops an sv_wipe. */
int32_t sv_equal(const uint8_t *x, const uint8_t *y, size_t length);
void sv_wipe(void *memory, size_t length);

#endif
