// Completes the relay's options with defaults, environment and files, and refuses invalid ones.

import {relayOrigin} from '../carrier/relay-url.js';
import {TunlError} from '../core/errors.js';
import type {LogSink} from '../core/logger.js';
import {readSecretFile, stateDir} from '../core/state-dir.js';
import {KEEP_ALIVE_MS} from '../net/keep-alive.js';
import {MAX_RELAYS} from '../protocol/link-messages.js';
import {checkHost, checkPort, type HostPort, isLoopbackHost, listenAddress} from '../protocol/targets.js';
import {trustedSources} from './doors/trusted.js';
import {MAX_LEASES} from './leases/lease-store.js';
import {
  LONGEST_KEEP_ALIVE_MS,
  LONGEST_LEASE_GRACE_MS,
  LONGEST_RESUME_WINDOW_MS,
  LONGEST_VISITOR_IDLE_MS,
  type RelayOptions,
} from './options.js';

export interface RelaySettings {
  domain: string;
  listen: HostPort;
  listenHttp: HostPort | undefined;
  publicPort: number | undefined;
  tcpPorts: readonly [number, number] | undefined;
  tcpHost: string;
  tcpPublicHost: string;
  token: string | undefined;
  certFile: string | undefined;
  keyFile: string | undefined;
  h2Offered: boolean;
  stateDir: string;
  maxTunnelsPerAgent: number;
  maxLeasesPerOwner: number;
  /** Undefined: the limit follows the machine's memory. */
  maxUnreadBytes: number | undefined;
  resumeWindowMs: number;
  visitorWaitMs: number;
  leaseGraceMs: number;
  keepForReplay: boolean;
  keepLeases: boolean;
  successors: readonly string[];
  trustedSources: readonly string[];
  visitorIdleTimeoutMs: number | undefined;
  keepAliveMs: number;
  reusePort: boolean;
  /** Agents that are sent away come back within this time, ms, each after a random wait. */
  comeBackWithinMs: number;
  log: LogSink | undefined;
}

/** A token must have at least this many characters, so that nobody guesses it. */
const MIN_TOKEN_LENGTH = 16;
/** A name has 253 characters at the most (RFC 1035 §2.3.4): the longest label and its dot stand before the domain. */
const MAX_DOMAIN = 253 - 64;

