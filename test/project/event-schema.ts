// The schema of the `--json` events, which tests apply to the output of real commands. The compiler compares it with the
// types.

import * as v from 'valibot';
import type {VisitCode} from '../../src/lib/agent/stream-reasons.js';
import type {CliEvent} from '../../src/lib/cli/events.js';
import {type ErrorCode, isErrorCode} from '../../src/lib/core/errors.js';
import {isStreamCode} from '../../src/lib/protocol/wire.js';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const ms = v.pipe(v.number(), v.minValue(0));
const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));
const text = v.pipe(v.string(), v.nonEmpty());
const code = v.custom<ErrorCode>(isErrorCode, 'not a code of the table');
const address = v.strictObject({host: text, port});
const httpsUrl = v.pipe(v.string(), v.regex(/^https:\/\/[^/]+$/));
/** For commands with several targets. */
const tunnel = v.exactOptional(text);
const visitor = v.pipe(v.string(), v.regex(/^(\[[0-9a-f:.]+\]|[\d.]+):\d{1,5}$/));

const identity = {
  owner: v.exactOptional(text),
  tokenId: v.exactOptional(text),
  scopes: v.exactOptional(v.array(text)),
  expiresAt: v.exactOptional(v.pipe(v.string(), v.isoTimestamp())),
};

const date = v.pipe(v.string(), v.isoTimestamp());

const sandboxEnd = {
  reason: v.picklist(['exited', 'timeout', 'idle', 'oom', 'terminated', 'lost']),
  code: v.exactOptional(count),
  signal: v.exactOptional(text),
  detail: v.exactOptional(text),
  at: v.exactOptional(date),
};

const finding = v.strictObject({
  what: v.picklist(['memory', 'cpu', 'pids', 'disk', 'open-files', 'egress']),
  reality: v.picklist(['real', 'soft', 'none']),
  why: v.exactOptional(text),
  mend: v.exactOptional(text),
});

const link = {
  id: text,
  tunnel: text,
  link: text,
  visitor: text,
  createdAt: v.pipe(v.string(), v.isoTimestamp()),
  expiresAt: v.exactOptional(v.pipe(v.string(), v.isoTimestamp())),
  once: v.exactOptional(v.picklist(['unused', 'used'])),
};

