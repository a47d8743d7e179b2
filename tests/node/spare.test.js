// A worker that does not load, and the one that takes its place.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { withSpare } from '../../build/js/spare.js';

/** An endpoint that notes what it is given, and says what it is told to. */
function fake() {
  const end = { posted: [], closed: false };
  end.endpoint = {
    post: (message) => end.posted.push(message),
    listen: (onMessage, onError) => Object.assign(end, { say: onMessage, fail: onError }),
    close: () => { end.closed = true; },
  };
  return end;
}

function pair(spare) {
  const [first, second] = [fake(), fake()];
  const heard = [];
  const errors = [];
  let spares = 0;
  const endpoint = withSpare(() => first.endpoint, spare ?? (async () => {
    spares++;
    return second.endpoint;
  }));
  endpoint.listen((message) => heard.push(message), (error) => errors.push(error));
  return { first, second, endpoint, heard, errors, spares: () => spares };
}

describe('a worker with a spare', () => {
  test('needs none while the first one answers, and keeps its errors', async () => {
    const { first, endpoint, heard, errors, spares } = pair();
    endpoint.post('start');
    first.say('ready');
    first.fail('broken');
    await turn();
    assert.deepEqual([first.posted, heard, errors], [['start'], ['ready'], ['broken']]);
    assert.equal(spares(), 0);
  });

  test('posts again to the spare what the first one never answered', async () => {
    const { first, second, endpoint, heard, errors, spares } = pair();
    endpoint.post('start');
    first.fail('not loaded');
    first.fail('not loaded');
    endpoint.post('more');
    await turn();
    second.say('ready');
    endpoint.post('task');
    assert.deepEqual(second.posted, ['start', 'more', 'task']);
    assert.deepEqual([heard, errors, first.closed], [['ready'], [], true]);
    assert.equal(spares(), 1);
  });

  test('has the error of the first when the spare cannot be had, or fails as well', async () => {
    const absent = pair(async () => { throw new Error('no spare'); });
    absent.first.fail('not loaded');
    await turn();
    assert.deepEqual(absent.errors, ['not loaded']);
    const both = pair();
    both.first.fail('not loaded');
    await turn();
    both.second.fail('refused');
    assert.deepEqual(both.errors, ['not loaded']);
  });

  test('takes the spare when the first one cannot even be made', async () => {
    const second = fake();
    const make = () => { throw new Error('no Worker'); };
    const endpoint = withSpare(make, async () => second.endpoint);
    endpoint.listen(() => undefined, assert.fail);
    endpoint.post('start');
    await turn();
    assert.deepEqual(second.posted, ['start']);
  });

  test('ends the spare that arrives after it was closed', async () => {
    const { first, second, endpoint, errors } = pair();
    first.fail('not loaded');
    endpoint.close();
    await turn();
    assert.deepEqual([second.closed, second.posted, errors], [true, [], []]);
  });
});
