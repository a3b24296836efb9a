// The process that holds a seal in tests. It reads a JSON line for each thing to do, and writes JSON lines about what happens.
import {createInterface} from 'node:readline';
import {openSeal} from '../../dist/lib/seal/seal.js';

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** @type {import('../../dist/lib/seal/seal.js').Seal | undefined} */
let seal;

const deeds = {
  async open({rules, abortAfterMs, joins, localPorts}) {
    const start = performance.now();
    seal = await openSeal({
      rules,
      joins,
      localPorts,
      ...(abortAfterMs !== undefined && {signal: AbortSignal.timeout(abortAfterMs)}),
      onRefused: (refusal) => say({event: 'refused', ...refusal}),
      onLost: (detail) => say({event: 'lost', detail}),
    });
    return {ms: Math.round(performance.now() - start), netns: seal.netns};
  },
  rules: ({rules}) => seal.setRules(rules),
  /** Its output comes as lines, its end as an event. */
  run({argv, id, uid}) {
    const child = seal.spawn(argv, {stdio: ['ignore', 'pipe', 'pipe'], uid});
    createInterface({input: child.stdout}).on('line', (line) => say({event: 'out', id, line}));
    createInterface({input: child.stderr}).on('line', (line) => say({event: 'err', id, line}));
    child.on('close', (code, signal) => say({event: 'end', id, code, signal}));
    return {pid: child.pid};
  },
  /** Connects to a program inside, sends a text and half-closes; the answer is all that comes back. */
  async dialInside({text = '', abortAfterMs, ...dial}) {
    const signal = abortAfterMs === undefined ? undefined : AbortSignal.timeout(abortAfterMs);
    const socket = await seal.dialInside({...dial, signal});
    socket.end(text);
    const all = [];
    for await (const piece of socket) all.push(piece);
    return Buffer.concat(all).toString();
  },
  /** Many of them, a few at once. */
  async dialMany({count, atOnce = 16, ...dial}) {
    const start = performance.now();
    let left = count;
    let whole = 0;
    const some = async () => {
      while (left > 0) {
        const text = `${left--}`;
        if ((await deeds.dialInside({text, ...dial})) === text) whole += 1;
      }
    };
    await Promise.all(Array.from({length: atOnce}, some));
    return {whole, ms: performance.now() - start};
  },
  state: () => ({connections: seal.connections, descriptors: process.getActiveResourcesInfo().length}),
  close: () => seal.close(),
};

for await (const line of createInterface({input: process.stdin})) {
  const {ask, deed, ...about} = JSON.parse(line);
  try {
    say({answer: ask, value: (await deeds[deed](about)) ?? null});
  } catch (error) {
    say({answer: ask, failed: {code: error.code, message: error.message, next: error.next}});
  }
}
await seal?.close();
