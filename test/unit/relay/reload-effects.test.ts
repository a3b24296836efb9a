// Each setting that can change while a relay runs, changed: what the relay does before and after. A setting of the table that
// is missing here fails a test.

import {generateKeyPairSync, X509Certificate} from 'node:crypto';
import {once} from 'node:events';
import {readFile, writeFile} from 'node:fs/promises';
import type {Socket} from 'node:net';
import {join} from 'node:path';
import {connect} from 'node:tls';
import {describe, expect, test, vi} from 'vitest';
import type {Setting} from '../../../src/lib/core/settings.js';
import {OIDC_SETTINGS} from '../../../src/lib/relay/access/oidc-settings.js';
import {EGRESS_SETTINGS} from '../../../src/lib/relay/egress/egress-settings.js';
import {LIMIT_SETTINGS} from '../../../src/lib/relay/limits/limit-settings.js';
import type {RelayOptions} from '../../../src/lib/relay/options.js';
import type {RunningRelay} from '../../../src/lib/relay/running-relay.js';
import {RELAY_SETTINGS} from '../../../src/lib/relay/settings-table.js';
import {startRunningRelay} from '../../../src/lib/relay/start.js';
import {selfSigned} from '../../helpers/certificates.js';
import {eventually} from '../../helpers/eventually.js';
import {frame, RawAgent} from '../../helpers/raw-agent.js';
import {RelayEar} from '../../helpers/relay-events.js';
import {Scope} from '../../helpers/scope.js';
import {boldVisitor} from '../../helpers/visitors.js';

interface KeepsAlive {
  setKeepAlive(on: boolean, quietS: number): number;
}

const domain = 'r1.localhost';

interface World {
  scope: Scope;
  relay: RunningRelay;
  ear: RelayEar;
  caFile: string;
  /** Without an end by then a visitor is open: long enough for two looks, and when an end is expected for a busy machine. */
  patienceMs: number;
  /** A new agent. */
  agent(key?: ReturnType<typeof newKey>): Promise<RawAgent>;
}

interface Effect {
  before: RelayOptions;
  after: RelayOptions;
  /** Says what the relay does: once with each options. */
  see(world: World): Promise<unknown>;
  /** What is seen with the first options, and with the second ones. */
  seen: [before: unknown, after: unknown];
}

const newKey = () => generateKeyPairSync('ed25519').privateKey;

