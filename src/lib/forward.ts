// `forward`: one call from a local port to a public address, through a relay elsewhere or one inside this process.

import {resolve} from 'node:path';
import type {ReadyEvent} from './agent/events.js';
import {loadIdentity} from './agent/identity.js';
import {NameMemory, type Remembered} from './agent/name-memory.js';
import type {ForwardOptions, Tunnel} from './agent/options.js';
import {Successors} from './agent/successors.js';
import type {LocalTunnel, PublicSides, TunnelSettings} from './agent/tunnel.js';
import type {LinkSettings} from './agent/tunnel-agent.js';
import type {WatchWish} from './agent/upstream-watch.js';
import {openUpstream} from './agent/upstreams/open.js';
import {readTarget, targetLabel, type UpstreamTarget} from './agent/upstreams/target.js';
import type {Upstream} from './agent/upstreams/upstream.js';
import {AgentPool} from './agent-pool.js';
import {dialCarrier} from './carrier/dial.js';
import {relayOrigin} from './carrier/relay-url.js';
import {TunlError} from './core/errors.js';
import {createLogger} from './core/logger.js';
import {software} from './core/software.js';
import {readSecretFile, stateDir} from './core/state-dir.js';
import {readTextFile} from './core/text-file.js';
import {EmbeddedRelays} from './embedded-relay.js';
import type {Carrier} from './mux/carrier.js';
import type {Identify} from './mux/handshake.js';
import {checkHost, checkPort} from './protocol/targets.js';
import {AGENT_PATH} from './protocol/wire.js';

const CONNECT_TIMEOUT_MS = 10_000;

/** What the callers of this process share: the links and relays that stand for the same settings, and nothing besides. */
const pool = new AgentPool();
const embeddedRelays = new EmbeddedRelays();

/**
 * Gives a local service a public address and resolves when visitors can connect. Does not wait for anything to listen there.
 *
 * @param target the upstream's port, 1 to 65535; or `host:port`, `unix:/run/app.sock`, `https://host:port`, `http://host:port`,
 * or a folder whose files are served (`./dist`).
 * @throws TunlError PORT_INVALID, PORT_RANGE, TARGET_INVALID, SOCKET_INVALID, H2_WITH_TCP, PORT_FORWARDED_TWICE,
 * OPTION_INVALID, FOLDER_MISSING, FOLDER_INVALID, ABORTED, what is wrong with a file of `upstreamTls`, or why there is
 * no relay (RELAY_*, TOKEN_*, PROXY_FAILED) or no tunnel at it (NAME_*, PORT_*, TCP_NOT_OFFERED, …).
 */
export async function forward(target: number | string, options: ForwardOptions = {}): Promise<Tunnel> {
  // A port that is a string is most often one that was meant to be read as a number.
  if (typeof target !== 'string' || /^\s*[+-]?\d+\s*$/.test(target)) checkPort(target);
  const upstream = readTarget(target, options.host);
  checkTargetOptions(upstream, target, options);
  return await open(upstream, targetLabel(upstream), options);
}

/**
 * A tunnel whose upstream is told when it is there, by `pointTo`; visitors before that are refused, and `ready` waits for it.
 *
 * @param what stands for the upstream in the memory of names.
 * @throws TunlError as `forward` does.
 */
export async function forwardLater(what: string, options: ForwardOptions = {}): Promise<LocalTunnel> {
  return await open(undefined, what, options);
}

