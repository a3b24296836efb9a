// `forward`: gives a local service a public address with one call, through a relay elsewhere or one inside this process.

import {rulesOf} from './agent/address-rules.js';
import {EMBEDDED} from './agent/login/contexts.js';
import {NameMemory, type Remembered} from './agent/name-memory.js';
import type {ForwardOptions, Tunnel, WatchUpstream} from './agent/options.js';
import {FORWARD_SETTINGS} from './agent/settings-table.js';
import type {LocalTunnel} from './agent/tunnel.js';
import type {PublicSides} from './agent/tunnel-requests.js';
import type {TunnelSettings} from './agent/tunnel-settings.js';
import {openUpstream} from './agent/upstreams/open.js';
import {ProxyHeader} from './agent/upstreams/proxy-header.js';
import {readTarget, targetLabel, type UpstreamTarget} from './agent/upstreams/target.js';
import type {Upstream} from './agent/upstreams/upstream.js';
import {AgentPool} from './agent-pool.js';
import {TunlError} from './core/errors.js';
import {currentFolder} from './core/home.js';
import {createLogger, type Logger} from './core/logger.js';
import {type SettingsOf, settle} from './core/settings.js';
import {usableState} from './core/usable-state.js';
import {EmbeddedRelays} from './embedded-relay.js';
import {type FoundRelay, findRelay} from './find-relay.js';
import {linkSettings} from './link-settings.js';
import {findLanAddress, type LanAddress} from './net/lan-address.js';
import {openGates} from './open-gates.js';
import {checkPort} from './protocol/targets.js';
import {usualPorts} from './usual-ports.js';

/** The links and relays that the callers of this process share when their settings are equal. */
const pool = new AgentPool();
const embeddedRelays = new EmbeddedRelays();
let isStateTold = false;

/**
 * Gives a local service a public address and resolves when visitors can connect. Does not wait until the service listens.
 *
 * @param target the upstream's port, 1 to 65535; or `host:port`, `unix:/run/app.sock`, `https://host:port`,
 * `http://host:port`, or a folder whose files are served (`./dist`).
 * @throws TunlError PORT_INVALID, PORT_RANGE, TARGET_INVALID, SOCKET_INVALID, H2_WITH_TCP, GATE_WITH_TCP, PORT_FORWARDED_TWICE,
 * LAN_*, OPTION_INVALID, FOLDER_MISSING, FOLDER_INVALID, ABORTED, the error of a file of `upstreamTls`, or the reason why there is
 * no relay (RELAY_*, TOKEN_*, PROXY_FAILED) or no tunnel at it (NAME_*, PORT_*, TCP_NOT_OFFERED, …).
 */
export async function forward(target: number | string, options: ForwardOptions = {}): Promise<Tunnel> {
  // A string of digits is most often a port that the caller forgot to convert.
  if (typeof target !== 'string' || /^\s*[+-]?\d+\s*$/.test(target)) checkPort(target);
  const settings = settle(FORWARD_SETTINGS, options);
  const upstream = readTarget(target, settings.host);
  checkTargetOptions(upstream, target, options);
  return await open(upstream, targetLabel(upstream), settings, options);
}

/**
 * A tunnel without an upstream until `pointTo` sets it. Earlier visitors are refused, and `ready` follows then.
 *
 * @param what the key of the upstream in the memory of names.
 * @throws TunlError as `forward` does.
 */
export async function forwardLater(what: string, options: ForwardOptions = {}): Promise<LocalTunnel> {
  return await open(undefined, what, settle(FORWARD_SETTINGS, options), options);
}

type Settings = SettingsOf<typeof FORWARD_SETTINGS>;

