// `node --import …/inspect-hook.js`: at SIGUSR2 the process says on stderr what it holds, after a garbage collection.
import {readdirSync} from 'node:fs';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');
let count = 0;

process.on('SIGUSR2', () => {
  gc();
  // A second one after a turn: what finalizers let go of is counted out as well.
  setImmediate(() => {
    gc();
    const {heapUsed, external, arrayBuffers, rss} = process.memoryUsage();
    const resources = process.getActiveResourcesInfo();
    const timers = resources.filter((name) => name === 'Timeout' || name === 'Immediate').length;
    const descriptors = readdirSync('/proc/self/fd').length;
    count += 1;
    const line = {inspected: count, heapUsed, external, arrayBuffers, rss, timers, descriptors};
    process.stderr.write(`${JSON.stringify({...line, resources: resources.length})}\n`);
  });
});
