import {once} from 'node:events';
import {PassThrough} from 'node:stream';
import {expect, test} from 'vitest';
import type {Stream} from '../../../../src/lib/mux/stream.js';
import {OutputPump} from '../../../../src/lib/sandbox/init/output-pump.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

const stream = () => {
  const calls: string[] = [];
  const fake = {
    bytesOut: 0,
    accept: () => calls.push('accept'),
    end: () => calls.push('end'),
    reset: () => calls.push('reset'),
    consumed: () => {},
    write: () => true,
  };
  return {calls, stream: fake as unknown as Stream};
};

async function endedEmpty(clock: ManualClock): Promise<OutputPump> {
  const source = new PassThrough();
  const pump = new OutputPump(source, clock);
  source.end();
  source.resume();
  await once(source, 'close');
  return pump;
}

test('an output that ended empty waits for the host’s stream', async () => {
  const pump = await endedEmpty(new ManualClock());
  let isOver = false;
  const settled = pump.settle().then(() => {
    isOver = true;
  });
  await new Promise(setImmediate);
  expect(isOver).toBe(false);
  const {stream: target, calls} = stream();
  expect(pump.attach(target)).toBe(true);
  await settled;
  expect(calls).toEqual(['accept', 'end']);
});

test('not for ever', async () => {
  const clock = new ManualClock();
  const pump = await endedEmpty(clock);
  const settled = pump.settle();
  for (let n = 0; n < 10; n += 1) {
    clock.advance(500);
    await new Promise(setImmediate);
  }
  await settled;
});
