// The programs of the members that this process starts: begun together, and ended together as soon as one fails.

import {systemClock, type Timer} from '../core/clock.js';
import {exitCodeOf} from '../launch/exit.js';
import type {MemberProcess, ProcessExit} from '../seal/fabric/member-process.js';

export interface CrewMember {
  readonly rank: number;
  readonly process: MemberProcess;
}

export interface CrewOptions {
  readonly members: readonly CrewMember[];
  readonly graceMs: number;
  readonly onOutput?:
    | ((rank: number, from: 'stdout' | 'stderr', bytes: Uint8Array) => void | Promise<void>)
    | undefined;
  /** @param told it was told to end before. */
  readonly onExit: (rank: number, exit: ProcessExit, told: boolean) => void;
}

export interface Failure {
  readonly rank: number;
  readonly exitCode: number;
}

export class Crew {
  /** The first program that failed by itself. */
  failure: Failure | undefined;
  /** All programs have ended. Their output may still be on its way. */
  readonly exited: Promise<void>;
  readonly #options: CrewOptions;
  readonly #running: Map<number, MemberProcess>;
  readonly #outputs: Promise<void>[];
  #killing: Timer | undefined;
  #isTold = false;

  constructor(options: CrewOptions) {
    this.#options = options;
    const {members} = options;
    this.#running = new Map(members.map(({rank, process}) => [rank, process]));
    this.#outputs = members.flatMap((member) => [this.#read(member, 'stdout'), this.#read(member, 'stderr')]);
    this.exited = Promise.all(members.map((member) => this.#follow(member))).then(() => {
      this.#killing?.cancel();
    });
  }

  /** SIGTERM to all, and SIGKILL after the grace. Idempotent. */
  end(): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#kill('SIGTERM');
    this.#killing = systemClock.after(this.#options.graceMs, () => this.#kill('SIGKILL'));
  }

  /** Resolves when all output has been taken. Programs in the background may hold it open until the network is closed. */
  async drained(): Promise<void> {
    await Promise.all(this.#outputs);
  }

  #kill(signal: NodeJS.Signals): void {
    for (const process of this.#running.values()) process.kill(signal);
  }

  async #follow({rank, process}: CrewMember): Promise<void> {
    const exit = await process.exited;
    this.#running.delete(rank);
    const exitCode = exitCodeOf(exit);
    const told = this.#isTold;
    if (exitCode !== 0 && !told) this.failure = {rank, exitCode};
    this.#options.onExit(rank, exit, told);
    if (exitCode !== 0) this.end();
  }

  async #read({rank, process}: CrewMember, from: 'stdout' | 'stderr'): Promise<void> {
    try {
      for await (const bytes of process[from]) await this.#options.onOutput?.(rank, from, bytes);
    } catch {
      // A pipe that breaks is at its end.
    }
  }
}