/** @throws TunlError for an invalid option, before anything is opened. */
export async function settleRelayOptions(options: RelayOptions): Promise<RelaySettings> {
  const domain = checkDomain(options.domain ?? 'tunl.localhost');
  const listen = listenAddress(options.listen ?? '127.0.0.1:0');
  const listenHttp = options.listenHttp === undefined ? undefined : listenAddress(options.listenHttp);
  const tcpHost = options.tcpHost ?? listen.host;
  const token = await findToken(options);
  const reachable = [listen.host, tcpHost].find((host) => !isLoopbackHost(host));
  if (token === undefined && reachable !== undefined) {
    throw new TunlError('TOKEN_NEEDED', {
      reason: `Without a token anybody who reaches ${reachable} could publish here.`,
    });
  }
  if ((options.certFile === undefined) !== (options.keyFile === undefined)) {
    throw new TunlError('OPTION_INVALID', {
      reason: 'A certificate and its key come together.',
      next: 'Give both: --cert-file and --key-file (certFile and keyFile).',
    });
  }
  return {
    domain,
    listen,
    listenHttp,
    publicPort: options.publicPort === undefined ? undefined : checkPort(options.publicPort),
    tcpPorts: checkRange(options.tcpPorts),
    tcpHost,
    // Not every program's resolver knows names below .localhost, but all know localhost itself.
    // Agents take no other.
    tcpPublicHost: checkHost(
      options.tcpPublicHost ?? (domain.endsWith('.localhost') ? 'localhost' : domain),
      'OPTION_INVALID',
    ),
    token,
    certFile: options.certFile,
    keyFile: options.keyFile,
    h2Offered: options.certFile === undefined || (options.sharedH2 ?? false),
    stateDir: options.stateDir ?? stateDir(),
    maxTunnelsPerAgent: wholeNumber('maxTunnelsPerAgent', options.maxTunnelsPerAgent ?? 100, 1, 100_000),
    maxLeasesPerOwner: wholeNumber('maxLeasesPerOwner', options.maxLeasesPerOwner ?? 10_000, 1, MAX_LEASES),
    maxUnreadBytes:
      options.maxUnreadBytes === undefined
        ? undefined
        : wholeNumber('maxUnreadBytes', options.maxUnreadBytes, 1_048_576, 2 ** 40),
    resumeWindowMs: wholeNumber(
      'resumeWindowMs',
      options.resumeWindowMs ?? 600_000,
      0,
      LONGEST_RESUME_WINDOW_MS,
    ),
    visitorWaitMs: wholeNumber('visitorWaitMs', options.visitorWaitMs ?? 20_000, 0, LONGEST_RESUME_WINDOW_MS),
    leaseGraceMs: wholeNumber('leaseGraceMs', options.leaseGraceMs ?? 600_000, 0, LONGEST_LEASE_GRACE_MS),
    keepForReplay: process.env.TUNL_BENCH_NO_REPLAY !== '1',
    keepLeases: options.keepLeases ?? true,
    successors: checkSuccessors(options.successors ?? []),
    keepAliveMs: wholeNumber(
      'keepAliveMs',
      options.keepAliveMs ?? KEEP_ALIVE_MS,
      options.keepAliveMs === 0 ? 0 : 1_000,
      LONGEST_KEEP_ALIVE_MS,
    ),
    visitorIdleTimeoutMs:
      options.visitorIdleTimeoutMs === undefined
        ? undefined
        : wholeNumber('visitorIdleTimeoutMs', options.visitorIdleTimeoutMs, 1_000, LONGEST_VISITOR_IDLE_MS),
    trustedSources: checkSources(options.trustedSources ?? []),
    reusePort: options.reusePort ?? false,
    comeBackWithinMs: 2_000,
    log: options.log,
  };
}

function checkDomain(text: string): string {
  const domain = text.toLowerCase().replace(/\.$/, '');
  const labels = domain.split('.');
  const fine = labels.every((label) => /^(?!-)[a-z0-9-]{1,63}(?<!-)$/.test(label));
  if (!fine || domain.length > MAX_DOMAIN || labels.length < 2) {
    throw new TunlError('OPTION_INVALID', {
      reason: `${JSON.stringify(text)} is not a domain that tunnels could be names below.`,
      next: 'Give a name like relay.example.net, with a wildcard DNS record for *.relay.example.net.',
    });
  }
  return domain;
}

async function findToken(options: RelayOptions): Promise<string | undefined> {
  const token =
    options.token ??
    (options.tokenFile === undefined ? process.env.TUNL_TOKEN : await readSecretFile(options.tokenFile));
  if (token === undefined || token === '') return undefined;
  if (!/^[\x21-\x7e]+$/.test(token) || token.length < MIN_TOKEN_LENGTH) {
    throw new TunlError('OPTION_INVALID', {
      reason: `A token has at least ${MIN_TOKEN_LENGTH} visible ASCII characters.`,
      next: 'Make one with `openssl rand -hex 32`.',
    });
  }
  return token;
}

function checkSuccessors(urls: readonly string[]): readonly string[] {
  if (urls.length > MAX_RELAYS)
    throw new TunlError('OPTION_INVALID', {reason: `There can be ${MAX_RELAYS} successors at the most.`});
  return urls.map(relayOrigin);
}

function checkSources(ranges: readonly string[]): readonly string[] {
  trustedSources(ranges);
  return ranges;
}

function checkRange(range: RelayOptions['tcpPorts']): readonly [number, number] | undefined {
  if (range === undefined) return undefined;
  const [first, last] = range;
  if (first === 0 && last === 0) return range;
  checkPort(first);
  checkPort(last);
  if (first > last)
    throw new TunlError('OPTION_INVALID', {reason: `The port range ${first}–${last} is empty.`});
  return range;
}

function wholeNumber(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new TunlError('OPTION_INVALID', {
    reason: `${name} is a whole number from ${min} to ${max}, not ${value}.`,
  });
}
