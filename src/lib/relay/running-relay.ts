// A running relay: its addresses, its counts, and its end.

import type {Clock} from '../core/clock.js';
import {labelUnder} from '../protocol/names.js';
import type {HostPort} from '../protocol/targets.js';
import type {LocalDoor, LocalDoorRequest, LocalDoors} from './doors/local-doors.js';
import type {RelayEvents} from './events.js';
import type {Relay, RelayReload, RelayStats} from './options.js';
import type {Parts} from './part.js';
import type {ProbeState} from './probe/probe-state.js';
import {Reloads, type Reread} from './reload.js';
import type {RelaySettings} from './settings.js';

export interface RunningRelayOptions {
  domain: string;
  url: () => string;
  door: {readonly address: HostPort};
  /** Undefined: this relay has none. */
  localDoors: Pick<LocalDoors, 'open'> | undefined;
  redirect: {readonly address: HostPort} | undefined;
  certificates: {readonly caFile: string | undefined};
  stats: () => RelayStats;
  /** Default: the relay does not probe itself. */
  probe?: () => ProbeState | undefined;
  parts: Parts;
  clock: Clock;
  events: Pick<RelayEvents, 'emit'>;
  settings: RelaySettings;
  /** The settings as they are now outside of the relay. A worker gets them from the first process. */
  reread: () => Promise<Reread>;
}

/** The time for open connections when the operator ends a relay inside a program. */
const DRAIN_MS = 30_000;

export class RunningRelay implements Relay {
  readonly #options: RunningRelayOptions;
  /** The operator wants it to end in order. A command does that itself, with the time that it allows. */
  onDrainRequested: () => void = () => void this.close({drainTimeoutMs: DRAIN_MS});
  readonly #reloads: Reloads;
  #closing: Promise<void> | undefined;

  constructor(options: RunningRelayOptions) {
    this.#options = options;
    this.#reloads = new Reloads(options);
  }

  get domain(): string {
    return this.#options.domain;
  }

  get url(): string {
    return this.#options.url();
  }

  get address(): {host: string; port: number} {
    return this.#options.door.address;
  }

  get httpAddress(): {host: string; port: number} | undefined {
    return this.#options.redirect?.address;
  }

  /** Set when it has started. */
  metricsAddress: HostPort | undefined;

  get caFile(): string | undefined {
    return this.#options.certificates.caFile;
  }

  get tokenRequired(): boolean {
    const {token, hasTokens, oidcIssuers} = this.#options.settings;
    return token !== undefined || hasTokens || oidcIssuers.length > 0;
  }

  /** A port of this machine for the tunnel with this name. Undefined: none can be had. */
  async openLocalDoor(host: string, about: Omit<LocalDoorRequest, 'label'>): Promise<LocalDoor | undefined> {
    const label = labelUnder(host, this.domain);
    return label === undefined ? undefined : await this.#options.localDoors?.open({...about, label});
  }

  stats(): RelayStats {
    return this.#options.stats();
  }

  /** The last probe of the relay's own tunnel. Undefined: none has ended yet, or the relay does not probe itself. */
  get probe(): ProbeState | undefined {
    return this.#options.probe?.();
  }

  reload(): Promise<RelayReload> {
    return this.#reloads.reload();
  }

  /** Takes settings that the first process has read. */
  async take(settings: RelaySettings): Promise<void> {
    await this.#options.parts.reload(settings);
  }

  close({drainTimeoutMs = 0}: {drainTimeoutMs?: number} = {}): Promise<void> {
    const {parts, clock} = this.#options;
    this.#closing ??= parts.end(clock.now() + drainTimeoutMs);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
