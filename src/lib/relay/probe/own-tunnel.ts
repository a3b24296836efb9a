// A tunnel of the relay itself: its agent is in this process, over a session in memory, and has no upstream.

import type {Clock} from '../../core/clock.js';
import {randomBytes} from '../../core/node-crypto.js';
import {BlockPool} from '../../mux/blocks.js';
import {Link, NOBODY} from '../../mux/link.js';
import {createPipe} from '../../mux/pipe.js';
import {type ProbeSecret, ProbeSecrets} from '../../mux/probe-secrets.js';
import {Session} from '../../mux/session.js';
import {parseVisitorOpen} from '../../protocol/control-messages.js';
import {randomLabel} from '../../protocol/names.js';
import {PROBE_PROTOCOL} from '../../protocol/probe.js';
import {unlimitedPrincipal} from '../access/principal.js';
import type {Tunnel} from '../tunnels/tunnel-table.js';

/** No agent can have this owner: the names of people have no colon, and others begin with `token:` or `key:`. */
export const OWN_OWNER = 'relay:itself';
const PRINCIPAL = unlimitedPrincipal(OWN_OWNER);

export interface OwnTunnelOptions {
  domain: string;
  publicPort: () => number;
  clock: Clock;
}

export class OwnTunnel {
  /** Nobody can guess it, and no agent can have it. */
  readonly label = randomLabel(randomBytes);
  readonly host: string;
  readonly #options: OwnTunnelOptions;
  readonly #pool = new BlockPool();
  readonly #secrets: ProbeSecrets;
  #sessions: {relay: Session; agent: Session} | undefined;
  #onOpened: () => void = () => {};

  constructor(options: OwnTunnelOptions) {
    this.#options = options;
    this.#secrets = new ProbeSecrets(options.clock, {answers: true});
    this.host = `${this.label}.${options.domain}`;
  }

  /** @param onOpened a visitor's stream has come to the agent. */
  issue(onOpened: () => void): ProbeSecret {
    this.#onOpened = onOpened;
    return this.#secrets.issue(() => {});
  }

  /** For visitors of its name. */
  get tunnel(): Tunnel {
    const {publicPort} = this.#options;
    return {
      id: 1,
      key: `tls:${this.label}`,
      isRandom: true,
      session: this.#session(),
      owner: OWN_OWNER,
      principal: PRINCIPAL,
      sessionName: 'own',
      epoch: 1,
      since: 0,
      traffic: {visitors: 0, bytesIn: 0, bytesOut: 0},
      host: this.host,
      port: publicPort(),
      alpn: ['http/1.1'],
      addresses: undefined,
      draining: false,
      onLost: () => {},
      warn: () => {},
    };
  }

  /** Ends the session; the next visitor begins another one. */
  rest(): void {
    const {relay, agent} = this.#sessions ?? {};
    this.#sessions = undefined;
    relay?.close();
    agent?.close();
  }

  #session(): Session {
    if (this.#sessions !== undefined && !this.#sessions.relay.ended) return this.#sessions.relay;
    const {clock} = this.#options;
    const [one, other] = createPipe();
    const base = {pool: this.#pool, clock, resumeWindowMs: 0};
    const ends = {onControl: () => {}, onEnded: () => {}};
    const relay = new Session({
      ...base,
      role: 'relay',
      sink: {...ends, onOpen: (stream) => stream.refuse('KIND_UNKNOWN')},
    });
    const agent = new Session({
      ...base,
      role: 'agent',
      sink: {
        ...ends,
        onOpen: (stream, about) => {
          if (parseVisitorOpen(about).alpn !== PROBE_PROTOCOL) {
            stream.refuse('UPSTREAM_REFUSED');
            return;
          }
          this.#onOpened();
          this.#secrets.answer(stream);
        },
      },
    });
    for (const [session, carrier] of [
      [relay, one],
      [agent, other],
    ] as const) {
      const link = new Link(carrier, {clock});
      link.start(NOBODY);
      session.attach(link, 0);
    }
    this.#sessions = {relay, agent};
    return relay;
  }
}
