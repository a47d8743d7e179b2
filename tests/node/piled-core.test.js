// Scratch memory that is piled up: nobody's lies on another's, and nothing is left of it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadModule } from '../../build/js/loader.js';
import { PiledCore } from '../../build/js/piled-core.js';
import { random } from './support/oracle.js';

const core = await PiledCore.instantiate(await loadModule(undefined));
const memory = () => Buffer.from(core.exports.memory.buffer);
const isFilled = ({ at, size, value }) =>
  memory().subarray(at, at + size).equals(Buffer.alloc(size, value));
const isLeft = ({ at, size, value }) =>
  memory().subarray(at, at + size).includes(Buffer.alloc(8, value));
const apart = (pieces) => {
  const sorted = [...pieces].sort((x, y) => x.at - y.at);
  return sorted.every(({ at }, i) => i === 0 || sorted[i - 1].at + sorted[i - 1].size <= at);
};

describe('scratch memory', () => {
  test('of nested calls lies apart, keeps what is in it, and is wiped', () => {
    const next = random(7);
    let most = 0;
    /** Takes pieces, calls itself, and goes on taking: also from outer memory inside inner calls. */
    const use = (depth, outer) => core.withScratch((s) => {
      const own = [s, ...outer];
      for (let i = 0; i < 6; i++) {
        const size = Math.floor(next() ** 4 * 60_000);
        const of = own[Math.floor(next() * own.length)];
        const at = of.take(size);
        assert.equal(at % 16, 0);
        pieces.push({ of, at, size, value: 0xa0 + depth });
        memory().fill(0xa0 + depth, at, at + size);
        if (depth < 4 && next() < 0.5) use(depth + 1, own);
        const there = pieces.filter(({ gone }) => !gone);
        assert.ok(apart(there) && there.every(isFilled));
        most = Math.max(most, there.length);
      }
      for (const piece of pieces) piece.gone ||= piece.of === s;
    });
    let pieces = [];
    for (let round = 0; round < 10; round++) {
      pieces = [];
      use(0, []);
      // The allocator's own notes in memory that is free are no such run.
      assert.ok(!pieces.filter(({ size }) => size >= 8).some(isLeft));
    }
    assert.ok(most > 10, `${most} pieces at a time`);
  });

  test('is given back when a call throws, and large pieces are allocated', () => {
    const first = core.withScratch((s) => s.take(64));
    assert.throws(() => core.withScratch((s) => {
      memory().fill(9, s.take(64), first + 64);
      throw new Error('no');
    }), /no/);
    core.withScratch((s) => {
      assert.equal(s.take(64), first);
      assert.ok(memory().subarray(first, first + 64).every((byte) => byte === 0));
      const large = s.take(10 << 20);
      assert.ok(large > 0 && (large + (10 << 20) <= first || large >= first + 64));
    });
    const before = core.memoryBytes;
    for (let i = 0; i < 20; i++) core.withScratch((s) => s.take(10 << 20));
    assert.equal(core.memoryBytes, before);
  });
});
