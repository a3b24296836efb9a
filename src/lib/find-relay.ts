// The relay of a tunnel: the given one, or one inside this process; how it is dialled, and which settings tunnels must share
// to share a link to it.

import type {Socket} from 'node:net';
import {resolve} from 'node:path';
import type {SessionPlace} from './agent/agent-options.js';
import type {ReadyEvent} from './agent/events.js';
import type {ProberOptions} from './agent/prober.js';
import {LINK_SETTINGS} from './agent/settings-table.js';
import {Successors} from './agent/successors.js';
import {dialCarrier, dialPort} from './carrier/dial.js';

import {dialProbe} from './carrier/probe.js';
import {ignoredProxy, proxyFor} from './carrier/proxy.js';
import {parseRelayUrl} from './carrier/relay-url.js';
import {trustSets} from './carrier/trust.js';
import {type ChosenRelay, chooseRelay, type LinkValues} from './choose-relay.js';
import {TunlError} from './core/errors.js';
import {createLogger, type LogSink} from './core/logger.js';
import {readOwnCa} from './core/own-ca.js';
import {readCaFile} from './core/pem.js';
import {readTextFile} from './core/text-file.js';
import type {EmbeddedRelays} from './embedded-relay.js';
import type {Carrier} from './mux/carrier.js';
import {formatHostPort} from './protocol/targets.js';
import {AGENT_PATH, SESSION_HEADER} from './protocol/wire.js';
import {workerProtocol} from './protocol/worker-protocol.js';
import type {RunningRelay} from './relay/running-relay.js';
import {TokenSource} from './token-source.js';

export interface FoundRelay {
  /** The key of this relay in the memory of names: the embedded one has another port each time. */
  memoryKey: string;
  /** All values that define this link: tunnels with the same key may share it. */
  key: readonly unknown[];
  relay: ReadyEvent['relay'];
  successors: Successors;
  /** `url`: another relay, which this one has named. */
  dial: (signal: AbortSignal, url: string | undefined, session?: SessionPlace) => Promise<Carrier>;
  /** A TCP connection to the relay's TLS port, without a word in it. */
  dialPort: (options: {signal: AbortSignal; timeoutMs: number}) => Promise<Socket>;
  /** Dials a public name as a visitor does. */
  dialPublic: ProberOptions['dial'];
  release?: () => Promise<void>;
  /** To be called when the link is over. Tunnels may share it. */
  onOver?: () => void;
  /** The relay is inside this process: opens a port of this machine for a tunnel. Rejects only in the local network. */
  openLocalDoor?: RunningRelay['openLocalDoor'];
}

export interface Surroundings {
  /** Undefined: a relay inside this process makes no sense here. */
  embedded: EmbeddedRelays | undefined;
  log: LogSink | undefined;
  /** The target of the caller. */
  what: string;
}

interface Place extends Pick<ChosenRelay, 'origin' | 'token' | 'tokenKey'> {
  /** PEM text. */
  ca: string | undefined;
  /** The relay of the last link, when it is another one that this one has named. */
  followedTo?: string | undefined;
  /** PEM text of the CA of this user's own relays. */
  ownCa?: string | undefined;
}

/** @throws TunlError RELAY_NEEDED, as `chooseRelay`, the error of a CA file, or the reason why the embedded relay does not start */
export async function findRelay(settings: LinkValues, around: Surroundings): Promise<FoundRelay> {
  const chosen = await chooseRelay(settings);
  if (chosen === undefined) return await embeddedRelay(settings, around);
  const {origin, tokenKey, caFile} = chosen;
  const {stateDir} = settings;
  const trust = {
    ca: caFile ? await readCaFile(caFile) : undefined,
    ownCa: await readOwnCa(stateDir),
  };
  const log = createLogger('agent', around.log);
  const tokens = new TokenSource({chosen, place: {origin, ...trust}, stateDir, log});
  const place: Place = {origin, ...trust, token: tokens.current, tokenKey};
  const ignored = ignoredProxy(parseRelayUrl(place.origin), process.env);
  if (ignored !== undefined) log.warn(ignored);
  const successors = new Successors({home: place.origin, allowed: settings.follow});
  return {
    memoryKey: place.origin,
    key: keyOf(place, settings),
    relay: {url: place.origin, embedded: false},
    successors,
    dial: dialer(place, successors, settings),
    dialPort: portDialer(place, successors),
    dialPublic: publicDialer(place),
    onOver: () => tokens.close(),
  };
}