export const eventSchemas = {
  ready: v.strictObject({
    type: v.literal('ready'),
    address: text,
    url: v.exactOptional(httpsUrl),
    link: v.exactOptional(text),
    open: v.exactOptional(v.boolean()),
    connect: v.exactOptional(v.boolean()),
    tls: v.exactOptional(address),
    nameUrl: v.exactOptional(text),
    tcp: v.exactOptional(address),
    upstream: v.pipe(v.string(), v.regex(/:\d{1,5}$|^unix:\/|^\/.*\/$/)),
    relay: v.strictObject({url: httpsUrl, embedded: v.boolean(), caFile: v.exactOptional(text)}),
    lan: v.exactOptional(v.strictObject({interface: text, others: v.array(text)})),
    h2: v.boolean(),
    probe: v.exactOptional(v.picklist(['passed', 'failed'])),
    program: v.exactOptional(text),
    login: v.exactOptional(v.record(v.string(), text)),
    expiresAt: v.exactOptional(v.pipe(v.string(), v.isoTimestamp())),
    id: v.exactOptional(text),
    tunnel,
  }),
  reconnecting: v.strictObject({
    type: v.literal('reconnecting'),
    state: v.picklist(['away', 'leaving', 'refused']),
    code,
    reason: text,
    attempt: v.pipe(count, v.minValue(1)),
    delayMs: ms,
    connections: count,
    keptForMs: ms,
  }),
  resumed: v.strictObject({type: v.literal('resumed'), awayMs: ms, resumed: count, lost: count}),
  probe: v.strictObject({
    type: v.literal('probe'),
    state: v.picklist(['passed', 'failed', 'off']),
    by: v.exactOptional(v.picklist(['agent', 'relay'])),
    durationMs: v.exactOptional(ms),
    leg: v.exactOptional(v.picklist(['dns', 'tcp', 'tls', 'session'])),
    code: v.exactOptional(code),
    reason: v.exactOptional(text),
    next: v.exactOptional(text),
    tunnel,
  }),
  connection: v.strictObject({
    type: v.literal('connection'),
    state: v.picklist(['open', 'closed', 'refused']),
    id: count,
    visitor,
    via: v.picklist(['tls', 'tcp']),
    bytesIn: count,
    bytesOut: count,
    durationMs: ms,
    code: v.exactOptional(v.custom<VisitCode>(isStreamCode, 'not a code of a stream')),
    reason: v.exactOptional(text),
    tunnel,
  }),
  upstream: v.strictObject({
    type: v.literal('upstream'),
    upstream: text,
    answers: v.boolean(),
    silentMs: v.exactOptional(ms),
    code: v.exactOptional(code),
    reason: v.exactOptional(text),
    tunnel,
  }),
  notice: v.strictObject({type: v.literal('notice'), code, message: text, tunnel}),
  draining: v.strictObject({type: v.literal('draining'), connections: count, timeoutMs: ms, tunnel}),
  exited: v.strictObject({
    type: v.literal('exited'),
    program: text,
    code: v.exactOptional(count),
    signal: v.exactOptional(text),
    exitCode: count,
  }),
  closed: v.strictObject({type: v.literal('closed'), connections: count, tunnel}),
  error: v.strictObject({type: v.literal('error'), code, message: text, next: text, exitCode: count, tunnel}),
  listening: v.strictObject({
    type: v.literal('listening'),
    url: httpsUrl,
    domain: text,
    address,
    http: v.exactOptional(address),
    metrics: v.exactOptional(address),
    caFile: v.exactOptional(text),
    tokenRequired: v.exactOptional(v.literal(true)),
    tokenFile: v.exactOptional(text),
    id: v.exactOptional(text),
  }),
  stopped: v.strictObject({type: v.literal('stopped')}),
  certificate: v.strictObject({type: v.literal('certificate'), caFile: text, instructions: text}),
  mistake: v.strictObject({
    type: v.literal('mistake'),
    file: text,
    line: v.exactOptional(v.pipe(count, v.minValue(1))),
    column: v.exactOptional(v.pipe(count, v.minValue(1))),
    code,
    message: text,
    next: text,
  }),
  checked: v.strictObject({type: v.literal('checked'), file: text}),
  setting: v.strictObject({
    type: v.literal('setting'),
    name: text,
    value: v.nullable(v.union([v.string(), v.array(text)])),
    secret: v.exactOptional(v.picklist(['given', 'missing'])),
    source: v.exactOptional(v.picklist(['flag', 'environment', 'file', 'default'])),
    from: v.exactOptional(text),
  }),
  tunnel: v.strictObject({
    type: v.literal('tunnel'),
    state: v.picklist(['running', 'ended']),
    id: text,
    address: text,
    command: text,
    pid: count,
    startedAt: v.pipe(v.string(), v.isoTimestamp()),
    tunnels: v.exactOptional(v.array(v.strictObject({tunnel: text, address: text, upstream: text}))),
    foreground: v.exactOptional(v.literal(true)),
    expiresAt: v.exactOptional(v.pipe(v.string(), v.isoTimestamp())),
    status: v.exactOptional(
      v.strictObject({
        link: v.picklist(['up', 'away', 'leaving', 'refused', 'closing']),
        upstream: v.exactOptional(text),
        visitors: v.strictObject({open: count, total: v.exactOptional(count)}),
        reach: v.exactOptional(v.picklist(['passed', 'failed', 'checking'])),
        bytesIn: v.exactOptional(count),
        bytesOut: v.exactOptional(count),
        lastTrafficAt: v.exactOptional(v.pipe(v.string(), v.isoTimestamp())),
      }),
    ),
    end: v.exactOptional(
      v.strictObject({
        why: v.picklist(['stopped', 'expired', 'idle', 'exited', 'failed', 'left', 'unknown']),
        at: v.exactOptional(v.pipe(v.string(), v.isoTimestamp())),
        durationMs: v.exactOptional(ms),
        code: v.exactOptional(code),
        message: v.exactOptional(text),
        exitCode: v.exactOptional(count),
      }),
    ),
  }),
  log: v.strictObject({type: v.literal('log'), id: text, line: v.string()}),
  extended: v.strictObject({
    type: v.literal('extended'),
    id: text,
    address: text,
    expiresAt: v.pipe(v.string(), v.isoTimestamp()),
  }),
  added: v.strictObject({
    type: v.literal('added'),
    id: text,
    tunnel: text,
    address: text,
    upstream: text,
  }),
  shared: v.strictObject({type: v.literal('shared'), ...link, url: text}),
  link: v.strictObject({type: v.literal('link'), ...link}),
  revoked: v.strictObject({type: v.literal('revoked'), ...link}),
  access: v.strictObject({
    type: v.literal('access'),
    id: text,
    tunnel: text,
    allow: v.array(text),
    deny: v.array(text),
  }),
  removed: v.strictObject({type: v.literal('removed'), id: text, tunnel: text, address: text}),
  ended: v.strictObject({type: v.literal('ended'), id: text, address: text}),
  device: v.strictObject({
    type: v.literal('device'),
    url: text,
    code: text,
    completeUrl: v.exactOptional(text),
    expiresAt: v.pipe(v.string(), v.isoTimestamp()),
  }),
  login: v.strictObject({type: v.literal('login'), context: text, relay: httpsUrl, ...identity}),
  identity: v.strictObject({
    type: v.literal('identity'),
    relay: httpsUrl,
    context: v.exactOptional(text),
    ...identity,
  }),
  logout: v.strictObject({type: v.literal('logout'), context: text, relay: httpsUrl, told: v.boolean()}),
  context: v.strictObject({
    type: v.literal('context'),
    state: v.picklist(['stored', 'removed']),
    context: text,
    relay: v.exactOptional(httpsUrl),
    current: v.boolean(),
    loggedIn: v.boolean(),
    expiresAt: v.exactOptional(v.pipe(v.string(), v.isoTimestamp())),
  }),
  relay: v.strictObject({
    type: v.literal('relay'),
    url: httpsUrl,
    domain: text,
    software: text,
    pid: count,
    state: v.picklist(['running', 'draining']),
    startedAt: v.pipe(v.string(), v.isoTimestamp()),
    workers: v.array(count),
    certificate: v.strictObject({
      kind: v.picklist(['given', 'own-ca']),
      expiresAt: v.pipe(v.string(), v.isoTimestamp()),
    }),
    counts: v.strictObject({
      agents: count,
      agentsAway: count,
      tunnels: count,
      visitors: count,
      visitorsTotal: count,
      bytesIn: count,
      bytesOut: count,
      pending: count,
      memoryBytes: count,
      cpuSeconds: ms,
    }),
    refusals: v.record(text, count),
    blocked: count,
    probe: v.exactOptional(
      v.strictObject({
        ok: v.boolean(),
        leg: v.exactOptional(text),
        reason: v.exactOptional(text),
        at: v.pipe(v.string(), v.isoTimestamp()),
      }),
    ),
  }),
  session: v.strictObject({
    type: v.literal('session'),
    session: text,
    owner: text,
    tokenId: v.exactOptional(text),
    from: text,
    software: v.string(),
    forMs: ms,
    awayMs: v.exactOptional(ms),
    tunnels: v.array(
      v.strictObject({
        key: text,
        address: text,
        forMs: ms,
        visitors: count,
        visitorsTotal: count,
        bytesIn: count,
        bytesOut: count,
      }),
    ),
    worker: v.exactOptional(count),
  }),
  kicked: v.strictObject({
    type: v.literal('kicked'),
    what: v.picklist(['session', 'owner', 'name']),
    subject: text,
    ended: count,
  }),
  blocked: v.strictObject({
    type: v.literal('blocked'),
    state: v.picklist(['added', 'removed', 'listed']),
    what: v.picklist(['name', 'address', 'owner']),
    subject: text,
    since: v.exactOptional(v.pipe(v.string(), v.isoTimestamp())),
    ended: v.exactOptional(count),
  }),
  drains: v.strictObject({type: v.literal('drains'), pid: count, connections: count}),
  reloaded: v.strictObject({
    type: v.literal('reloaded'),
    changed: v.array(text),
    needRestart: v.array(text),
  }),
  token: v.strictObject({
    type: v.literal('token'),
    state: v.picklist(['created', 'rotated', 'changed', 'ended', 'active', 'expired', 'revoked']),
    id: text,
    name: text,
    owner: text,
    scopes: v.array(text),
    limits: v.strictObject({
      maxTunnels: v.exactOptional(count),
      maxConnections: v.exactOptional(count),
      connectionsPerSecond: v.exactOptional(count),
      bytesPerSecond: v.exactOptional(count),
      maxStreams: v.exactOptional(count),
    }),
    createdAt: v.pipe(v.string(), v.isoTimestamp()),
    expiresAt: v.exactOptional(v.pipe(v.string(), v.isoTimestamp())),
    revokedAt: v.exactOptional(v.pipe(v.string(), v.isoTimestamp())),
    usedAt: v.exactOptional(v.pipe(v.string(), v.isoTimestamp())),
    token: v.exactOptional(text),
  }),
  started: v.strictObject({
    type: v.literal('started'),
    id: text,
    name: v.exactOptional(text),
    backend: text,
    limits: v.array(text),
    unreal: v.array(text),
    egress: v.array(text),
    stopsAt: v.exactOptional(date),
    detached: v.exactOptional(v.literal(true)),
  }),
  sandbox: v.strictObject({
    type: v.literal('sandbox'),
    id: text,
    name: v.exactOptional(text),
    state: v.picklist(['creating', 'running', 'ready', 'stopping', 'ended']),
    backend: v.exactOptional(text),
    command: v.array(v.string()),
    pid: count,
    createdAt: date,
    stopsAt: v.exactOptional(date),
    ports: v.array(v.strictObject({port, address: text})),
    egress: v.exactOptional(v.array(text)),
    unreal: v.array(text),
    activity: v.exactOptional(v.strictObject({source: text, at: date})),
    end: v.exactOptional(v.strictObject(sandboxEnd)),
  }),
  port: v.strictObject({
    type: v.literal('port'),
    id: text,
    port,
    address: text,
    url: v.exactOptional(text),
    tls: v.exactOptional(address),
    tcp: v.exactOptional(address),
  }),
  output: v.strictObject({
    type: v.literal('output'),
    id: text,
    from: v.picklist(['stdout', 'stderr']),
    text,
  }),
  exit: v.strictObject({
    type: v.literal('exit'),
    id: text,
    code: v.exactOptional(count),
    signal: v.exactOptional(text),
    timedOut: v.exactOptional(v.boolean()),
    exitCode: count,
  }),
  finished: v.strictObject({type: v.literal('finished'), id: text, ...sandboxEnd}),
  prolonged: v.strictObject({type: v.literal('prolonged'), id: text, stopsAt: v.exactOptional(date)}),
  egress: v.strictObject({type: v.literal('egress'), id: text, egress: v.array(text)}),
  copied: v.strictObject({
    type: v.literal('copied'),
    id: text,
    from: text,
    to: text,
    files: count,
    bytes: count,
  }),
  backend: v.strictObject({
    type: v.literal('backend'),
    name: text,
    available: v.boolean(),
    version: v.exactOptional(text),
    why: v.exactOptional(text),
    mend: v.exactOptional(text),
    findings: v.array(finding),
    notes: v.array(text),
  }),
};

