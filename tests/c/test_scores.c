/* scores.c against its definition. */
#include "check.h"
#define SV_ALLOCATOR
#include "internal.h"

struct packed {
  uint32_t k, dim;
  float *rows, *matrix, *half_norms;
};

static struct packed make_packed(uint32_t k, uint32_t dim) {
  struct packed p = {k, dim, NULL, NULL, NULL};
  const size_t wide = (k + 7) / 8 * 8;
  CHECK(sv_pack_size(k, dim) == wide * dim);
  p.rows = make((size_t)k * dim * sizeof(float));
  p.matrix = make(wide * dim * sizeof(float));
  p.half_norms = make(wide * sizeof(float));
  random_floats(p.rows, (size_t)k * dim);
  sv_pack(p.rows, k, dim, p.matrix, p.half_norms);
  return p;
}

static void drop_packed(struct packed p) {
  free(p.rows);
  free(p.matrix);
  free(p.half_norms);
}

static void packing(void) {
  for (uint32_t k = 1; k <= 19; k++)
    for (uint32_t dim = 1; dim <= 9; dim++) {
      const struct packed p = make_packed(k, dim);
      float back[19 * 9];
      sv_unpack(p.matrix, k, dim, back);
      CHECK(same_bits(back, p.rows, (size_t)k * dim * sizeof *back));
      for (uint32_t j = 0; j < (k + 7) / 8 * 8; j++) {
        for (uint32_t t = 0; t < dim; t++)
          CHECK(p.matrix[(j / 8 * dim + t) * 8 + j % 8] ==
                (j < k ? p.rows[j * dim + t] : 0));
        const float *x = p.rows + (size_t)j * dim;
        CHECK(j < k ? fabs((double)p.half_norms[j] +
                           sv_distance(SV_INNER_PRODUCT, x, x, dim) / 2) <=
                          1e-6
                    : p.half_norms[j] == INFINITY);
      }
      drop_packed(p);
    }
}

/* score_oracle is sv.h's definition: one sum, components in order. */
static float score_oracle(const float *x, const float *c, float half_norm,
                          uint32_t dim) {
  float sum = -half_norm;
  for (uint32_t t = 0; t < dim; t++) sum += x[t] * c[t];
  return sum;
}

static void scoring(void) {
  for (uint32_t dim = 1; dim <= 67; dim++)
    for (uint32_t round = 0; round < 12; round++) {
      const uint32_t shift = round % 4, k = 1 + random_below(80);
      const struct packed p = make_packed(k, dim);
      float *memory = make((dim + shift) * sizeof *memory);
      float *scores = make(k * sizeof *scores);
      random_floats(memory + shift, dim);
      const float *x = memory + shift;
      CHECK(sv_scores(x, dim, p.matrix, p.half_norms, k, scores) == 0);
      for (uint32_t j = 0; j < k; j++) {
        const float score = score_oracle(x, p.rows + (size_t)j * dim,
                                         p.half_norms[j], dim);
        CHECK(same_bits(scores + j, &score, sizeof score));
      }
      free(memory);
      free(scores);
      drop_packed(p);
    }
}

int main(void) {
  run("packs eight rows side by side and pads with +infinity", packing);
  run("scores to the bit as sv.h defines", scoring);
  return 0;
}