/** A reload changes what `see` sees. */
const EFFECTS: Record<string, Effect> = {
  maxTunnelsPerAgent: {
    before: {maxTunnelsPerAgent: 1},
    after: {maxTunnelsPerAgent: 2},
    see: async ({agent}) => await boundOf(await agent(), 3),
    seen: [1, 2],
  },
  maxLeasesPerOwner: {
    before: {maxLeasesPerOwner: 2},
    after: {maxLeasesPerOwner: 3},
    see: async ({agent}) => {
      const raw = await agent();
      const bound = await boundOf(raw, 5);
      raw.socket.terminate();
      return bound;
    },
    seen: [2, 3],
  },
  resumeWindowMs: {
    before: {resumeWindowMs: 5_000},
    after: {resumeWindowMs: 7_000},
    see: async ({agent}) => (await (await agent()).message('welcome')).resumeWindowMs,
    seen: [5_000, 7_000],
  },
  leaseGraceMs: {
    before: {leaseGraceMs: 60_000},
    after: {leaseGraceMs: 0},
    // Another owner wants a name that its owner has just given up.
    see: async ({agent}) => {
      const [one, other] = [await agent(), await agent()];
      const {tunnel, host} = await bindName(one, undefined);
      one.segment(control({type: 'unbind', tunnel}));
      // Answered after the unbind.
      await bindName(one, undefined, 2);
      const again = await bindName(other, String(host).split('.')[0]);
      return again.type;
    },
    seen: ['bind-refused', 'bound'],
  },
  visitorWaitMs: {
    before: {visitorWaitMs: 60_000},
    after: {visitorWaitMs: 0},
    see: async ({scope, ear, agent, patienceMs}) => {
      const raw = await agent();
      const port = await raw.bindTcp();
      const gone = ear.all('agent-away').length + 1;
      raw.socket.terminate();
      await ear.heard('agent-away', gone);
      return await fateOf(boldVisitor(scope, port), patienceMs);
    },
    seen: ['open', 'reset'],
  },
  visitorIdleTimeoutMs: {
    before: {},
    after: {visitorIdleTimeoutMs: 1_000},
    see: async ({scope, agent, patienceMs}) => {
      const raw = await agent();
      return await fateOf(boldVisitor(scope, await raw.bindTcp()), patienceMs);
    },
    seen: ['open', 'reset'],
  },
  keepAliveMs: {
    before: {keepAliveMs: 11_000},
    after: {keepAliveMs: 12_000},
    see: async ({scope, agent}) => {
      const raw = await agent();
      const visitor = boldVisitor(scope, await raw.bindTcp());
      const {_handle: handle} = visitor as unknown as {_handle: object};
      // The relay sets it at the handle of each socket, and all handles have one prototype.
      const set = vi.spyOn(Object.getPrototypeOf(handle) as KeepsAlive, 'setKeepAlive');
      const quiet = () =>
        set.mock.calls.map(([, quietS]) => quietS * 1_000).filter((ms) => ms === 11_000 || ms === 12_000);
      await eventually(() => expect(quiet().length).toBeGreaterThan(0));
      const seen = [...new Set(quiet())];
      set.mockRestore();
      return seen;
    },
    seen: [[11_000], [12_000]],
  },
  trustedSources: {
    before: {token: 'a-token-of-16-or-more'},
    after: {token: 'a-token-of-16-or-more', trustedSources: ['127.0.0.0/8']},
    // More guesses than a source may make.
    see: async (world) => {
      for (let guess = 0; guess < 20; guess += 1) await statusOf(world);
      return await statusOf(world);
    },
    seen: [429, 401],
  },
  reservedNames: {
    before: {reservedNames: ['bank']},
    after: {reservedNames: ['*shop*']},
    see: async ({agent}) => {
      const raw = await agent();
      const [bank, shop] = [await bindName(raw, 'bank', 1), await bindName(raw, 'my-shop', 2)];
      raw.socket.terminate();
      return [bank.type, shop.type];
    },
    seen: [
      ['bind-refused', 'bound'],
      ['bound', 'bind-refused'],
    ],
  },
};

/** Seen elsewhere, for the reason. */
const ELSEWHERE: Record<string, string> = {
  token: 'reload.test.ts',
  tokenFile: 'reload.test.ts',
  successors: 'below: only the end of a relay tells them',
  certFile: 'below',
  keyFile: 'below',
  ...Object.fromEntries(Object.keys(LIMIT_SETTINGS).map((name) => [name, 'limits/visitor-limits.test.ts'])),
  ...Object.fromEntries(Object.keys(EGRESS_SETTINGS).map((name) => [name, 'egress/reload.test.ts'])),
  ...Object.fromEntries(Object.keys(OIDC_SETTINGS).map((name) => [name, 'access/oidc.test.ts'])),
  maxUnreadBytes: 'unread-limit.test.ts and window-budget.test.ts: the parts that count the bytes',
};

test('every setting that can change has an effect here', () => {
  const rows: [string, Setting<unknown>][] = Object.entries(RELAY_SETTINGS);
  const names = rows.filter(([, {reloads = false}]) => reloads !== false).map(([name]) => name);
  expect([...Object.keys(EFFECTS), ...Object.keys(ELSEWHERE)].sort()).toEqual(names.sort());
});

