// The two directions in which weighted points differ most: principal components, found by power
// iteration.
const ROUNDS = 60;

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

export function meanOf(vectors, weights = vectors.map(() => 1)) {
  const mean = new Float64Array(vectors[0].length);
  const total = weights.reduce((sum, weight) => sum + weight);
  for (const [i, vector] of vectors.entries()) {
    for (let j = 0; j < mean.length; j++) mean[j] += (weights[i] * vector[j]) / total;
  }
  return mean;
}

/** Takes out of a vector what lies along unit directions, and brings the rest to length 1. */
function unit(vector, directions) {
  for (const direction of directions) {
    const along = dot(vector, direction);
    vector.forEach((x, i) => { vector[i] = x - along * direction[i]; });
  }
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((x) => x / length) : vector;
}

/** A function from vectors to [x, y]. */
export function projection(vectors, weights) {
  const mean = meanOf(vectors, weights);
  const centred = vectors.map((vector) => mean.map((x, i) => vector[i] - x));
  const directions = [];
  for (let axis = 0; axis < 2; axis++) {
    let direction = unit(mean.map((_, i) => Math.sin(1 + i * (axis + 1))), directions);
    for (let round = 0; round < ROUNDS; round++) {
      const next = new Float64Array(mean.length);
      for (const [i, row] of centred.entries()) {
        const along = weights[i] * dot(row, direction);
        for (let j = 0; j < next.length; j++) next[j] += along * row[j];
      }
      direction = unit(next, directions);
    }
    directions.push(direction);
  }
  const offset = directions.map((direction) => dot(mean, direction));
  return (vector) => directions.map((direction, axis) => dot(direction, vector) - offset[axis]);
}
