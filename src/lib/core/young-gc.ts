// Keeps memory flat under load: the buffers of reads are garbage within a turn, but V8 counts them as external memory and
// lets some 64 MiB of them gather before a full collection. Collecting the young generation now and then costs less.

/** Bytes read between two collections: a collection takes about 0.2 ms, reading so much about 4. */
const EVERY_BYTES = 4 * 1024 * 1024;

let wanted = false;
let collect: (() => void) | undefined;
let since = 0;

/** For processes of tunl's own. A library does not decide how its host collects, so without this call nothing happens. */
export function keepMemoryFlat(): void {
  const {setFlagsFromString} = process.getBuiltinModule('node:v8');
  // On one thread: waking others for 0.2 ms of work costs more than they save, and they take it from the peer's process.
  setFlagsFromString('--no-parallel-scavenge');
  // The young generation stays as large as the start has made it, some megabytes. Left alone it grows to 128 MiB under
  // many short connections, and not one of them is faster for it.
  setFlagsFromString('--semi-space-growth-factor=1');
  wanted = true;
}

/** Only once there is something to collect: the context that it comes from costs half a megabyte. */
function findCollector(): () => void {
  process.getBuiltinModule('node:v8').setFlagsFromString('--expose-gc');
  const gc = process.getBuiltinModule('node:vm').runInNewContext('gc') as (options: {type: 'minor'}) => void;
  return () => gc({type: 'minor'});
}

/** Counts bytes that were read into buffers of Node's making. */
export function countRead(bytes: number): void {
  if (!wanted) return;
  since += bytes;
  if (since < EVERY_BYTES) return;
  since = 0;
  collect ??= findCollector();
  collect();
}
