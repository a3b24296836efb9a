// The settings of a relay, each declared once: `startRelay` checks and completes its options with this table, and `tunl relay
// start` makes its flags from it. docs/decisions/0028-one-table-of-settings.md says how to add a setting.

import {relayOrigin} from '../carrier/relay-url.js';
import {TunlError} from '../core/errors.js';
import {file, list, onOff, setting, size, text, wholeNumber, wholeTime} from '../core/settings.js';
import {stateDir} from '../core/state-dir.js';
import {KEEP_ALIVE_MS} from '../net/keep-alive.js';
import {MAX_RELAYS} from '../protocol/link-messages.js';
import {host, listenPlace, port, ports} from '../protocol/setting-kinds.js';
import {ABUSE_SETTINGS} from './abuse-settings.js';
import {OIDC_SETTINGS} from './access/oidc-settings.js';
import {trustedSources} from './doors/trusted.js';
import {EGRESS_SETTINGS} from './egress/egress-settings.js';
import {MAX_LEASES} from './leases/lease-store.js';
import {LIMIT_SETTINGS} from './limits/limit-settings.js';

const LONGEST_RESUME_WINDOW_MS = 600_000;
const MONTH_MS = 30 * 86_400_000;
/** Two hours, the system's own default. */
const LONGEST_KEEP_ALIVE_MS = 7_200_000;
/** A name has at most 253 characters (RFC 1035 §2.3.4): the longest label and its dot come before the domain. */
const MAX_DOMAIN = 253 - 64;

/** Each has a share of the memory. */
export const MOST_WORKERS = 64;

const FILES = 'certificate and token';
const TIMES = 'time';
const LIMITS = 'limit';

const source = text('RANGE', (range) => {
  trustedSources([range]);
  return range;
});

