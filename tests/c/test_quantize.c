/* quantize.c against arithmetic on exact powers of two. */
#include "check.h"
#include "sv.h"

/* half_value is the number a half stands for, by the definition of IEEE 754
 * and not by its bits. */
static double half_value(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double sign = half >> 15 ? -1 : 1;
  if (exponent == 31) return fraction ? (double)NAN : sign * (double)INFINITY;
  if (exponent == 0) return sign * ldexp(fraction, -24);
  return sign * ldexp(1024 + fraction, exponent - 25);
}

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static uint16_t encode(float value) {
  uint16_t half = 0x5555;
  CHECK(sv_f16_encode(&value, 1, &half) == 0);
  return half;
}

static void decodes_all(void) {
  uint16_t *halves = make(65536 * sizeof *halves);
  float *values = make(65536 * sizeof *values);
  for (uint32_t h = 0; h < 65536; h++) halves[h] = (uint16_t)h;
  CHECK(sv_f16_decode(halves, 65536, values) == 0);
  for (uint32_t h = 0; h < 65536; h++) {
    const double exact = half_value((uint16_t)h);
    if (isnan(exact)) {
      CHECK(bits_of(values[h]) ==
            ((h & 0x8000) << 16 | 0x7f800000u | (h & 1023) << 13));
    } else {
      CHECK((double)values[h] == exact);
      CHECK(!signbit(values[h]) == !(h >> 15));
    }
  }
  free(halves);
  free(values);
}

static void round_trips(void) {
  for (uint32_t h = 0; h < 65536; h++)
    if ((h & 0x7c00) != 0x7c00)
      CHECK(encode((float)half_value((uint16_t)h)) == h);
}

static void rounds_midpoints(void) {
  for (uint32_t h = 0; h < 0x7bff; h++) {
    const double low = half_value((uint16_t)h);
    const double high = half_value((uint16_t)(h + 1));
    const float middle = (float)((low + high) / 2);
    CHECK((double)middle * 2 == low + high);
    const uint16_t even = (uint16_t)(h % 2 ? h + 1 : h);
    CHECK(encode(middle) == even);
    CHECK(encode(-middle) == (even | 0x8000));
    CHECK(encode(nextafterf(middle, 0)) == h);
    CHECK(encode(nextafterf(middle, INFINITY)) == h + 1);
  }
}

/* The nearest of two neighbours, found by halving the table of all halves. */
static void encodes_anything(void) {
  for (uint32_t round = 0; round < 200000; round++) {
    float value;
    const uint32_t bits = (uint32_t)random_u64() % 0x477ff000u;
    memcpy(&value, &bits, sizeof value);
    uint32_t low = 0, high = 0x7bff;
    while (high - low > 1) {
      const uint32_t middle = (low + high) / 2;
      if (half_value((uint16_t)middle) <= (double)value)
        low = middle;
      else
        high = middle;
    }
    const double below = (double)value - half_value((uint16_t)low);
    const double above = half_value((uint16_t)high) - (double)value;
    const uint32_t nearest =
        below < above || (below == above && low % 2 == 0) ? low : high;
    CHECK(encode(value) == nearest);
  }
}

static void refuses_overflow(void) {
  static const float bad[] = {65520.0f, -65520.0f, 65536.0f, 3e38f,
                              INFINITY, -INFINITY, NAN};
  CHECK(encode(nextafterf(65520.0f, 0)) == 0x7bff);
  CHECK(encode(-nextafterf(65520.0f, 0)) == 0xfbff);
  for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
    for (uint32_t at = 0; at < 5; at++) {
      float values[5] = {1, 1, 1, 1, 1};
      uint16_t halves[5] = {7, 7, 7, 7, 7};
      values[at] = bad[b];
      CHECK(sv_f16_encode(values, 5, halves) == SV_ERROR_OUT_OF_F16);
      for (uint32_t i = 0; i < 5; i++) CHECK(halves[i] == 7);
    }
}

static void all_lengths(void) {
  for (uint32_t n = 0; n < 20; n++) {
    float *values = make(n * sizeof *values), *back = make(n * sizeof *back);
    uint16_t *halves = make(n * sizeof *halves);
    random_floats(values, n);
    CHECK(sv_f16_encode(values, n, halves) == 0);
    CHECK(sv_f16_decode(halves, n, back) == 0);
    for (uint32_t i = 0; i < n; i++)
      CHECK(fabsf(values[i] - back[i]) <= 0x1p-12f);
    free(values);
    free(back);
    free(halves);
  }
}

/* Centroids far from the origin, one far from all others, some all the same:
 * each component errs by at most half the unit of its centroid, and a little
 * for rounding. */
static void rounds_centroids(void) {
  for (uint32_t round = 0; round < 300; round++) {
    const uint32_t k = 1 + round % 9, dim = 1 + round % 37, n = k * dim;
    float *rows = make(n * sizeof *rows), *back = make(n * sizeof *back);
    uint8_t *bytes = make(4 * (dim + k) + 2 * n);
    random_floats(rows, n);
    for (uint32_t i = 0; i < n; i++) {
      if (i / dim == 2) rows[i] *= 1000;
      if (round % 3 == 1) rows[i] += 500;
      if (round % 7 == 2) rows[i] = 1e30f;
      if (round % 7 == 3) rows[i] *= 1e-40f;
    }
    sv_centroids_encode(rows, k, dim, bytes);
    sv_centroids_decode(bytes, k, dim, back);
    const float *mean = (const float *)(void *)bytes, *units = mean + dim;
    for (uint32_t i = 0; i < n; i++) {
      const float unit = units[i / dim];
      const float size = fabsf(rows[i]) + fabsf(mean[i % dim]);
      CHECK(fabsf(rows[i] - back[i]) <=
            unit * 0.51f + size * 0x1p-21f + 1e-37f);
      CHECK(fabsf(rows[i] - mean[i % dim]) <= unit * 32768 + 1e-37f);
    }
    free(rows);
    free(back);
    free(bytes);
  }
}

int main(void) {
  run("decodes all 65,536 halves exactly, NaN payloads too", decodes_all);
  run("encodes every finite half to itself, -0 too", round_trips);
  run("rounds midpoints to even and their neighbours to the nearer",
      rounds_midpoints);
  run("encodes any float to the nearest half", encodes_anything);
  run("refuses what would become infinite, writing nothing",
      refuses_overflow);
  run("encodes and decodes every length", all_lengths);
  run("rounds centroids to half a unit of theirs", rounds_centroids);
  return 0;
}
