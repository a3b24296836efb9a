// Shows whether visitors reach this agent: a connection through a tunnel's public name must arrive here. The agent dials the
// name itself; where that fails, or takes long, the relay dials it as well.

import type {ProbeEnd} from '../carrier/probe.js';
import type {Clock, Timer} from '../core/clock.js';
import {toTunlError} from '../core/errors.js';
import {type ProbeSecret, ProbeSecrets} from '../mux/probe-secrets.js';
import type {Stream} from '../mux/stream.js';
import {PROBE_SERVICE} from '../protocol/probe.js';
import type {HostPort} from '../protocol/targets.js';
import type {ProbeLeg} from './events.js';
import type {PublicSides} from './tunnel-requests.js';

/** For everything, ms: an address must not be held back for longer. */
const WHOLE_MS = 4_000;
/** The relay is asked after this time, ms: a firewall that drops packets gives no answer. */
const ASK_AFTER_MS = 1_000;
/** The tunnels of a link are probed at the same time up to this number. */
const MOST_AT_ONCE = 4;

/** `by`: the side whose connection arrived, or failed. */
export type Probed =
  | {ok: true; by: 'agent' | 'relay'; ms: number}
  | {ok: false; by: 'agent' | 'relay'; leg: ProbeLeg; reason: string};

export interface ProberOptions {
  /** Dials a public name as a visitor does. Undefined: this machine has to use a proxy. Never rejects. */
  dial: (
    place: HostPort,
    about: {secret: string; timeoutMs: number; signal: AbortSignal},
  ) => Promise<ProbeEnd> | undefined;
  /** The relay dials, as this request says. Rejects when it cannot be asked. */
  ask: (request: object, signal: AbortSignal) => Promise<ProbeEnd>;
  /** Whether the relay of the current link knows probes. */
  isOffered: () => boolean;
  clock: Clock;
}

export class Prober {
  readonly #options: ProberOptions;
  readonly #secrets: ProbeSecrets;
  readonly #waiting: Array<() => void> = [];
  #running = 0;

  constructor(options: ProberOptions) {
    this.#options = options;
    // A stream that waits for its end would be counted as a visitor that is kept when the link is lost now.
    this.#secrets = new ProbeSecrets(options.clock, {answers: false});
  }

  /** Takes the stream of a visitor that speaks the protocol of probes. */
  answer(stream: Stream): void {
    this.#secrets.answer(stream);
  }

  /**
   * Undefined: the relay does not know probes. Never rejects.
   *
   * @param viaRelay this machine does not dial: the relay may not take its connections as those of visitors.
   */
  async probe(
    {tls, tcp, local}: PublicSides,
    {viaRelay = false}: {viaRelay?: boolean} = {},
  ): Promise<Probed | undefined> {
    if (!this.#options.isOffered()) return undefined;
    if (this.#running >= MOST_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      const [name, port] = await Promise.all([
        // A local port belongs to a relay in this process.
        local === undefined || viaRelay
          ? tls && this.#run(viaRelay ? undefined : tls, {kind: 'tls', host: tls.host})
          : this.#run(local, undefined),
        tcp && this.#run(undefined, {kind: 'tcp', port: tcp.port}),
      ]);
      if (name === undefined) return port;
      return port === undefined || port.ok || !name.ok ? name : port;
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** A proxy variable or a CA that cannot be used is a failure like others. */
  #dial(...asked: Parameters<ProberOptions['dial']>): ReturnType<ProberOptions['dial']> {
    try {
      return this.#options.dial(...asked);
    } catch (error) {
      return Promise.resolve({ok: false, leg: 'tcp', reason: toTunlError(error).message, ms: {}});
    }
  }

  /** @param place for this machine to dial. @param request for the relay. */
  #run(place: HostPort | undefined, request: object | undefined): Promise<Probed> {
    const {clock, ask} = this.#options;
    const since = clock.now();
    const stop = new AbortController();
    const {signal} = stop;
    const {promise, resolve} = Promise.withResolvers<Probed>();
    const timers: Timer[] = [];
    const secrets: ProbeSecret[] = [];
    const failures: Partial<Record<'agent' | 'relay', ProbeEnd & {ok: false}>> = {};
    let isAsked = false;
    let running = 0;
    const settle = (probed: Probed) => {
      for (const timer of timers) timer.cancel();
      for (const secret of secrets) secret[Symbol.dispose]();
      stop.abort();
      resolve(probed);
    };
    const giveUp = () => {
      // The failure that this machine has seen comes first: it is nearer to its user.
      const by = failures.agent !== undefined || failures.relay === undefined ? 'agent' : 'relay';
      const {leg, reason} = failures[by] ?? NO_ANSWER;
      settle({ok: false, by, leg, reason});
    };
    const watch = (by: 'agent' | 'relay', end: Promise<ProbeEnd>) => {
      running += 1;
      void end.then((result) => {
        if (signal.aborted) return;
        running -= 1;
        // A probe that went through has arrived, or is about to.
        if (result.ok) return;
        failures[by] = result;
        if (by === 'agent') askRelay();
        if (running === 0) giveUp();
      });
    };
    const issue = (by: 'agent' | 'relay') => {
      const issued = this.#secrets.issue(() => settle({ok: true, by, ms: Math.round(clock.now() - since)}));
      secrets.push(issued);
      return issued.secret;
    };
    const askRelay = () => {
      if (isAsked || request === undefined) return;
      isAsked = true;
      const asked = ask({service: PROBE_SERVICE, ...request, secret: issue('relay')}, signal);
      watch(
        'relay',
        asked.catch((error: unknown) => ({ok: false, leg: 'session', reason: String(error), ms: {}})),
      );
    };
    timers.push(clock.after(WHOLE_MS, giveUp));
    const own = place && this.#dial(place, {secret: issue('agent'), timeoutMs: WHOLE_MS, signal});
    if (own === undefined) askRelay();
    else {
      timers.push(clock.after(ASK_AFTER_MS, askRelay));
      watch('agent', own);
    }
    if (running === 0) giveUp();
    return promise;
  }
}

const NO_ANSWER = {leg: 'session', reason: 'no connection has come through'} as const;
