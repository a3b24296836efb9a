// A row for every error code: who can provoke it, and whether it ends an agent that serves. Codes that visitors, strangers or
// the network can provoke never do.

import {describe, expect, test} from 'vitest';
import {Agent} from '../../../src/lib/agent/agent.js';
import {answerError} from '../../../src/lib/carrier/dial-errors.js';
import {ERRORS, type ErrorCode, TunlError} from '../../../src/lib/core/errors.js';
import {createLogger} from '../../../src/lib/core/logger.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {KIND, VIOLATION_CODES} from '../../../src/lib/protocol/wire.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {ScriptedRelay} from '../../helpers/scripted-relay.js';

/** Where an agent that serves meets a code. */
const WAYS = {
  /** An attempt fails with the code; no certificate was verified. */
  dial: (relay: ScriptedRelay, code: ErrorCode) => {
    relay.dials.push(() => Promise.reject(new TunlError(code)));
    relay.cut();
  },
  /** The relay answers the upgrade with the code, in its JSON, under its certificate. */
  answer: (relay: ScriptedRelay, code: ErrorCode) => {
    const body = JSON.stringify({error: {code, message: 'told so'}});
    const headers = {'content-type': 'application/json'};
    const peer = {kind: 'relay', label: 'r1.test:443'} as const;
    relay.dials.push(() => Promise.reject(answerError(peer, 403, headers, body)));
    relay.cut();
  },
  /** The relay refuses the hello with the code. */
  refused: (relay: ScriptedRelay, code: ErrorCode) => {
    relay.refusals.push(code);
    relay.cut();
  },
  /** The relay ends the session with the code. */
  close: (relay: ScriptedRelay, code: ErrorCode) => relay.session?.close(code, 'told so'),
  /** A new session asks for the tunnel, and the relay refuses it with the code. */
  bind: (relay: ScriptedRelay, code: ErrorCode) => {
    relay.bindRefusals.push(code);
    relay.session?.close('RELAY_LOST', 'told so');
  },
  /** The relay takes the tunnel back with the code. */
  unbound: (relay: ScriptedRelay, code: ErrorCode) =>
    relay.session?.sendControl({type: 'unbound', tunnel: 1, code, message: 'told so'}),
} as const;

type Way = keyof typeof WAYS;

/**
 * `owner`: another agent of the same owner. `other`: another owner, after the lease has expired. `peer`: a relay with a
 * fault.
 */
type Provoker = 'user' | 'relay owner' | 'owner' | 'other' | 'peer' | 'network' | 'visitor' | 'stranger';

const row = (by: Provoker[], ends: Way[] = []) => ({by, ends});
/** Only on this machine: no relay sends it, except one with a fault. */
const local = row(['user', 'peer']);
const broken = row(['peer', 'visitor', 'network']);
const network = row(['network', 'stranger', 'visitor']);
/** A refusal of the token by the relay is final wherever it comes. */
const token = row(['relay owner'], ['answer', 'refused', 'close', 'bind', 'unbound']);
const offer = row(['relay owner'], ['bind', 'unbound']);

