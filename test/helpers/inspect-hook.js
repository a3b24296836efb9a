// `node --import …/inspect-hook.js`: at SIGUSR2 the process prints on stderr its memory and resources, after a garbage
// collection.
import {createHook} from 'node:async_hooks';
import {readdirSync} from 'node:fs';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');
let count = 0;

// Node lists only the timers that keep the process alive, so on request this hook counts all of them.
const timers = new Set();
if (process.env.TUNL_COUNT_TIMERS === '1') {
  createHook({
    init: (id, type) => void (type === 'Timeout' && timers.add(id)),
    destroy: (id) => void timers.delete(id),
  }).enable();
}

process.on('SIGUSR2', () => {
  gc();
  // The second collection, after a turn, frees what finalizers of the first released.
  setImmediate(() => {
    gc();
    const {heapUsed, external, arrayBuffers, rss} = process.memoryUsage();
    const descriptors = readdirSync('/proc/self/fd').length;
    count += 1;
    const memory = {heapUsed, external, arrayBuffers, rss};
    const line = {inspected: count, now: Date.now(), ...memory, timers: timers.size, descriptors};
    process.stderr.write(`${JSON.stringify(line)}\n`);
  });
});
