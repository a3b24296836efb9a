// Notices what a program in a sealed network has missed without an error that explains it: UDP, which is refused, and services
// of the machine's own loopback.
//
// Two counters of the kernel rise with it. Reading them costs little, so only a rise asks the rules of the namespace for ports.

import {readFileSync} from 'node:fs';

export interface Missed {
  readonly udp: readonly number[];
  /** Ports of loopback where nobody listens inside. */
  readonly local: readonly number[];
}

export type OnMissed = (missed: {readonly kind: keyof Missed; readonly port: number}) => Promise<unknown>;

export interface MissedWatchOptions {
  /** A process in the namespace. */
  readonly pid: number;
  /** The ports so far, as the holder writes them. */
  readonly ask: () => Promise<string>;
  readonly onMissed: OnMissed;
}

const PERIOD_MS = 1_000;

export class MissedWatch {
  readonly #options: MissedWatchOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #told = new Set<string>();
  #count = 0;
  #looking: Promise<void> = Promise.resolve();

  constructor(options: MissedWatchOptions) {
    this.#options = options;
    this.#count = this.#counter();
    this.#timer = setInterval(() => void this.look(), PERIOD_MS).unref();
  }

  /** Tells of what is new, after an earlier look has told. Never rejects. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look());
    return this.#looking;
  }

  async #look(): Promise<void> {
    const count = this.#counter();
    if (count <= this.#count) return;
    this.#count = count;
    const {ask, onMissed} = this.#options;
    const missed = readMissed(await ask().catch(() => ''));
    for (const kind of ['udp', 'local'] as const) {
      for (const port of missed[kind]) {
        if (this.#told.has(`${kind} ${port}`)) continue;
        this.#told.add(`${kind} ${port}`);
        await onMissed({kind, port});
      }
    }
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #counter(): number {
    const folder = `/proc/${this.#options.pid}/net`;
    return countMissed(read(`${folder}/snmp`), read(`${folder}/snmp6`));
  }
}

/** Failed attempts to connect, and refusals of other protocols. @internal */
export function countMissed(snmp: string, snmp6: string): number {
  const field = (protocol: string, name: string): number => {
    const [names = '', values = ''] = snmp.split('\n').filter((line) => line.startsWith(`${protocol}: `));
    return Number(values.split(' ')[names.split(' ').indexOf(name)] ?? 0);
  };
  const six = Number(/^Icmp6OutDestUnreachs\s+(\d+)$/m.exec(snmp6)?.[1] ?? 0);
  return field('Tcp', 'AttemptFails') + field('Icmp', 'OutDestUnreachs') + six;
}

/** `udp=53,443 local=6379`. @internal */
export function readMissed(text: string): Missed {
  const ports = (name: string) =>
    (new RegExp(`(?:^| )${name}=([\\d,]*)`).exec(text)?.[1] ?? '').split(',').filter(Boolean).map(Number);
  return {udp: ports('udp'), local: ports('local')};
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
