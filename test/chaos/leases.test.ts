// A name or port stays with its owner through failures of agents, links and relays; nobody else gets it, and no agents fight
// for it.
import {mkdir, writeFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import {describe} from 'vitest';
import {forward, TunlError, type Tunnel} from '../../src/index.js';
import type {Cli} from '../helpers/cli.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {until} from '../helpers/launching.js';
import {atLeast, atMost} from '../helpers/metric.js';
import {randomFrom} from '../helpers/random.js';
import {type RelayProcessOptions, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream, record} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import {leased, leasesIn, leaseTable, remembered} from './lease-table.js';
import {certificateFlags, domain, keptPorts, type Rig, sized, sleep, startRig} from './rig.js';

const claims = sized(100, 1_000);

/** Without a token, each state folder is an owner. */
const openRig = async (scope: Scope, flags: readonly string[] = []): Promise<Rig> =>
  startRig(scope, {...(await keptPorts()), withToken: false, flags});

let asked = 0;

interface Claim {
  stateDir: string;
  relayPort?: number;
  subdomain?: string;
  remotePort?: number;
  signal?: AbortSignal;
}

/** Asks for a name or port by the library, each time for a new upstream, which nobody visits. */
async function claim(
  scope: Scope,
  at: {proxy: {port: number}; caFile: string},
  {relayPort, ...options}: Claim,
): Promise<Tunnel> {
  asked += 1;
  const tunnel = await forward(9, {
    host: `127.2.${asked >> 8}.${asked & 255}`,
    relay: `https://${domain}:${relayPort ?? at.proxy.port}`,
    caFile: at.caFile,
    unencrypted: options.remotePort !== undefined,
    ...options,
  });
  return scope.own(tunnel);
}

const refusalOf = (tried: Promise<Tunnel>): Promise<string> =>
  tried.then(
    () => 'granted',
    (error: unknown) => (error instanceof TunlError ? error.code : String(error)),
  );

/** How many of the claims are refused with the expected code. */
async function refusals(scope: Scope, rig: Rig, count: number, name: string, port: number): Promise<number> {
  const stateDir = await scope.tempDir('foreign');
  let refused = 0;
  for (let i = 0; i < count; i += 1) {
    const byName = i % 2 === 0;
    const wish = byName ? {subdomain: name} : {remotePort: port};
    const code = await refusalOf(claim(scope, rig, {stateDir, ...wish}));
    if (code === (byName ? 'NAME_TAKEN' : 'PORT_TAKEN')) refused += 1;
  }
  return refused;
}

const flagsFor = (name: string, port?: number): string[] => [
  ...['--tcp', '--subdomain', name],
  ...(port === undefined ? [] : ['--remote-port', String(port)]),
];

/** A visitor is served by the current owner of the port. */
async function served(scope: Scope, port: number): Promise<void> {
  const visitor = record(await tcpVisitor(scope, port));
  visitor.socket.write('hello');
  await visitor.received(5);
}

const typesOf = (cli: Cli): string[] =>
  cli.events.map(({type}) => type).filter((type) => type !== 'connection');

test('a claim of another owner is refused, whether the owner is there or has just died', async ({
  scope,
  expect,
}) => {
  const rig = await openRig(scope);
  const stateDir = await scope.tempDir('owner');
  const upstream = await echoUpstream(scope);
  const first = await rig.expose(upstream, {stateDir, flags: flagsFor('demo')});
  const port = first.ready.tcp?.port ?? 0;
  const whileHeld = await refusals(scope, rig, claims / 2, 'demo', port);
  first.cli.signal('SIGKILL');
  await first.cli.exited;
  const whileLeased = await refusals(scope, rig, claims / 2, 'demo', port);
  expect(atLeast('leases', 'foreign claims refused', whileHeld + whileLeased, claims)).toBe(true);
  const {ready} = await rig.expose(upstream, {stateDir, flags: flagsFor('demo', port)});
  expect([ready.tls, ready.tcp]).toEqual([first.ready.tls, first.ready.tcp]);
  await served(scope, port);
});

test('the owner’s claim is granted over a session that still looks alive', async ({scope, expect}) => {
  const rig = await openRig(scope);
  const stateDir = await scope.tempDir('owner');
  const took: number[] = [];
  let stale: Tunnel | undefined;
  for (let i = 0; i <= claims; i += 1) {
    const proxy = await FaultProxy.start(scope, {target: {port: rig.relay.port}});
    const since = performance.now();
    const tunnel = await claim(scope, rig, {stateDir, relayPort: proxy.port, subdomain: 'demo'});
    if (i > 0) took.push(performance.now() - since);
    stale?.destroy();
    stale = tunnel;
    // From here on neither side receives anything, and neither knows it.
    proxy.blackhole('drop');
  }
  took.sort((a, b) => a - b);
  expect(atLeast('takeover', 'claims granted', took.length, claims)).toBe(true);
  const at = (share: number) => took[Math.floor(took.length * share)] ?? Number.POSITIVE_INFINITY;
  expect.soft(atMost('takeover', 'ms, median', at(0.5), 100)).toBe(true);
  // The whole time, with dial and handshake; one that meets a busy moment of the machine says nothing.
  expect.soft(atMost('takeover', 'ms, 99 of 100', at(0.99), sized(1_000, 100))).toBe(true);
  atMost('takeover', 'ms, the slowest', took.at(-1) ?? Number.POSITIVE_INFINITY, 100);
});

describe.concurrent('a takeover', () => {
  test('ends the old agent, which does not take the name back', async ({scope, expect}) => {
    const rig = await openRig(scope);
    const stateDir = await scope.tempDir('owner');
    const upstream = await echoUpstream(scope);
    const old = await rig.expose(upstream, {stateDir, flags: flagsFor('demo')});
    const port = old.ready.tcp?.port ?? 0;
    const taker = await rig.expose(upstream, {stateDir, flags: flagsFor('demo', port)});
    expect((await old.cli.exited).code).toBe(5);
    expect(old.cli.error).toMatchObject({code: 'TAKEN_OVER', exitCode: 5});
    await sleep(1_000);
    expect(typesOf(taker.cli)).toEqual(['ready']);
    await served(scope, port);
  });

  test.for(['within', 'past'])(
    'by an agent whose link was lost, %s the window: it stays away',
    async (when, {scope, expect}) => {
      const rig = await openRig(scope, when === 'past' ? ['--resume-window', '500ms'] : []);
      const stateDir = await scope.tempDir('owner');
      const upstream = await echoUpstream(scope);
      const old = await rig.expose(upstream, {stateDir, flags: flagsFor('demo')});
      const port = old.ready.tcp?.port ?? 0;
      await rig.proxy.refuse();
      rig.proxy.reset();
      await old.cli.event('reconnecting');
      if (when === 'past') await rig.relay.cli.saidOnStderr(/agent gone/);
      const direct = {TUNL_RELAY: `https://${domain}:${rig.relay.port}`};
      const taker = await rig.expose(upstream, {stateDir, flags: flagsFor('demo', port), env: direct});
      await rig.proxy.accept();
      expect((await old.cli.exited).code).toBe(5);
      expect(old.cli.error).toMatchObject({code: 'TAKEN_OVER'});
      await sleep(500);
      expect(typesOf(taker.cli)).toEqual(['ready']);
      await served(scope, port);
    },
  );
});

describe.concurrent('names', () => {
  test('survive the death of the relay', async ({scope, expect}) => {
    const {flags, caFile} = await certificateFlags(scope);
    const stateDir = await scope.tempDir('relay');
    const options: RelayProcessOptions = {...(await keptPorts()), stateDir, withToken: false, flags};
    const relay = await startRelayProcess(scope, options);
    const upstream = await echoUpstream(scope);
    const owner = await scope.tempDir('owner');
    const env = {...relay.env, TUNL_CA_FILE: caFile};
    const before = await relay.expose(upstream, {stateDir: owner, flags: flagsFor('demo'), env});
    before.cli.signal('SIGKILL');
    await before.cli.exited;
    await leased(stateDir, [before.ready]);
    relay.cli.signal('SIGKILL');
    await relay.cli.exited;
    const again = await startRelayProcess(scope, options);
    const port = String(before.ready.tcp?.port);
    for (const wish of [
      ['--subdomain', 'demo'],
      ['--tcp', '--remote-port', port],
    ]) {
      const foreign = again.expose(upstream, {flags: wish, env});
      await expect(foreign).rejects.toThrow(/NAME_TAKEN|PORT_TAKEN/);
    }
    const {ready} = await again.expose(upstream, {
      stateDir: owner,
      flags: flagsFor('demo', Number(port)),
      env,
    });
    expect([ready.tls, ready.tcp]).toEqual([before.ready.tls, before.ready.tcp]);
    await served(scope, Number(port));
  });

  test('that were chosen at random are given again after kill -9, unless a new one is asked for', async ({
    scope,
    expect,
  }) => {
    const rig = await openRig(scope);
    const stateDir = await scope.tempDir('owner');
    const cwd = await scope.tempDir('folder');
    const upstream = await echoUpstream(scope);
    const run = async (flags: readonly string[], where = cwd) => {
      const {cli, ready} = await rig.expose(upstream, {stateDir, cwd: where, flags: ['--tcp', ...flags]});
      await remembered(stateDir, ready.tls?.host ?? '');
      cli.signal('SIGKILL');
      await cli.exited;
      return [ready.tls?.host, ready.tcp?.port];
    };
    const first = await run([]);
    expect(await run([])).toEqual(first);
    expect(await run([], await scope.tempDir('other'))).not.toEqual(first);
    const fresh = await run(['--new-name']);
    expect(fresh[0]).not.toBe(first[0]);
    expect(fresh[1]).not.toBe(first[1]);
    expect(await run([])).toEqual(fresh);
  });

  test('are free after the grace period', async ({scope, expect}) => {
    // Long enough on a busy machine for a claim that begins within the period to end within it.
    const rig = await openRig(scope, ['--lease-grace', '8s', '--resume-window', '100ms']);
    const owner = await rig.expose(9, {flags: ['--subdomain', 'demo']});
    owner.cli.signal('SIGKILL');
    await rig.relay.cli.saidOnStderr(/agent gone/);
    const stateDir = await scope.tempDir('foreign');
    expect(await refusalOf(claim(scope, rig, {stateDir, subdomain: 'demo'}))).toBe('NAME_TAKEN');
    await until(
      async () => (await refusalOf(claim(scope, rig, {stateDir, subdomain: 'demo'}))) === 'granted',
    );
  });

  test('are in a complete table whenever the relay is killed', async ({scope, expect}) => {
    const {flags, caFile} = await certificateFlags(scope);
    const stateDir = await scope.tempDir('relay');
    const owner = await scope.tempDir('owner');
    const random = randomFrom(5);
    const options: RelayProcessOptions = {...(await keptPorts()), stateDir, withToken: false, flags};
    const granted = new Set<string>();
    for (let round = 0; round < sized(5, 50); round += 1) {
      const relay = await startRelayProcess(scope, options);
      const at = {proxy: {port: relay.port}, caFile};
      const killed = new AbortController();
      const {signal} = killed;
      const claiming = (async () => {
        for (let i = 0; !signal.aborted; i += 1) {
          const subdomain = `name-${round}-${i}`;
          const tunnel = await claim(scope, at, {stateDir: owner, subdomain, signal});
          granted.add(subdomain);
          tunnel.destroy();
        }
      })();
      claiming.catch(() => {});
      // At any moment after the first table with an entry of this round.
      await until(async () => (await leasesIn(stateDir)).has(`tls:name-${round}-0`));
      await sleep(random() * 300);
      relay.cli.signal('SIGKILL');
      await relay.cli.exited;
      killed.abort();
      await claiming.catch(() => {});
      expect(relay.cli.stderr).not.toMatch(/cannot be/);
      const kept = await leasesIn(stateDir);
      // Grants of the last moment may be missing; entries of an earlier table may not.
      const older = [...granted].filter((name) => !name.startsWith(`name-${round}-`));
      const inFirst = older.filter((name) => kept.has(`tls:${name}`)).length;
      for (const name of granted) if (!kept.has(`tls:${name}`)) granted.delete(name);
      expect(inFirst).toBe(older.length);
    }
    expect(granted.size).toBeGreaterThan(0);
  });

  test.for(['', '{"version":1,"leases":[["tls:demo",{"ow', '\u0000\u0000\u0000', '{"version":2}'])(
    'start again when the table is broken: %j',
    async (text, {scope, expect}) => {
      const {flags, caFile} = await certificateFlags(scope);
      const stateDir = await scope.tempDir('relay');
      await mkdir(dirname(leaseTable(stateDir)), {recursive: true});
      await writeFile(leaseTable(stateDir), text);
      const options: RelayProcessOptions = {stateDir, withToken: false, flags};
      const relay = await startRelayProcess(scope, options);
      await relay.cli.saidOnStderr(/the lease table cannot be read; the relay starts with an empty one/);
      const env = {TUNL_CA_FILE: caFile};
      await relay.expose(9, {flags: ['--subdomain', 'demo'], env});
      await relay.cli.stop();
      const again = await startRelayProcess(scope, options);
      await expect(again.expose(9, {flags: ['--subdomain', 'demo'], env})).rejects.toThrow(/NAME_TAKEN/);
      expect(again.cli.stderr).not.toMatch(/lease table/);
    },
  );
});
