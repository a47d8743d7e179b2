import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import vm from 'node:vm';
import { fromWire, SealvecError, storageError, toWire } from '../../build/js/errors.js';

const acrossWorker = (error) => fromWire(structuredClone(toWire(error)));

describe('SealvecError', () => {
  test('is an Error with a name, a code, a message and a cause', () => {
    const cause = new Error('below');
    const error = new SealvecError('NOT_FOUND', 'no such index', { cause });
    assert.ok(error instanceof Error);
    assert.deepEqual([error.name, error.code, error.message], [
      'SealvecError',
      'NOT_FOUND',
      'no such index',
    ]);
    assert.equal(error.cause, cause);
    assert.equal(String(error), 'SealvecError: no such index');
    assert.ok(!('cause' in new SealvecError('CLOSED', 'closed')));
  });

  test('keeps class, code, message, stack and causes across a worker', () => {
    const cause = new TypeError('below', { cause: new SealvecError('CORRUPTED', 'deepest') });
    const error = new SealvecError('WRONG_KEY', 'indexKey: wrong', { cause });
    const got = acrossWorker(error);
    assert.ok(got instanceof SealvecError);
    assert.equal(got.code, 'WRONG_KEY');
    assert.equal(got.message, 'indexKey: wrong');
    assert.equal(got.stack, error.stack);
    assert.equal(got.cause.name, 'TypeError');
    assert.ok(got.cause.cause instanceof SealvecError);
    assert.equal(got.cause.cause.code, 'CORRUPTED');
  });

  test('keeps name and message of other errors, and carries whatever else is thrown', () => {
    const abort = acrossWorker(new DOMException('stopped', 'AbortError'));
    assert.ok(abort instanceof Error && !(abort instanceof SealvecError));
    assert.deepEqual([abort.name, abort.message], ['AbortError', 'stopped']);
    assert.equal(acrossWorker(vm.runInNewContext('new RangeError("far")')).name, 'RangeError');
    for (const thrown of ['text', 7, null, undefined, Symbol('s'), Object.create(null), () => 1]) {
      assert.ok(acrossWorker(thrown) instanceof Error);
    }
    const cycle = new Error('round');
    cycle.cause = cycle;
    assert.equal(acrossWorker(cycle).message, 'round');
  });
});

describe('storageError', () => {
  test('tells a full store from other failures, and leaves our own errors alone', () => {
    const failure = (key, value) => Object.assign(new Error('why'), { [key]: value });
    const codeOf = (cause) => storageError('could not', cause).code;
    assert.equal(codeOf(failure('code', 'ENOSPC')), 'QUOTA_EXCEEDED');
    assert.equal(codeOf(failure('code', 'EDQUOT')), 'QUOTA_EXCEEDED');
    assert.equal(codeOf(new DOMException('full', 'QuotaExceededError')), 'QUOTA_EXCEEDED');
    assert.equal(codeOf(failure('code', 'EIO')), 'STORAGE');
    assert.equal(codeOf('text'), 'STORAGE');
    const cause = failure('code', 'EIO');
    assert.equal(storageError('could not read a', cause).message, 'could not read a: why');
    assert.equal(storageError('could not read a', cause).cause, cause);
    const own = new SealvecError('CLOSED', 'closed');
    assert.equal(storageError('could not', own), own);
  });
});