type Schemas = typeof eventSchemas;
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** `Extract` for one member, without intersections and `readonly`, so that only the fields matter. */
type Fields<T> = T extends object ? {-readonly [K in keyof T]: Fields<T[K]>} : T;
type Agreement = {
  [K in CliEvent['type']]: Same<
    Fields<Extract<CliEvent, {type: K}>>,
    K extends keyof Schemas ? Fields<v.InferOutput<Schemas[K]>> : never
  >;
};

/** Does not compile when a field, its type or its optionality differs between the events and the schema. */
export const agreement: {[K in keyof Agreement]: true} & {[K in keyof Schemas]: true} = {
  ready: true,
  reconnecting: true,
  resumed: true,
  probe: true,
  connection: true,
  upstream: true,
  notice: true,
  draining: true,
  exited: true,
  closed: true,
  error: true,
  listening: true,
  stopped: true,
  certificate: true,
  mistake: true,
  checked: true,
  setting: true,
  tunnel: true,
  log: true,
  extended: true,
  added: true,
  removed: true,
  shared: true,
  link: true,
  revoked: true,
  access: true,
  ended: true,
  device: true,
  login: true,
  identity: true,
  logout: true,
  context: true,
  relay: true,
  session: true,
  kicked: true,
  blocked: true,
  drains: true,
  reloaded: true,
  token: true,
  started: true,
  sandbox: true,
  port: true,
  output: true,
  exit: true,
  finished: true,
  prolonged: true,
  egress: true,
  copied: true,
  backend: true,
} satisfies Agreement;

const eventSchema = v.variant(
  'type',
  Object.values(eventSchemas) as [Schemas['ready'], ...Schemas[keyof Schemas][]],
);

/** The event of one line of output; throws with the field that is wrong. */
export function parseEvent(line: string): CliEvent {
  const result = v.safeParse(eventSchema, JSON.parse(line));
  if (result.success) return result.output as CliEvent;
  throw new Error(`${v.summarize(result.issues)}\nin ${line}`);
}
