// Random ClientHellos, HTTP, link messages and frames, with resets in between, against a relay; and link messages and frames
// against an agent. Both must survive, keep no memory, and serve honest visitors meanwhile.
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {createAuthority} from '../helpers/certificates.js';
import type {Child} from '../helpers/child.js';
import {expose} from '../helpers/cli.js';
import {atLeast, atMost} from '../helpers/metric.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';
import {Random} from '../mux/fuzz.js';
import {capture} from '../unit/bytes/hellos.js';
import {startFuzzRelay} from './fuzz-relay.js';
import {type FuzzTarget, fuzzers} from './fuzzers.js';
import {domain, type Inspection, inspect, preload, sized, sleep, startRig} from './rig.js';
import {startWitness} from './witness.js';

const MiB = 1024 * 1024;
const seconds = sized(20, 600);
const seed = Number(process.env.TUNL_SEED ?? Date.now() % 2 ** 31);

/** Two workers for each kind of attempt, until the given time. */
async function attack(target: FuzzTarget, random: Random, untilMs: number): Promise<void> {
  const {counts} = target;
  const work = async (name: string, own: Random) => {
    const fuzzer = fuzzers[name];
    while (fuzzer !== undefined && performance.now() < untilMs) {
      // An attempt may be refused or cut off at any point.
      await fuzzer(own, target).catch(() => {});
      counts[name] = (counts[name] ?? 0) + 1;
    }
  };
  const workers = Object.keys(fuzzers).flatMap((name) => [name, name]);
  await Promise.all(workers.map((name) => work(name, new Random(random.below(2 ** 31)))));
}

/** The state of the process once it has closed the descriptors of all attempts. */
async function atRest(child: Child, descriptors: number): Promise<Inspection> {
  let last = await inspect(child);
  const since = performance.now();
  while (last.descriptors > descriptors && performance.now() - since < 30_000) {
    await sleep(500);
    last = await inspect(child);
  }
  return last;
}

const held = (at: Inspection) => at.heapUsed + at.external;

/** Stack traces, and errors without a code of their own. */
const unforeseen = /\n\s+at |UNEXPECTED/;

test(`${seconds} s of fuzz: a relay serves on, and its memory is flat`, async ({scope, expect}) => {
  process.stdout.write(`TUNL_SEED=${seed}\n`);
  const random = new Random(seed);
  const rig = await startRig(scope, {
    // All attempts come from one address, and limits by address would soon refuse them.
    flags: [
      '--trusted-source',
      '127.0.0.1',
      '--resume-window',
      '2s',
      '--lease-grace',
      '1s',
      '--listen-http',
      '127.0.0.1:0',
    ],
  });
  const {relay} = rig;
  const witness = await startWitness(scope, rig);
  const {cli: good, ready} = await rig.expose(await echoUpstream(scope), {
    flags: ['--tcp', '--subdomain', 'good'],
  });
  const listening = await relay.cli.event('listening');
  const target: FuzzTarget = {
    port: relay.port,
    httpPort: listening.http?.port ?? 0,
    domain: relay.domain,
    host: ready.tls?.host ?? '',
    tcpPort: ready.tcp?.port ?? 0,
    caFile: rig.caFile,
    token: relay.token,
    hellos: [...(await capture(scope)).values()].map(({bytes}) => bytes),
    counts: {sessions: 0, resumes: 0},
  };
  const start = await inspect(relay.cli);
  const {counts} = target;
  const during = async (ms: number) => {
    await attack(target, random, performance.now() + ms);
    return await atRest(relay.cli, start.descriptors + 2);
  };
  // Code is compiled and tables have grown after the first quarter. Growth after that is a leak.
  const first = await during((seconds * 1000) / 4);
  const last = await during((seconds * 1000 * 3) / 4);
  const name = `${seconds} s of fuzz against a relay`;
  process.stdout.write(`${JSON.stringify({test: name, counts, start, first, last})}\n`);
  for (const [kind, count] of Object.entries(counts))
    expect(atLeast(name, `attempts: ${kind}`, count, 20)).toBe(true);
  expect(relay.cli.exit).toBeUndefined();
  expect(relay.cli.stderr).not.toMatch(unforeseen);
  expect
    .soft(atMost(name, 'MiB held more than after a quarter', (held(last) - held(first)) / MiB, 8))
    .toBe(true);
  expect
    .soft(atMost(name, 'MiB of RSS more than after a quarter', (last.rss - first.rss) / MiB, 48))
    .toBe(true);
  expect(atMost(name, 'descriptors more than at the start', last.descriptors - start.descriptors, 2)).toBe(
    true,
  );
  expect(atLeast(name, 'rounds of a good visitor', witness.rounds, seconds * 5)).toBe(true);
  await witness.undisturbed();
  expect(good.exit).toBeUndefined();
  expect(good.events.filter(({type}) => type === 'reconnecting' || type === 'error')).toEqual([]);
});

test(`${seconds} s of fuzz: an agent that has served serves on, and its memory is flat`, async ({
  scope,
  expect,
}) => {
  process.stdout.write(`TUNL_SEED=${seed}\n`);
  const authority = await createAuthority();
  const relay = await startFuzzRelay(scope, new Random(seed + 1), await authority.issue([domain]));
  const caFile = join(await scope.tempDir('ca'), 'ca.pem');
  await writeFile(caFile, authority.cert);
  const {cli: agent} = await expose(scope, await echoUpstream(scope), {
    env: {
      ...preload('inspect-hook.js', 'quick-retry.js'),
      ...{TUNL_RELAY: `https://${domain}:${relay.port}`, TUNL_TOKEN: 'f'.repeat(32), TUNL_CA_FILE: caFile},
    },
  });
  const start = await inspect(agent);
  relay.begin();
  await Promise.race([sleep((seconds * 1000) / 4), agent.exited]);
  const first = await inspect(agent);
  await Promise.race([sleep((seconds * 1000 * 3) / 4), agent.exited]);
  await relay.calm();
  const last = await atRest(agent, start.descriptors + 2);
  const name = `${seconds} s of fuzz against an agent`;
  process.stdout.write(`${JSON.stringify({test: name, ...relay.counts, start, first, last})}\n`);
  expect(atLeast(name, 'sessions', relay.counts.greeted, seconds / 2)).toBe(true);
  expect(agent.exit).toBeUndefined();
  expect(agent.stderr).not.toMatch(unforeseen);
  expect(agent.stdout).not.toContain('UNEXPECTED');
  expect
    .soft(atMost(name, 'MiB held more than after a quarter', (held(last) - held(first)) / MiB, 8))
    .toBe(true);
  expect
    .soft(atMost(name, 'MiB of RSS more than after a quarter', (last.rss - first.rss) / MiB, 48))
    .toBe(true);
  expect(atMost(name, 'descriptors more than at the start', last.descriptors - start.descriptors, 2)).toBe(
    true,
  );
});