async function embeddedRelay(settings: LinkValues, {embedded, ...user}: Surroundings): Promise<FoundRelay> {
  if (embedded === undefined) throw new TunlError('RELAY_NEEDED');
  const {relay, release} = await embedded.borrow({...user, stateDir: settings.stateDir});
  const {url, caFile} = relay;
  const place: Place = {
    origin: url,
    token: async () => undefined,
    tokenKey: undefined,
    ca: caFile === undefined ? undefined : await textOr(release, caFile),
  };
  const successors = new Successors({home: url, allowed: []});
  return {
    memoryKey: 'embedded',
    key: keyOf(place, settings),
    relay: {url, embedded: true, ...(caFile === undefined ? {} : {caFile})},
    successors,
    dial: dialer(place, successors, settings),
    dialPort: portDialer(place, successors),
    dialPublic: publicDialer(place),
    release,
    openLocalDoor: async (host, about) => await relay.openLocalDoor(host, about),
  };
}

/** Gives the relay back when its file cannot be read: it would keep the process alive. */
async function textOr(release: () => Promise<void>, file: string): Promise<string> {
  try {
    return await readTextFile(file);
  } catch (error) {
    await release();
    throw error;
  }
}

/** Files count by their content, and all other settings of a link by their values: new settings are included automatically. */
function keyOf({origin, tokenKey, ca, ownCa}: Place, settings: LinkValues): readonly unknown[] {
  const values = Object.keys(LINK_SETTINGS).map((name) => {
    const key = name as keyof LinkValues;
    switch (key) {
      case 'relay':
      case 'context':
      case 'token':
      case 'tokenFile':
      case 'caFile':
        return null;
      case 'stateDir':
        return resolve(settings.stateDir);
      default:
        return settings[key];
    }
  });
  return [origin, tokenKey, ca, ownCa, ...values];
}

const NEW_SESSION: SessionPlace = {worker: undefined, ticket: undefined};

function dialer(place: Place, successors: Successors, settings: LinkValues): FoundRelay['dial'] {
  const {origin, token, ca, ownCa} = place;
  return async (signal, url, {worker, ticket} = NEW_SESSION) => {
    // A session has its own secret. The token could also have changed meanwhile.
    const bearer = ticket === undefined ? await token() : undefined;
    const {carrier, address} = await dialCarrier({
      url: url ?? origin,
      ...(url === undefined ? {} : {accepts: successors.accepts}),
      path: AGENT_PATH,
      timeoutMs: settings.connectTimeoutMs,
      signal,
      ...(bearer === undefined ? {} : {token: bearer}),
      ...(ticket === undefined ? {} : {headers: {[SESSION_HEADER]: ticket}}),
      ...(ca === undefined ? {} : {ca}),
      ownCa,
      ...(worker === undefined ? {} : {alpn: [workerProtocol(worker)]}),
    }).catch((error: unknown) => {
      throw ticket === undefined ? error : withoutTicket(error);
    });
    if (url === undefined) successors.reachedHome(address);
    place.followedTo = url;
    return carrier;
  };
}

function portDialer(place: Place, successors: Successors): FoundRelay['dialPort'] {
  return async (options) => {
    const {origin, followedTo: url, ca} = place;
    return await dialPort({
      ...{...options, url: url ?? origin, ca},
      ...(url !== undefined && {accepts: successors.accepts}),
    });
  };
}

/** The agent’s trust: a visitor may have another one. */
function publicDialer({ca, ownCa}: Place): ProberOptions['dial'] {
  return (place, about) => {
    const label = formatHostPort(place.host, place.port);
    if (proxyFor({...place, authority: label, label}, process.env) !== undefined) return undefined;
    return dialProbe({...place, ...about, contexts: trustSets(ca, ownCa)});
  };
}

/** The relay was replaced by one that does not know tickets. It does not have the session either. */
function withoutTicket(error: unknown): unknown {
  const isOlder = error instanceof TunlError && error.code === 'TOKEN_MISSING';
  return isOlder ? new TunlError('SESSION_UNKNOWN', {cause: error}) : error;
}