/** A code without a row does not compile. */
const TABLE = {
  USAGE: local,
  PORT_INVALID: local,
  PORT_RANGE: local,
  TARGET_INVALID: local,
  SOCKET_INVALID: local,
  H2_WITH_TCP: local,
  GATE_WITH_TCP: local,
  NOT_PRIVATE: local,
  LINK_UNKNOWN: local,
  LINK_INVALID: local,
  LINKS_TOO_MANY: local,
  PORT_FORWARDED_TWICE: local,
  NO_TCP_SOCKET: local,
  NAME_INVALID: offer,
  NAME_RESERVED: offer,
  OPTION_INVALID: local,
  RELAY_URL_INVALID: local,
  RELAY_NEEDED: local,
  CONTEXT_UNKNOWN: local,
  RELAY_NAME_UNKNOWN: network,
  RELAY_REFUSED: network,
  RELAY_TIMEOUT: network,
  RELAY_LOST: network,
  RELAY_CERTIFICATE: network,
  RELAY_NOT_TUNL: network,
  RELAY_LEAVING: row(['relay owner']),
  SUCCESSOR_REFUSED: row(['relay owner', 'stranger']),
  RELAY_BUSY: network,
  PROXY_FAILED: network,
  RELAY_TOO_OLD: row(['relay owner'], ['answer', 'refused']),
  RELAY_LACKS_FEATURE: local,
  RELAY_TOO_NEW: row(['relay owner'], ['answer', 'refused']),
  TOKEN_MISSING: token,
  TOKEN_WRONG: token,
  TOKEN_REVOKED: token,
  TOKEN_EXPIRED: token,
  NOT_ALLOWED: offer,
  LOGIN_FAILED: local,
  ISSUER_FAILED: local,
  KICKED: token,
  BLOCKED: token,
  RELAY_NOT_RUNNING: local,
  RELAYS_SEVERAL: local,
  NOT_CONNECTED: local,
  NAME_TAKEN: row(['other'], ['bind', 'unbound']),
  PORT_TAKEN: row(['other'], ['bind', 'unbound']),
  PORT_NOT_OFFERED: offer,
  NO_FREE_PORT: row(['owner', 'other']),
  H2_NOT_OFFERED: offer,
  TCP_NOT_OFFERED: offer,
  TOO_MANY_TUNNELS: row(['owner', 'network']),
  LIMIT_REACHED: row(['owner', 'relay owner']),
  TAKEN_OVER: row(['owner'], ['answer', 'refused', 'close', 'bind', 'unbound']),
  BIND_REFUSED: row(['peer', 'stranger']),
  NETWORK_INVALID: local,
  NETWORK_FULL: local,
  MEMBER_NAME_USED: local,
  MEMBER_REPLACED: local,
  MEMBER_UNKNOWN: local,
  MEMBER_UNPROVEN: local,
  MEMBER_UNREACHABLE: local,
  MEMBER_UDP: local,
  UPSTREAM_REFUSED: row(['user', 'visitor']),
  EGRESS_UNKNOWN: local,
  EGRESS_FORBIDDEN: local,
  EGRESS_UNREACHABLE: local,
  EGRESS_UDP: local,
  EGRESS_LOCAL: local,
  UPSTREAM_CERTIFICATE: row(['user', 'visitor', 'network']),
  UPSTREAM_TLS: row(['user', 'visitor', 'network']),
  CERTIFICATE_REFUSED: row(['visitor']),
  HOST_REFUSED: row(['user', 'visitor']),
  UPSTREAM_PROTOCOL: row(['user', 'visitor']),
  VISITOR_NEEDS_H2: row(['visitor']),
  VISITOR_NEEDS_HTTP1: row(['visitor']),
  ADDRESS_REFUSED: local,
  PROBE_DNS: network,
  PROBE_TCP: network,
  PROBE_TLS: network,
  PROBE_SESSION: network,
  TUNNEL_UNKNOWN: row(['visitor', 'network']),
  BACKGROUND_UNKNOWN: local,
  BACKGROUND_STUCK: local,
  BACKGROUND_SILENT: local,
  BACKGROUND_NAME_UNKNOWN: local,
  BACKGROUND_NAME_USED: local,
  BACKGROUND_KEPT: local,
  CONFIG_SYNTAX: local,
  CONFIG_KEY: local,
  CONFIG_VALUE: local,
  CONFIG_SECRET: local,
  CONFIG_INVALID: local,
  FILE_UNREADABLE: local,
  STDOUT_FAILED: local,
  TOKEN_FILE_EMPTY: local,
  TOKENS_UNREADABLE: local,
  TOKEN_UNKNOWN: local,
  PASSWORD_FILE_EMPTY: local,
  CERTIFICATE_INVALID: local,
  KEY_MISMATCH: local,
  STATE_DIR: local,
  EGRESS_ADDRESS: local,
  LISTEN_IN_USE: local,
  LISTEN_FORBIDDEN: local,
  LISTEN_FAILED: local,
  LAN_ADDRESS_MISSING: row(['user']),
  LAN_WITH_RELAY: row(['user']),
  LAN_WITH_TCP: row(['user']),
  TOKEN_NEEDED: local,
  PROGRAM_MISSING: local,
  PROGRAM_TOO_OLD: local,
  PROGRAM_CONFIG: local,
  PROGRAM_DIED: local,
  PROGRAM_BACKGROUND: local,
  PROGRAM_NOT_READY: local,
  PROGRAM_OTHER_PORT: local,
  PROGRAM_PORT_TAKEN: local,
  FOLDER_MISSING: local,
  FOLDER_INVALID: local,
  KEY_INVALID: local,
  KEY_PRIVATE: local,
  KEY_SOURCE: local,
  ACCOUNT_LOCKED: local,
  HUB_SESSION_UNKNOWN: local,
  HUB_TEMPLATE_UNKNOWN: local,
  HUB_USER_UNKNOWN: local,
  HUB_NAME_USED: local,
  HUB_QUOTA: local,
  HUB_FULL: local,
  HUB_NOT_READY: local,
  HUB_FAILED: local,
  HUB_RUNS: local,
  HUB_AWAY: local,
  HUB_HOME: local,
  SANDBOX_BACKEND: local,
  SANDBOX_LIMIT: local,
  SANDBOX_EGRESS: local,
  CLUSTER_INVALID: local,
  CLUSTER_UNAVAILABLE: local,
  CLUSTER_INCOMPLETE: local,
  CLUSTER_LOST: local,
  SEAL_UNAVAILABLE: local,
  SEAL_LOST: local,
  SANDBOX_FAILED: local,
  SANDBOX_COMMAND: local,
  SANDBOX_ENDED: local,
  SANDBOX_UNKNOWN: local,
  SANDBOX_NAME_USED: local,
  SANDBOX_SILENT: local,
  SANDBOX_FILE: local,
  SANDBOX_TUNNELS: local,
  SANDBOX_IMAGE: local,
  EGRESS_INVALID: local,
  PROTOCOL: broken,
  ACK_RANGE: broken,
  ACK_OVERDUE: broken,
  STREAM_REUSED: broken,
  STREAM_UNKNOWN: broken,
  STREAM_STATE: broken,
  WINDOW_EXCEEDED: broken,
  CREDIT_RANGE: broken,
  PEER_NOT_READING: broken,
  SESSION_UNKNOWN: network,
  SESSION_PROOF: broken,
  SESSION_STALE: network,
  SESSION_RANGE: broken,
  RESUME_EXPIRED: network,
  CLOSED: row(['relay owner', 'peer']),
  ABORTED: local,
  UNEXPECTED: broken,
} satisfies Record<ErrorCode, {by: Provoker[]; ends: Way[]}>;

