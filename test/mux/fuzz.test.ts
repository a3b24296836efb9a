import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {expect, test} from 'vitest';
import {BLOCK_BYTES} from '../../src/lib/mux/blocks.js';
import {VIOLATION_CODES} from '../../src/lib/protocol/wire.js';
import {atLeast, atMost} from '../helpers/metric.js';
import {CountingPool} from './counting-pool.js';
import {MEMORY} from './fabrics.js';
import {fuzz} from './fuzz.js';
import {Net} from './net.js';
import {turn} from './peers.js';

const LONG = process.env.TUNL_LONG === '1';
const FRAMES = LONG ? 10_000_000 : 200_000;
const MIB = 1024 * 1024;

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** The memory in use after a garbage collection, bytes. The second collection frees what finalizers of the first released. */
async function held(): Promise<number> {
  gc();
  await turn();
  gc();
  const {heapUsed, external} = process.memoryUsage();
  return heapUsed + external;
}

test(`${FRAMES} random frames: no exception, bounded memory, no effect on other sessions`, {
  timeout: 3_600_000,
}, async () => {
  const seed = Number(process.env.TUNL_SEED ?? Date.now() % 2 ** 31);
  // Another session on the same pool as all the victims.
  const pool = new CountingPool();
  await using bystander = await Net.linked(MEMORY, {pool});
  const [writer, reader] = await bystander.pair('relay');
  await bystander.rest();
  const parts = 20;
  let frames = 0;
  let mostQueued = 0;
  let heldAtFirst = 0;
  const ends = new Map<string, number>();
  try {
    for (let part = 0; part < parts; part += 1) {
      const report = await fuzz({seed: seed + part, pool, frames: FRAMES / parts});
      frames += report.frames;
      mostQueued = Math.max(mostQueued, report.mostQueued);
      for (const [code, count] of report.ends) ends.set(code, (ends.get(code) ?? 0) + count);
      expect(pool.out).toBe(0);
      writer.write(10_000);
      await bystander.until(
        () => reader.received === 10_000 * (part + 1),
        'the bystander',
        () => reader.describe(),
      );
      await bystander.rest();
      // After the first parts, code and tables exist. Later growth would be a leak.
      if (part === 3) heldAtFirst = await held();
    }
  } catch (error) {
    throw new Error(`with TUNL_SEED=${seed}`, {cause: error});
  }
  const name = 'fuzzed frames';
  expect(atLeast(name, 'frames without an uncaught exception', frames, FRAMES)).toBe(true);
  expect(atMost(name, 'most bytes queued', mostQueued, 40 * MIB)).toBe(true);
  expect(atMost(name, 'bytes more than after the first parts', (await held()) - heldAtFirst, 16 * MIB)).toBe(
    true,
  );
  const codes = [...VIOLATION_CODES, 'SESSION_RANGE', 'in order'];
  expect([...ends.keys()].filter((code) => !codes.includes(code))).toEqual([]);
  expect([...ends.keys()]).toEqual(expect.arrayContaining(['PROTOCOL', 'SESSION_RANGE', 'in order']));
  expect(atMost(name, 'peak bytes in blocks', pool.peak * BLOCK_BYTES, 64 * MIB)).toBe(true);
  expect(bystander.peers.ends).toEqual({});
});