describe.concurrent('a reload changes', () => {
  test.each(Object.entries(EFFECTS))('%s', async (_name, {before, after, see, seen}) => {
    await using scope = new Scope();
    const {world, options} = await open(scope, before);
    expect(await see(world)).toEqual(seen[0]);
    options.now = after;
    expect(await world.relay.reload()).toMatchObject({needRestart: []});
    expect(await see({...world, patienceMs: 20_000})).toEqual(seen[1]);
  });

  test('successors', async () => {
    await using scope = new Scope();
    const {world, options} = await open(scope, {});
    const raw = await world.agent();
    options.now = {successors: ['https://r2.example']};
    await world.relay.reload();
    void world.relay.close();
    expect(await raw.message('goaway')).toMatchObject({relays: ['https://r2.example']});
  });

  test('the paths of the certificate, but only from one pair of files to another', async () => {
    await using scope = new Scope();
    const folder = await scope.tempDir();
    const files = async (name: string) => {
      const {cert, key} = await selfSigned([domain, `*.${domain}`]);
      const pair = {certFile: join(folder, `${name}.crt`), keyFile: join(folder, `${name}.key`)};
      await writeFile(pair.certFile, cert);
      await writeFile(pair.keyFile, key);
      return pair;
    };
    const [one, two] = [await files('one'), await files('two')];
    const {world, options} = await open(scope, one);
    const served = async () => {
      const socket = connect({...world.relay.address, servername: domain, rejectUnauthorized: false});
      scope.onEnd(() => void socket.destroy());
      await once(socket, 'secureConnect');
      return socket.getPeerX509Certificate()?.fingerprint256;
    };
    const of = async ({certFile}: {certFile: string}) =>
      new X509Certificate(await readFile(certFile)).fingerprint256;
    expect(await served()).toBe(await of(one));
    options.now = {...two, keyFile: one.keyFile};
    expect(await world.relay.reload()).toMatchObject({failed: {code: 'KEY_MISMATCH'}});
    expect(await served()).toBe(await of(one));
    options.now = two;
    expect(await world.relay.reload()).toEqual({changed: ['cert-file', 'key-file'], needRestart: []});
    expect(await served()).toBe(await of(two));
    options.now = {};
    expect(await world.relay.reload()).toMatchObject({changed: [], needRestart: ['cert-file', 'key-file']});
    expect(await served()).toBe(await of(two));
  });
});

async function open(scope: Scope, before: RelayOptions) {
  const stateDir = await scope.tempDir();
  const fixed = {domain, stateDir, tcpPorts: [0, 0] as const, token: ''};
  const options = {now: before};
  const ear = new RelayEar();
  const relay = scope.own(
    await startRunningRelay(
      {...fixed, ...before},
      {
        listeners: [ear.listen],
        reread: async () => ({options: {...fixed, ...options.now}}),
      },
    ),
  );
  const caFile = relay.caFile ?? before.certFile ?? '';
  const agent: World['agent'] = async (key = newKey()) => {
    const {port} = relay.address;
    return (await RawAgent.begin(scope, {port, domain, caFile, key})).agent;
  };
  return {world: {scope, relay, ear, caFile, agent, patienceMs: 2_500}, options};
}

const control = (message: object) => {
  const body = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(10);
  head.writeUInt32BE(((frame.control << 24) | body.length) >>> 0);
  return Buffer.concat([head, body]);
};

async function bindName(agent: RawAgent, label: string | undefined, request = 1) {
  agent.bind({kind: 'tls', ...(label !== undefined && {name: label})}, request);
  return await Promise.race(
    ['bound', 'bind-refused'].map((type) => agent.controlMessage(type, (each) => each.request === request)),
  );
}

/** How many of these binds succeed. */
async function boundOf(agent: RawAgent, binds: number): Promise<number> {
  const answers = [];
  for (let request = 1; request <= binds; request += 1)
    answers.push(await bindName(agent, undefined, request));
  return answers.filter(({type}) => type === 'bound').length;
}

/** `reset`, or `open` after this time. */
async function fateOf(visitor: Socket, withinMs: number): Promise<string> {
  visitor.on('error', () => {});
  const end = new Promise<string>((resolve) => visitor.once('close', () => resolve('reset')));
  return await Promise.race([end, new Promise<string>((resolve) => setTimeout(resolve, withinMs, 'open'))]);
}

async function statusOf({scope, relay, caFile}: World): Promise<number> {
  const socket = connect({...relay.address, servername: domain, ca: await readFile(caFile)});
  scope.onEnd(() => void socket.destroy());
  await once(socket, 'secureConnect');
  const key = `${'A'.repeat(22)}==`;
  socket.end(
    `GET /agent HTTP/1.1\r\nHost: ${domain}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer wrong\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: tunl.v1\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  const [answer] = await once(socket, 'data');
  return Number(String(answer).split(' ')[1]);
}