const turns = async (count: number) => {
  for (let i = 0; i < count; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

const takesAll = {
  onVisitor: (stream: Stream) => stream.accept(),
};

/** An agent that serves, and its events. */
async function serving(
  owner: {onVisitor: (stream: Stream) => void} = takesAll,
  options: {maxRetryTimeMs?: number} = {},
) {
  const clock = new ManualClock();
  const relay = new ScriptedRelay(clock);
  const heard: string[] = [];
  let end: ErrorCode | 'closed' | undefined;
  const agent = new Agent({
    software: 'agent',
    pool: new BlockPool(),
    log: createLogger('test', undefined),
    clock,
    ...options,
    dial: relay.dial,
    events: {
      onReconnecting: ({state, error}) => heard.push(`${state} ${error.code}`),
      onResumed: () => heard.push('resumed'),
      onNotice: () => {},
      onEnded: (error) => {
        end ??= error?.code ?? 'closed';
      },
    },
  });
  await agent.start();
  const onLost = (error: TunlError) => {
    end ??= error.code;
  };
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, {...owner, onLost});
  /** Time passes until `holds`, at most a minute. */
  const until = async (holds: () => boolean) => {
    for (let i = 0; i < 240 && !holds(); i += 1) {
      await turns(3);
      clock.advance(250);
    }
  };
  return {
    agent,
    relay,
    clock,
    heard,
    until,
    end: () => end,
    /** Resolves when the tunnel is bound again, or the agent has ended. */
    outcome: async () => {
      await until(() => relay.bound === 2 || end !== undefined);
      return end ?? (relay.bound === 2 ? 'serves' : 'neither');
    },
  };
}

test('the table has all codes, and no others', () => {
  expect(Object.keys(TABLE)).toEqual(Object.keys(ERRORS));
});

const OTHERS: readonly Provoker[] = ['peer', 'network', 'visitor', 'stranger'];

test('codes that visitors, strangers, the network or a broken peer can provoke end no agent', () => {
  const fatal = Object.entries(TABLE).filter(
    ([, {by, ends}]) => by.some((each) => OTHERS.includes(each)) && ends.length > 0,
  );
  expect(fatal).toEqual([]);
});

describe.each(Object.keys(WAYS) as Way[])('from %s', (way) => {
  test.each(Object.keys(TABLE) as ErrorCode[])('%s', async (code) => {
    const {agent, relay, heard, outcome} = await serving();
    WAYS[way](relay, code);
    const isFinal = (TABLE[code].ends as Way[]).includes(way);
    expect(await outcome()).toBe(isFinal ? code : 'serves');
    // The agent has reported that visitors cannot come, why, and that they can again.
    if (!isFinal) {
      expect(heard.length).toBeGreaterThan(1);
      expect(heard.at(-1)).toBe('resumed');
      if (way === 'dial') expect(heard.some((each) => each.endsWith(code))).toBe(!startsAfresh(code));
    }
    agent.close();
  });
});

/** Answers to a resume after which the agent asks for a new session at once. */
const startsAfresh = (code: ErrorCode) =>
  ['SESSION_UNKNOWN', 'SESSION_PROOF', 'SESSION_STALE', 'SESSION_RANGE'].includes(code);

describe('a session that breaks', () => {
  test('by a control message that cannot be read', async () => {
    const {agent, relay, heard, outcome} = await serving();
    relay.session?.sendControl({type: 'nonsense'});
    expect(await outcome()).toBe('serves');
    expect(heard).toEqual(['away PROTOCOL', 'resumed']);
    agent.close();
  });

  test('by a link message that is not allowed there', async () => {
    const {agent, relay, heard, outcome} = await serving();
    relay.session?.link?.sendMessage({type: 'refused', code: 'TOKEN_WRONG', message: 'too late'});
    expect(await outcome()).toBe('serves');
    expect(heard).toEqual(['away PROTOCOL', 'resumed']);
    agent.close();
  });

  test('by a fault of this end: the relay is told, and drops the session', async () => {
    const {agent, relay, heard, outcome} = await serving({
      onVisitor: () => {
        throw new Error('a bug');
      },
    });
    const {session} = relay;
    session?.open(KIND.visitor, {tunnel: 1, via: 'tls', address: '192.0.2.1', port: 1});
    expect(await outcome()).toBe('serves');
    expect(session?.ended).toBe(true);
    expect(heard).toEqual(['away UNEXPECTED', 'resumed']);
    agent.close();
  });

  test.each(VIOLATION_CODES)('again and again by %s: the agent takes its time', async (code) => {
    const {agent, relay, clock, until, end} = await serving();
    relay.onSession = (session) => setImmediate(() => session.close(code, 'told so'));
    relay.session?.close(code, 'told so');
    await until(() => false);
    expect(clock.now()).toBeGreaterThanOrEqual(60_000);
    expect(end()).toBeUndefined();
    // Waits double up to 20 s: on average a dozen attempts in a minute.
    expect(relay.dialled).toBeLessThan(40);
    agent.close();
  });
});

describe('a tunnel that is temporarily refused', () => {
  test('is requested again until it is granted, and both events come', async () => {
    const {agent, relay, heard, outcome} = await serving();
    relay.bindRefusals.push('NO_FREE_PORT', 'A_CODE_OF_TOMORROW');
    relay.session?.close('RELAY_LOST', 'told so');
    expect(await outcome()).toBe('serves');
    expect(heard).toEqual([
      'away RELAY_LOST',
      'resumed',
      'refused NO_FREE_PORT',
      'refused BIND_REFUSED',
      'resumed',
    ]);
    agent.close();
  });

  test('is given up after the limit for a lost link', async () => {
    const {agent, relay, clock, outcome} = await serving(takesAll, {maxRetryTimeMs: 30_000});
    relay.bindRefusals.push(...Array<string>(100).fill('BIND_REFUSED'));
    const since = clock.now();
    relay.session?.close('RELAY_LOST', 'told so');
    expect(await outcome()).toBe('RELAY_LOST');
    expect(clock.now() - since).toBeGreaterThanOrEqual(30_000);
    expect(clock.now() - since).toBeLessThan(40_000);
    agent.close();
  });

  test('is given up after that limit also when sessions break meanwhile', async () => {
    const {agent, relay, clock, until, end} = await serving(takesAll, {maxRetryTimeMs: 30_000});
    relay.bindRefusals.push(...Array<string>(100).fill('BIND_REFUSED'));
    const since = clock.now();
    let sessions = 0;
    relay.onSession = () => {
      sessions += 1;
    };
    for (let breaks = 1; breaks <= 4; breaks += 1) {
      relay.session?.close('RELAY_LOST', 'told so');
      await until(() => sessions === breaks);
      const next = clock.now() + 5_000;
      await until(() => clock.now() >= next);
    }
    await until(() => end() !== undefined);
    expect(end()).toBe('RELAY_LOST');
    expect(clock.now() - since).toBeLessThan(45_000);
    agent.close();
  });

  test('is forgotten with its session: the next one asks for all tunnels', async () => {
    const {agent, relay, clock, outcome, until, heard} = await serving();
    relay.bindRefusals.push('BIND_REFUSED');
    relay.session?.close('RELAY_LOST', 'told so');
    await until(() => heard.includes('refused BIND_REFUSED'));
    relay.session?.close('RELAY_LOST', 'told so');
    expect(await outcome()).toBe('serves');
    clock.advance(60_000);
    await turns(5);
    expect(relay.bound).toBe(2);
    agent.close();
  });
});

describe('before the first tunnel was bound', () => {
  test('an invalid answer is final', async () => {
    const relay = new ScriptedRelay();
    relay.dials.push(() => Promise.reject(new TunlError('RELAY_NOT_TUNL')));
    const ended = Promise.withResolvers<TunlError | undefined>();
    const agent = new Agent({
      software: 'agent',
      pool: new BlockPool(),
      log: createLogger('test', undefined),
      wait: true,
      dial: relay.dial,
      events: {onReconnecting: () => {}, onResumed: () => {}, onNotice: () => {}, onEnded: ended.resolve},
    });
    await expect(agent.start()).rejects.toMatchObject({code: 'RELAY_NOT_TUNL'});
    expect(await ended.promise).toMatchObject({code: 'RELAY_NOT_TUNL'});
  });

  test('a tunnel that is refused is not asked for again', async () => {
    const relay = new ScriptedRelay();
    relay.bindRefusals.push('NO_FREE_PORT');
    const agent = new Agent({
      software: 'agent',
      pool: new BlockPool(),
      log: createLogger('test', undefined),
      dial: relay.dial,
      events: {onReconnecting: () => {}, onResumed: () => {}, onNotice: () => {}, onEnded: () => {}},
    });
    await agent.start();
    const asked = agent.bind({kind: 'tls', h2: false}, {...takesAll, onLost: () => {}});
    await expect(asked).rejects.toMatchObject({code: 'NO_FREE_PORT'});
    agent.close();
  });
});
