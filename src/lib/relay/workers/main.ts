// The process of a worker. It ends with the first process, or when that one asks.

import {keepMemoryFlat} from '../../core/collect.js';
import type {Channel} from './talk.js';
import {Worker} from './worker.js';

// A terminal, and a service manager, signal all processes of the relay. The first one decides what follows.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit());
keepMemoryFlat();
new Worker(process as unknown as Channel, () => process.exit());
