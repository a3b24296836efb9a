// The known state of the way from visitors to one tunnel, and the times of its probes: at the start, after each lost link, and
// after a probe that failed.

import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import type {ProbeEvent, ProbeLeg, ReadyEvent} from './events.js';
import type {Probed} from './prober.js';
import type {TunnelSettings} from './tunnel-settings.js';

/** The waits after a probe that failed, ms; the last one repeats. */
const AGAIN_MS = [5_000, 15_000, 60_000] as const;
/** After a lost link the tunnel may not be bound again yet. These attempts come before a failure is told, ms. */
const AFTER_LOSS_MS = [300, 1_000, 3_000] as const;

const CODES = {
  dns: 'PROBE_DNS',
  tcp: 'PROBE_TCP',
  tls: 'PROBE_TLS',
  session: 'PROBE_SESSION',
} as const satisfies Record<ProbeLeg, string>;

/** As `Prober.probe`, for one tunnel. */
type Probe = (options: {viaRelay: boolean}) => Promise<Probed | undefined>;

export interface ReachOptions {
  probe: Probe;
  /** The tunnel has rules about its visitors' addresses, which may leave this machine out. */
  isRestricted?: boolean;
  onEvent: (event: ProbeEvent) => void;
  clock: Clock;
}

/** Undefined: the user wants no probes. */
export function reachOf(
  {probe: isWanted, cidr, onEvent}: Pick<TunnelSettings, 'probe' | 'cidr' | 'onEvent'>,
  probe: Probe,
): Reach | undefined {
  const isRestricted = cidr !== undefined;
  return isWanted ? new Reach({probe, isRestricted, onEvent, clock: systemClock}) : undefined;
}

export class Reach {
  readonly #options: ReachOptions;
  #viaRelay: boolean;
  #timer: Timer | undefined;
  #last: ProbeEvent | undefined;
  /** Changes when the results of earlier probes count no more. */
  #round = 0;

  constructor(options: ReachOptions) {
    this.#options = options;
    this.#viaRelay = options.isRestricted ?? false;
  }

  /** The tunnel has rules about addresses from now on. */
  restrict(): void {
    this.#viaRelay = true;
  }

  #probe(): Promise<Probed | undefined> {
    return this.#options.probe({viaRelay: this.#viaRelay});
  }

  /** Resolves after the first probe, which has a time limit. */
  async first(): Promise<void> {
    const round = this.#round;
    const probed = await this.#probe();
    if (round === this.#round) this.#last = probed && eventOf(probed);
  }

  /** For `ready`. */
  get fact(): Pick<ReadyEvent, 'probe'> {
    const state = this.#last?.state;
    return state === 'passed' || state === 'failed' ? {probe: state} : {};
  }

  /** The address is told: later changes are events, and so is a first probe that failed. */
  begin(): void {
    if (this.#last?.state !== 'failed') return;
    this.#options.onEvent(this.#last);
    this.#later(AGAIN_MS, 0);
  }

  /** The link is back, at this relay or another one. */
  again(): void {
    this.#round += 1;
    this.#timer?.cancel();
    this.#last = undefined;
    this.#later(AFTER_LOSS_MS, 0);
  }

  end(): void {
    this.#round += 1;
    this.#timer?.cancel();
  }

  #later(waits: readonly number[], step: number): void {
    const round = this.#round;
    const waitMs = waits[Math.min(step, waits.length - 1)] as number;
    // All agents of a relay that was restarted come back at once.
    this.#timer = this.#options.clock.after(waitMs * (0.5 + Math.random()), () => {
      void this.#probe().then((probed) => {
        if (round === this.#round) this.#onProbed(probed, waits, step);
      });
    });
  }

  #onProbed(probed: Probed | undefined, waits: readonly number[], step: number): void {
    const event: ProbeEvent = probed === undefined ? {type: 'probe', state: 'off'} : eventOf(probed);
    const isFailed = event.state === 'failed';
    if (isFailed && waits === AFTER_LOSS_MS && step < waits.length - 1) {
      this.#later(waits, step + 1);
      return;
    }
    const before = this.#last;
    this.#last = event;
    if (isFailed) this.#later(AGAIN_MS, waits === AGAIN_MS ? step + 1 : 0);
    if (!isFailed || before?.state !== 'failed' || before.leg !== event.leg) this.#options.onEvent(event);
  }
}

function eventOf(probed: Probed): ProbeEvent {
  const {by} = probed;
  if (probed.ok) return {type: 'probe', state: 'passed', by, durationMs: probed.ms};
  const {leg, reason} = probed;
  const {code, next} = new TunlError(CODES[leg]);
  return {type: 'probe', state: 'failed', by, leg, code, reason, next};
}