/** In the order of the help. */
export const RELAY_SETTINGS = {
  domain: setting(text('NAME', domainName), {
    default: 'tunl.localhost',
    flag: 'domain',
    help: 'The relay’s name; tunnels get names below it.',
  }),
  listen: setting(listenPlace, {
    default: '127.0.0.1:0',
    defaultText: '127.0.0.1, a free port',
    flag: 'listen',
    help: 'Where agents and visitors connect.',
  }),
  listenHttp: setting(listenPlace, {
    defaultText: 'nowhere',
    flag: 'listen-http',
    help: 'Where plain HTTP is redirected to HTTPS.',
  }),
  publicPort: setting(port, {
    flag: 'public-port',
    help: 'The port in public addresses, if it is forwarded.',
  }),
  tcpPorts: setting(ports, {
    defaultText: 'none',
    flag: 'tcp-ports',
    help: 'Ports for --tcp tunnels, like 20000-20999; 0: any.',
  }),
  tcpHost: setting(host('OPTION_INVALID'), {
    defaultText: 'that of --listen',
    flag: 'tcp-host',
    help: 'Address that --tcp tunnels listen on.',
  }),
  tcpPublicHost: setting(host('OPTION_INVALID'), {}),
  successors: setting(list(text('URL', relayOrigin), {most: MAX_RELAYS}), {
    default: [],
    defaultText: 'they come back',
    flag: 'successor',
    help: 'Where agents go when this relay drains; repeatable.',
    reloads: true,
  }),
  reusePort: setting(onOff, {
    default: false,
    flag: 'reuse-port',
    help: 'Let the next relay process listen before this one ends.',
  }),
  metricsListen: setting(listenPlace, {
    defaultText: 'nowhere',
    flag: 'metrics-listen',
    help: 'Where metrics, health and the page for operators are.',
  }),
  metricsHosts: setting(list(host('OPTION_INVALID', 'NAME')), {
    default: [],
    key: 'metrics-host',
    help: 'Names under which others ask --metrics-listen.',
  }),
  auditFile: setting(file, {
    flag: 'audit-file',
    help: 'Who logs in, binds and is refused: one JSON line each.',
  }),
  /** The admin socket in the state folder, and the list of what is blocked. `tunl relay start` has them. */
  admin: setting(onOff, {default: false}),
  workers: setting(wholeNumber({min: 1, max: MOST_WORKERS}), {
    default: 1,
    flag: 'workers',
    help: 'Processes that serve tunnels, to use several cores.',
  }),
  trustedSources: setting(list(source), {
    default: [],
    flag: 'trusted-source',
    help: 'Addresses without limits, such as 10.0.0.0/8 of a load balancer or gateway; repeatable.',
    reloads: true,
  }),
  probe: setting(onOff, {
    default: true,
    flag: 'no-probe',
    key: 'probe',
    help: 'Visit an own tunnel through the public name every 30 s.',
    off: 'Do not visit an own tunnel through the public name.',
  }),
  token: setting(text('TOKEN'), {
    env: 'TUNL_TOKEN',
    envUnless: 'tokenFile',
    secretIn: 'tokenFile',
    reloads: true,
  }),
  tokenFile: setting(file, {
    flag: 'token-file',
    help: 'The token agents must show; safer here than in TUNL_TOKEN.',
    group: FILES,
    reloads: true,
  }),
  certFile: setting(file, {
    defaultText: 'a private CA',
    flag: 'cert-file',
    help: 'PEM certificate for NAME and *.NAME.',
    group: FILES,
    reloads: areGiven,
  }),
  keyFile: setting(file, {
    flag: 'key-file',
    help: 'The private key of the certificate.',
    group: FILES,
    reloads: areGiven,
  }),
  sharedH2: setting(onOff, {
    default: false,
    flag: 'shared-h2',
    help: 'Offer h2 although all names share the certificate.',
    group: FILES,
  }),
  ...OIDC_SETTINGS,
  resumeWindowMs: setting(wholeTime({maxMs: LONGEST_RESUME_WINDOW_MS}), {
    default: 600_000,
    flag: 'resume-window',
    help: 'How long open connections wait for a lost link.',
    group: TIMES,
    reloads: true,
  }),
  visitorWaitMs: setting(wholeTime({maxMs: LONGEST_RESUME_WINDOW_MS}), {
    default: 20_000,
    flag: 'visitor-wait',
    help: 'How long a new visitor waits for a lost link.',
    group: TIMES,
    reloads: true,
  }),
  leaseGraceMs: setting(wholeTime({maxMs: MONTH_MS}), {
    default: 600_000,
    flag: 'lease-grace',
    help: 'How long an owner keeps a name without an agent.',
    group: TIMES,
    reloads: true,
  }),
  keepAliveMs: setting(wholeTime({minMs: 1_000, maxMs: LONGEST_KEEP_ALIVE_MS, orZero: true}), {
    default: KEEP_ALIVE_MS,
    flag: 'keep-alive',
    help: 'Probe a visitor after this time of silence.',
    group: TIMES,
    reloads: true,
  }),
  visitorIdleTimeoutMs: setting(wholeTime({minMs: 1_000, maxMs: MONTH_MS}), {
    defaultText: 'never',
    flag: 'visitor-idle-timeout',
    help: 'Reset a visitor that moves no byte for this time.',
    group: TIMES,
    reloads: true,
  }),
  ...LIMIT_SETTINGS,
  ...ABUSE_SETTINGS,
  ...EGRESS_SETTINGS,
  keepLeases: setting(onOff, {
    default: true,
    key: 'keep-leases',
    help: 'Keep names over a restart of the relay.',
  }),
  tokenRegistry: setting(onOff, {default: true}),
  stateDir: setting(text('FOLDER'), {default: () => stateDir()}),
  maxTunnelsPerAgent: setting(wholeNumber({min: 1, max: 100_000}), {
    default: 100,
    key: 'max-tunnels-per-agent',
    help: 'Tunnels of one agent.',
    group: LIMITS,
    reloads: true,
  }),
  maxLeasesPerOwner: setting(wholeNumber({min: 1, max: MAX_LEASES}), {
    default: 10_000,
    key: 'max-leases-per-owner',
    help: 'Names and ports of one owner, with those that are kept for it.',
    group: LIMITS,
    reloads: true,
  }),
  /** Without one the limit follows the machine's memory. */
  maxUnreadBytes: setting(size({min: 1_048_576, max: 2 ** 40}), {
    defaultText: 'a quarter of the memory, at most 1 GiB',
    key: 'max-unread',
    help: 'Bytes that all visitors together may leave unread.',
    group: LIMITS,
    reloads: true,
  }),
};

function domainName(written: string): string {
  const domain = written.toLowerCase().replace(/\.$/, '');
  const labels = domain.split('.');
  const fine = labels.every((label) => /^(?!-)[a-z0-9-]{1,63}(?<!-)$/.test(label));
  if (!fine || domain.length > MAX_DOMAIN || labels.length < 2) {
    throw new TunlError('OPTION_INVALID', {
      reason: `${JSON.stringify(written)} cannot be the domain of tunnels.`,
      next: 'Give a name like relay.example.net, with a wildcard DNS record for *.relay.example.net.',
    });
  }
  return domain;
}

/** The certificate can come from other files, but a relay with its own CA stays one. */
function areGiven(now: unknown, next: unknown): boolean {
  return now !== undefined && next !== undefined;
}