async function open(
  target: UpstreamTarget | undefined,
  what: string,
  options: ForwardOptions,
): Promise<LocalTunnel> {
  checkOptions(options);
  const cleanUps: Array<() => unknown> = [];
  const cleanUp = async () => {
    for (const each of cleanUps.reverse()) await each();
  };
  try {
    const upstream = target && (await startUpstream(target, what, options));
    cleanUps.push(() => upstream?.close?.());
    const state = options.stateDir ?? stateDir();
    const way = await findRelay(options, state);
    if (way.release !== undefined) cleanUps.push(way.release);
    const log = createLogger('agent', options.log);
    const memory = new NameMemory(
      state,
      {relayUrl: way.memoryKey, upstream: what, folder: process.cwd()},
      log,
    );
    // Both are read while the relay is dialled: neither is needed before the link is there.
    const identity: Promise<Identify> = loadIdentity(state).catch((error: unknown) => () => {
      // A relay that takes a token never asks.
      throw error;
    });
    let identify: Identify | undefined;
    const settings: TunnelSettings = {
      upstream,
      explainHostChecks: options.onEvent !== undefined,
      watchUpstream: watchWish(options),
      waitUpstreamMs: options.waitUpstreamMs ?? 0,
      unencrypted: options.unencrypted ?? false,
      h2: options.h2 ?? false,
      http1: options.http1 ?? false,
      subdomain: options.subdomain,
      remembered: options.newName ? Promise.resolve({}) : memory.recall(),
      remotePort: options.remotePort,
      drainTimeoutMs: options.drainTimeoutMs ?? 0,
      signal: options.signal,
      onEvent: options.onEvent ?? (() => {}),
      log: options.log,
      cleanUp,
    };
    const link: LinkSettings = {
      relay: way.relay,
      successors: way.successors,
      software,
      dial: async (signal, url) => {
        const carrier = await way.dial(signal, url);
        identify = await identity;
        return carrier;
      },
      identify: (asked) => (identify as Identify)(asked),
      wait: options.wait ?? false,
      maxRetryTimeMs: options.maxRetryTimeMs,
      keepForReplay: process.env.TUNL_BENCH_NO_REPLAY !== '1',
    };
    const {follow = [], wait, maxRetryTimeMs, connectTimeoutMs} = options;
    const key = [...way.key, resolve(state), follow, wait, maxRetryTimeMs, connectTimeoutMs];
    const label = target === undefined ? undefined : what;
    const tunnel = await pool.open({key, label, link, tunnel: settings});
    // Not waited for: the tunnel is there, and a signal that ends it must find it. Its end waits.
    const remembered = memory.remember(namesOf(tunnel.sides, options));
    cleanUps.push(() => remembered);
    return tunnel;
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

async function startUpstream(
  target: UpstreamTarget,
  label: string,
  {upstreamTls, stateDir: state = stateDir()}: ForwardOptions,
): Promise<Upstream> {
  if (target.kind !== 'folder') return await openUpstream(target, upstreamTls);
  // Only here: most upstreams are not served by this process.
  const {serveFolder} = await import('./serve-folder.js');
  return await serveFolder({path: target.path, label, stateDir: state});
}

function checkTargetOptions(
  {kind}: UpstreamTarget,
  target: number | string,
  {host, upstreamTls, h2}: ForwardOptions,
): void {
  const invalid = (reason: string, next: string) => new TunlError('OPTION_INVALID', {reason, next});
  if (host !== undefined && typeof target === 'string' && !/^:?\d+$/.test(target.trim()))
    throw invalid('The host is for a target that is a port.', 'Leave {host} out.');
  if (upstreamTls !== undefined && kind !== 'tls') {
    throw invalid(
      'TLS settings of the upstream are for an https:// target only.',
      'Write the target like https://localhost:8443, or leave upstreamTls out.',
    );
  }
  if (h2 && kind === 'folder')
    throw invalid('A folder is served over HTTP/1.1.', 'Leave out {h2: true} (--h2).');
}

function watchWish({onEvent, watchUpstream = false}: ForwardOptions): WatchWish {
  if (onEvent === undefined) return 'never';
  if (watchUpstream === 'at first') return watchUpstream;
  return watchUpstream ? 'always' : 'when refused';
}

function checkOptions(options: ForwardOptions): void {
  if (options.h2 && options.unencrypted) throw new TunlError('H2_WITH_TCP');
  if (options.http1 && !options.h2) {
    throw new TunlError('OPTION_INVALID', {
      reason: 'A tunnel without h2 offers HTTP/1.1 anyway.',
      next: 'Add {h2: true} (--h2), or leave http1 out.',
    });
  }
  for (const host of options.follow ?? []) checkHost(host, 'OPTION_INVALID');
  if (options.remotePort === undefined) return;
  checkPort(options.remotePort);
  if (!options.unencrypted) {
    throw new TunlError('OPTION_INVALID', {
      reason: 'A remote port belongs to an unencrypted tunnel only.',
      next: 'Add {unencrypted: true} (--tcp), or leave the remote port out.',
    });
  }
}

/** What was given by chance, to be asked for next time; what the user asked for needs no memory. */
function namesOf({tls, tcp}: PublicSides, {subdomain, remotePort}: ForwardOptions): Remembered {
  return {
    ...(subdomain === undefined ? {name: tls.host.slice(0, tls.host.indexOf('.'))} : {}),
    ...(remotePort === undefined && tcp !== undefined ? {port: tcp.port} : {}),
  };
}

interface Way {
  /** What stands for this relay in the memory of names: the embedded one has another port each time. */
  memoryKey: string;
  /** Where an agent goes and how it is let in: two that have the same may be one. */
  key: readonly unknown[];
  relay: ReadyEvent['relay'];
  successors: Successors;
  /** `url`: another relay than this one, by which it was named. */
  dial: (signal: AbortSignal, url: string | undefined) => Promise<Carrier>;
  release?: () => Promise<void>;
}

async function findRelay(options: ForwardOptions, state: string): Promise<Way> {
  const given = options.relay ?? process.env.TUNL_RELAY;
  if (given === undefined || given === '') {
    const {relay, release} = await embeddedRelays.borrow({stateDir: state, log: options.log});
    const ca = relay.caFile === undefined ? undefined : await readTextFile(relay.caFile);
    const facts = {
      url: relay.url,
      embedded: true,
      ...(relay.caFile === undefined ? {} : {caFile: relay.caFile}),
    };
    const successors = new Successors({home: relay.url, allowed: []});
    const dial = dialer({home: relay.url, token: undefined, ca, successors}, options);
    return {memoryKey: 'embedded', key: [relay.url], relay: facts, release, successors, dial};
  }
  const origin = relayOrigin(given);
  const token = await findToken(options);
  const caFile = options.caFile ?? process.env.TUNL_CA_FILE;
  const ca = caFile === undefined || caFile === '' ? undefined : await readTextFile(caFile);
  const successors = new Successors({home: origin, allowed: options.follow ?? []});
  const dial = dialer({home: origin, token, ca, successors}, options);
  return {
    memoryKey: origin,
    key: [origin, token, ca],
    relay: {url: origin, embedded: false},
    successors,
    dial,
  };
}

interface Dialling {
  home: string;
  token: string | undefined;
  ca: string | undefined;
  successors: Successors;
}

function dialer({home, token, ca, successors}: Dialling, options: ForwardOptions): Way['dial'] {
  return async (signal, url) => {
    const {carrier, address} = await dialCarrier({
      url: url ?? home,
      ...(url === undefined ? {} : {accepts: successors.accepts}),
      path: AGENT_PATH,
      timeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      signal,
      ...(token === undefined ? {} : {token}),
      ...(ca === undefined ? {} : {ca}),
    });
    if (url === undefined) successors.reachedHome(address);
    return carrier;
  };
}

async function findToken(options: ForwardOptions): Promise<string | undefined> {
  if (options.token !== undefined) return options.token;
  if (options.tokenFile !== undefined) return await readSecretFile(options.tokenFile);
  return process.env.TUNL_TOKEN || undefined;
}
