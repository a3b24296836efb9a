// A process that holds several members of one private network, without a relay between them. It reads a JSON line for each
// thing to do, and writes JSON lines about what happens.
import files from 'node:fs/promises';
import {syncBuiltinESMExports} from 'node:module';
import {createInterface} from 'node:readline';
import {openSeal} from '../../dist/lib/seal/seal.js';

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

const PREFIX = 'fdaa:5137:3ebf';
const DOMAIN = 'lab.tunl.internal';

/** @type {Map<string, {address: string, seal: import('../../dist/lib/seal/seal.js').Seal}>} */
const members = new Map();
let count = 0;

function tellAll() {
  const hosts = [...members].map(([name, {address}]) => ({address, names: [`${name}.${DOMAIN}`, name]}));
  for (const {seal} of members.values()) seal.setHosts(hosts);
}

function abortedWhileFilesAreRead() {
  const aborter = new AbortController();
  const {readFile} = files;
  files.readFile = async (...args) => {
    const text = await readFile(...args);
    aborter.abort();
    return text;
  };
  syncBuiltinESMExports();
  return aborter.signal;
}

const deeds = {
  async join({name, rules = {kind: 'none'}, givesUp = false}) {
    count += 1;
    const address = `${PREFIX}::${count}`;
    const seal = await openSeal({
      ownProcesses: true,
      rules,
      ...(givesUp && {signal: abortedWhileFilesAreRead()}),
      onRefused: (refusal) => say({event: 'refused', name, ...refusal}),
      onLost: (detail) => say({event: 'lost', name, detail}),
      member: {
        prefix: `${PREFIX}::/48`,
        address,
        name,
        domain: DOMAIN,
        dial: async ({address: to, port}, signal) => {
          const peer = [...members.values()].find((each) => each.address === to);
          if (peer === undefined) throw Object.assign(new Error('no such member'), {code: 'MEMBER_UNKNOWN'});
          say({event: 'dial', name, to, port});
          return peer.seal.dialInside({port, from: address, signal});
        },
      },
    });
    members.set(name, {address, seal});
    tellAll();
    return {address};
  },
  async leave({name}) {
    const {seal} = members.get(name);
    members.delete(name);
    tellAll();
    await seal.close();
  },
  /** Members that exist in name only, beside the real ones, until the next change. */
  ghosts({name, first, count: many}) {
    const hosts = [...members].map(([each, {address}]) => ({address, names: [`${each}.${DOMAIN}`, each]}));
    const ghosts = Array.from({length: many}, (_, at) => ({
      address: `${PREFIX}::9:${(first + at).toString(16)}`,
      names: [`ghost${first + at}.${DOMAIN}`, `ghost${first + at}`],
    }));
    members.get(name).seal.setHosts([...hosts, ...ghosts]);
  },
  /** Its output comes as lines, its end as an event. */
  run({name, argv, id, uid}) {
    const child = members.get(name).seal.spawn(argv, {stdio: ['ignore', 'pipe', 'pipe'], uid});
    createInterface({input: child.stdout}).on('line', (line) => say({event: 'out', id, line}));
    createInterface({input: child.stderr}).on('line', (line) => say({event: 'err', id, line}));
    child.on('close', (code, signal) => say({event: 'end', id, code, signal}));
    return {pid: child.pid};
  },
};

for await (const line of createInterface({input: process.stdin})) {
  const {ask, deed, ...about} = JSON.parse(line);
  try {
    say({answer: ask, value: (await deeds[deed](about)) ?? null});
  } catch (error) {
    say({answer: ask, failed: {code: error.code, message: error.message, next: error.next}});
  }
}
for (const {seal} of members.values()) await seal.close();
