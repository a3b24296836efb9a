// Keeps memory flat under load: the buffers of reads are garbage within a turn, but V8 counts them as external memory and
// lets about 64 MiB of them gather before a full collection. It costs less to collect the young generation now and then.

import {systemClock} from './clock.js';

/** Bytes read between two collections: a collection takes about 0.2 ms, reading these bytes about 4. */
const EVERY_BYTES = 4 * 1024 * 1024;

/**
 * After a rush of short connections the old generation is full of garbage, and V8 leaves it there until the process needs memory.
 * It is collected when the process was idle for LOOK_EVERY_MS and the heap has grown by this much since the last collection.
 */
const LOOK_EVERY_MS = 10_000;
const IDLE_SHARE = 0.05;
const GROWN_BY_BYTES = 16 * 1024 * 1024;
const GROWN_TO = 1.5;

type Collect = (options: {type: 'minor' | 'major'}) => void;

let wanted = false;
let collect: Collect | undefined;
let since = 0;

/**
 * Only for tunl's own processes. Without this call nothing happens, because a library must not decide how its host collects
 * garbage.
 */
export function keepMemoryFlat(): void {
  const {setFlagsFromString} = process.getBuiltinModule('node:v8');
  // On one thread: to wake others for 0.2 ms of work costs more than it saves, and takes CPU time from the peer's process.
  setFlagsFromString('--no-parallel-scavenge');
  // The young generation keeps the size that it has after the start, some megabytes. Otherwise it grows to 128 MiB under
  // many short connections, which makes none of them faster.
  setFlagsFromString('--semi-space-growth-factor=1');
  // The heap may grow to three times its size before a full collection. By default V8 leaves 11 MB, of which a download in
  // several streams uses up most with buffers that come and go: one process in two then collected in full every 64 MB.
  setFlagsFromString('--heap-growing-percent=200');
  wanted = true;
  collectWhenIdle();
}

function collectWhenIdle(): void {
  let least = process.memoryUsage().heapTotal;
  let cpuBefore = process.cpuUsage();
  let at = systemClock.now();
  setInterval(() => {
    const now = systemClock.now();
    const {user, system} = process.cpuUsage(cpuBefore);
    const isIdle = (user + system) / 1_000 < IDLE_SHARE * (now - at);
    cpuBefore = process.cpuUsage();
    at = now;
    const {heapTotal} = process.memoryUsage();
    least = Math.min(least, heapTotal);
    if (!isIdle || heapTotal < least * GROWN_TO + GROWN_BY_BYTES) return;
    collect ??= findCollector();
    collect({type: 'major'});
    least = process.memoryUsage().heapTotal;
  }, LOOK_EVERY_MS).unref();
}

/** Created only when there is something to collect, because its context costs half a megabyte. */
function findCollector(): Collect {
  process.getBuiltinModule('node:v8').setFlagsFromString('--expose-gc');
  return process.getBuiltinModule('node:vm').runInNewContext('gc') as Collect;
}

/** Counts bytes that were read into buffers allocated by Node. */
export function countRead(bytes: number): void {
  if (!wanted) return;
  since += bytes;
  if (since < EVERY_BYTES) return;
  since = 0;
  collect ??= findCollector();
  collect({type: 'minor'});
}
