// A training worker of which the generator of random numbers begins anew at each call.
Object.defineProperty(crypto, 'getRandomValues', {
  value(array) {
    for (let i = 0; i < array.length; i++) array[i] = (7 + 31 * i * i + (i >> 3)) & 255;
    return array;
  },
});
await import('../../../build/js/training-worker-node.js');
