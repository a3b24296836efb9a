// The answers of a tunnel or a relay in the background on its control socket.

import type {LinkFacts, LinkOptions} from '../agent/upstreams/gated/links.js';
import type {SharedLink} from '../agent/upstreams/gated/tunnel-gates.js';
import type {ControlAnswer} from '../core/control-socket.js';
import {TunlError} from '../core/errors.js';
import {oneLine} from '../core/one-line.js';
import type {ControlRequest} from '../launch/control.js';
import type {ListedAddress} from '../launch/journal.js';
import type {BackgroundStatus} from './running-events.js';
import type {NamedTarget} from './targets.js';
import {isClosing, NOTHING_YET, reachOf, type TunnelState} from './tunnel-state.js';

/** The precision of the time of the last traffic, ms. */
const LOOK_EVERY_MS = 2_000;

export interface Traffic {
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface ControlHooks {
  /** Undefined when the process has no end time. Throws when it is about to end. */
  readonly extend?: ((expiresMs: number) => void) | undefined;
  /** The process has a new end time, ISO 8601: `tunl list` reads it from the entry. */
  readonly onExtended: (expiresAt: string) => void;
  /** For a relay. The visitors of tunnels are counted from their events. */
  readonly openVisitors?: (() => number) | undefined;
  readonly stop: (reason: string | undefined) => void;
  /** Add and remove a tunnel. Undefined for a relay. */
  readonly add?: ((target: NamedTarget, gone: AbortSignal) => Promise<ListedAddress>) | undefined;
  readonly remove?:
    | ((name: string, drainTimeoutMs: number | undefined) => Promise<ListedAddress>)
    | undefined;
  /** Other rules about visitors' addresses. Undefined for a relay. */
  readonly access?: ((tunnel: string, allow: readonly string[], deny: readonly string[]) => void) | undefined;
  /** Links to private tunnels. Undefined for a relay. */
  readonly links?: LinkHooks | undefined;
}

/** A link, with the name of its tunnel. */
export type NamedLink = LinkFacts & {tunnel: string};

export interface LinkHooks {
  share(tunnel: string, options: LinkOptions): SharedLink;
  list(tunnel: string | undefined): readonly NamedLink[];
  revoke(link: string): NamedLink;
}

/** The status of the tunnels: their state, and when bytes last moved. */
export class BackgroundState {
  #state: TunnelState = NOTHING_YET;
  #traffic: () => Traffic = () => ({bytesIn: 0, bytesOut: 0});
  #bytes = 0;
  #lastTrafficAt: string | undefined;

  /** From now on checks whether bytes move. Events only report the ends of connections, which may last for days. */
  watch(traffic: () => Traffic): void {
    this.#traffic = traffic;
    setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  /** Called after every event. */
  see(state: TunnelState): void {
    if (state.visitors !== this.#state.visitors) this.#lastTrafficAt = new Date().toISOString();
    this.#state = state;
  }

  status(): BackgroundStatus {
    const {tunnels, link, visitors} = this.#state;
    const [first] = tunnels.values();
    const reach = reachOf(this.#state);
    return {
      link: isClosing(this.#state) ? 'closing' : link === 'up' ? 'up' : link.state,
      ...(first !== undefined && tunnels.size === 1 && {upstream: first.ready.upstream}),
      ...(reach !== 'off' && {reach}),
      visitors: {...visitors},
      ...this.#look(),
      ...(this.#lastTrafficAt !== undefined && {lastTrafficAt: this.#lastTrafficAt}),
    };
  }

  #look(): Traffic {
    const traffic = this.#traffic();
    const bytes = traffic.bytesIn + traffic.bytesOut;
    if (bytes !== this.#bytes) this.#lastTrafficAt = new Date().toISOString();
    this.#bytes = bytes;
    return traffic;
  }
}

/**
 * @param gone aborts when nobody waits for the answer any more
 * @throws TunlError the reason why the tunnels cannot be changed
 */
export async function answerControl(
  request: ControlRequest,
  gone: AbortSignal,
  state: BackgroundState,
  hooks: ControlHooks,
): Promise<ControlAnswer | undefined> {
  switch (request.do) {
    case 'status': {
      const open = hooks.openVisitors?.();
      return {ok: true, status: open === undefined ? state.status() : {link: 'up', visitors: {open}}};
    }
    case 'extend': {
      if (hooks.extend === undefined) return undefined;
      hooks.extend(request.expiresMs);
      const expiresAt = new Date(Date.now() + request.expiresMs).toISOString();
      hooks.onExtended(expiresAt);
      return {ok: true, expiresAt};
    }
    case 'stop': {
      const reason = request.reason === undefined ? '' : oneLine(request.reason);
      hooks.stop(reason === '' ? undefined : reason);
      return {ok: true};
    }
    case 'add': {
      if (hooks.add === undefined) return undefined;
      const {name, subdomain, target, tcp} = request;
      return {ok: true, ...(await hooks.add({name, subdomain, target, tcp}, gone))};
    }
    case 'remove':
      if (hooks.remove === undefined) return undefined;
      return {ok: true, ...(await hooks.remove(request.name, request.drainTimeoutMs))};
    case 'access':
      if (hooks.access === undefined) return undefined;
      hooks.access(request.tunnel, request.allow, request.deny);
      return {ok: true, tunnel: request.tunnel};
    case 'share': {
      const {tunnel, expiresMs, once, visitor} = request;
      const link = hooks.links?.share(tunnel, {expiresMs, once, visitor});
      return link && {ok: true, link: {tunnel, ...link}};
    }
    case 'share-list':
      return hooks.links && {ok: true, links: hooks.links.list(request.tunnel)};
    case 'share-revoke':
      return hooks.links && {ok: true, link: hooks.links.revoke(request.link)};
  }
}

/** The tunnel that was added or removed. @throws TunlError BACKGROUND_SILENT without an answer, or for one of another version */
export function readAddress(answer: ControlAnswer | undefined): ListedAddress {
  const {tunnel, address, upstream}: Record<string, unknown> = answer ?? {};
  if (typeof tunnel !== 'string' || typeof address !== 'string' || typeof upstream !== 'string')
    throw new TunlError('BACKGROUND_SILENT');
  return {tunnel, address, upstream};
}

const LINKS: readonly unknown[] = ['up', 'away', 'leaving', 'refused', 'closing'];

const REACHES: readonly unknown[] = ['passed', 'failed', 'checking', undefined];

/** Undefined for an invalid answer, or one of another version. */
export function readStatus(answer: ControlAnswer | undefined): BackgroundStatus | undefined {
  const status = answer?.status;
  if (typeof status !== 'object' || status === null) return undefined;
  const {link, upstream, reach, visitors, bytesIn, bytesOut, lastTrafficAt} = status as Record<
    string,
    unknown
  >;
  const {open, total} = (visitors ?? {}) as Record<string, unknown>;
  const isCount = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0;
  const areCounts = [total, bytesIn, bytesOut].every((value) => value === undefined || isCount(value));
  const areTexts = [upstream, lastTrafficAt].every(
    (value) => value === undefined || typeof value === 'string',
  );
  return LINKS.includes(link) && REACHES.includes(reach) && isCount(open) && areCounts && areTexts
    ? (status as BackgroundStatus)
    : undefined;
}