async function open(
  target: UpstreamTarget | undefined,
  what: string,
  settings: Settings,
  options: ForwardOptions,
): Promise<LocalTunnel> {
  checkTogether(settings);
  const {lan: asked} = settings;
  const lan = asked === undefined || asked === false ? undefined : await findLanAddress(asked);
  const cleanUps: Array<() => unknown> = [];
  const cleanUp = async () => {
    for (const each of cleanUps.reverse()) await each();
  };
  try {
    const {stateDir, newName, subdomain, remotePort, proxyProtocol} = settings;
    const upstream = target && (await startUpstream(target, what, {...options, stateDir}));
    cleanUps.push(() => upstream?.close?.());
    const gates = await openGates(settings, createLogger('agent', options.log));
    cleanUps.push(() => gates?.close());
    const found = await findRelay(settings, {embedded: embeddedRelays, log: options.log, what});
    if (found.release !== undefined) cleanUps.push(found.release);
    const log = createLogger('agent', options.log);
    if (stateDir !== options.stateDir) tellTemporaryState(log);
    const memory = new NameMemory(
      stateDir,
      {relayUrl: found.memoryKey, upstream: what, folder: currentFolder()},
      log,
    );
    const tunnelSettings: TunnelSettings = {
      upstream,
      explainHostChecks: settings.explainHostChecks && options.onEvent !== undefined,
      watchUpstream: whenToWatch(options, settings),
      waitUpstreamMs: settings.waitUpstreamMs,
      // Visitors of a stream are no browsers.
      offlinePage: settings.offlinePage && gates?.stream === undefined,
      proxyHeader: proxyProtocol === undefined ? undefined : new ProxyHeader(proxyProtocol),
      gates,
      probe: settings.probe,
      // A private one has no port that everybody could try.
      unencrypted: settings.unencrypted && gates?.stream === undefined,
      h2: settings.h2,
      http1: settings.http1,
      subdomain,
      remembered: newName ? Promise.resolve({}) : memory.recall(),
      remotePort,
      cidr: rulesOf(settings),
      openLocal: localOpener(target, found.openLocalDoor, {
        ports: usualPorts('tunnel', stateDir, what),
        lan,
        cleanUps,
      }),
      drainTimeoutMs: settings.drainTimeoutMs,
      signal: options.signal,
      onEvent: options.onEvent ?? (() => {}),
      log: options.log,
      cleanUp,
    };
    const link = {...linkSettings(found, settings), dialPublic: found.dialPublic};
    const label = target === undefined ? undefined : what;
    const tunnel = await pool.open({key: found.key, label, link, tunnel: tunnelSettings});
    // `forward` does not wait for it: the tunnel is up, and its caller must be able to end it. The end of the tunnel waits.
    const remembered = memory.remember(namesOf(tunnel.sides, settings));
    cleanUps.push(() => remembered);
    return tunnel;
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

interface LocalOptions {
  /** To try in this order. */
  ports: readonly number[];
  /** Undefined: loopback. */
  lan: LanAddress | undefined;
  cleanUps: Array<() => unknown>;
}

/**
 * A Unix socket and a folder have permissions of the file system, which a port for every user of this machine would bypass.
 */
function localOpener(
  target: UpstreamTarget | undefined,
  openLocalDoor: FoundRelay['openLocalDoor'],
  {ports, lan, cleanUps}: LocalOptions,
): TunnelSettings['openLocal'] {
  if (openLocalDoor === undefined) return undefined;
  // A user who asks for the local network shares with everybody there.
  const isPrivate = lan === undefined && (target?.kind === 'unix' || target?.kind === 'folder');
  return async (host) => {
    const door = await openLocalDoor(host, {ports, isPrivate, lan});
    if (door === undefined) return undefined;
    cleanUps.push(() => door.close());
    return {...door.at, ...(lan !== undefined && {lan: {interface: lan.interface, others: lan.others}})};
  };
}

/** Told by the first tunnel of the process. */
function tellTemporaryState(log: Logger): void {
  const {why} = usableState();
  if (why === undefined || isStateTold) return;
  isStateTold = true;
  log.warn('names and keys are kept for this run only; set TUNL_STATE_DIR to a folder of yours', {
    reason: why,
  });
}

async function startUpstream(
  target: UpstreamTarget,
  label: string,
  {upstreamTls, stateDir}: Pick<ForwardOptions, 'upstreamTls'> & Pick<Settings, 'stateDir'>,
): Promise<Upstream> {
  if (target.kind !== 'folder') return await openUpstream(target, upstreamTls);
  // Imported here because most tunnels serve no folder.
  const {serveFolder} = await import('./serve-folder.js');
  return await serveFolder({path: target.path, label, stateDir});
}

function checkTargetOptions(
  {kind}: UpstreamTarget,
  target: number | string,
  {host, upstreamTls, h2, proxyProtocol}: ForwardOptions,
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
  if (proxyProtocol !== undefined && kind === 'folder')
    throw invalid(
      'A folder has no use for visitors’ addresses.',
      'Leave out {proxyProtocol} (--proxy-protocol).',
    );
}

/** Without a listener of events nothing is probed. */
function whenToWatch({onEvent}: ForwardOptions, {watchUpstream}: Settings): WatchUpstream {
  if (onEvent === undefined) return 'never';
  if (typeof watchUpstream !== 'boolean') return watchUpstream;
  return watchUpstream ? 'always' : 'when refused';
}

function checkTogether(settings: Settings): void {
  const {h2, http1, unencrypted, private: isPrivate, remotePort, lan, relay, context} = settings;
  const isElsewhere = context === undefined ? relay : context !== EMBEDDED;
  if (lan && isElsewhere) throw new TunlError('LAN_WITH_RELAY');
  if (lan && unencrypted) throw new TunlError('LAN_WITH_TCP');
  if (h2 && unencrypted) throw new TunlError('H2_WITH_TCP');
  if (http1 && !h2) {
    throw new TunlError('OPTION_INVALID', {
      reason: 'A tunnel without h2 offers HTTP/1.1 anyway.',
      next: 'Add {h2: true} (--h2), or leave http1 out.',
    });
  }
  if (remotePort !== undefined && unencrypted && isPrivate) {
    throw new TunlError('OPTION_INVALID', {
      reason: 'A private TCP tunnel has no port of the relay: visitors come with its link.',
      next: 'Leave out the remote port, or {private: true} (--private).',
    });
  }
  if (remotePort !== undefined && !unencrypted) {
    throw new TunlError('OPTION_INVALID', {
      reason: 'Only an unencrypted tunnel has a remote port.',
      next: 'Add {unencrypted: true} (--tcp), or leave the remote port out.',
    });
  }
}

/** The random names and ports, to ask for them next time. Those that the user asked for need no memory. */
function namesOf({tls, tcp}: PublicSides, {subdomain, remotePort}: Settings): Remembered {
  return {
    ...(subdomain === undefined && tls !== undefined && {name: tls.host.slice(0, tls.host.indexOf('.'))}),
    ...(remotePort === undefined && tcp !== undefined ? {port: tcp.port} : {}),
  };
}
