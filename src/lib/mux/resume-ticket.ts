// Each side's knowledge for a resume: secrets, epochs and permissions, as values without I/O.

import {
  agentProof,
  newSecret,
  newSessionId,
  nextSecret,
  type ResumeFacts,
  relayProof,
  sameProof,
} from './proof.js';

/** The agent's half: the values for the resume of its session. */
export class AgentTicket {
  readonly id: string;
  #secret: string;
  /** Grows with each attempt, answered or not: the relay accepts no number twice. */
  #epoch: number;
  #attempt: ResumeFacts | undefined;

  constructor(id: string, secret: string, epoch: number) {
    this.id = id;
    this.#secret = secret;
    this.#epoch = epoch;
  }

  ask(
    agentNonce: string,
    relayNonce: string,
    received: number,
  ): {id: string; epoch: number; received: number; proof: string} {
    this.#epoch += 1;
    this.#attempt = {id: this.id, epoch: this.#epoch, agentNonce, relayNonce};
    return {
      id: this.id,
      epoch: this.#epoch,
      received,
      proof: agentProof(this.#secret, this.#attempt, received),
    };
  }

  /** The relay's answer to the last `ask`. False: it does not know the secret, so it is not the relay of this session. */
  confirm(epoch: number, received: number, proof: string): boolean {
    const attempt = this.#attempt;
    if (attempt === undefined || epoch !== attempt.epoch) return false;
    if (!sameProof(proof, relayProof(this.#secret, attempt, received))) return false;
    this.#secret = nextSecret(this.#secret, attempt);
    this.#attempt = undefined;
    return true;
  }
}

export type TicketVerdict =
  | {ok: true; epoch: number; answer(received: number): string}
  | {ok: false; code: 'SESSION_PROOF' | 'SESSION_STALE'};

/** The relay's half. */
export class RelayTicket {
  readonly id: string;
  /** The agent gets it once, with the welcome of the new session. */
  readonly firstSecret = newSecret();
  #epoch = 1;
  #secret = this.firstSecret;
  /** The secret after the last resume, until the agent has proved that it got the welcome, which may have been lost. */
  #tentative: string | undefined;

  constructor(id = newSessionId()) {
    this.id = id;
  }

  get epoch(): number {
    return this.#epoch;
  }

  check(facts: Omit<ResumeFacts, 'id'>, received: number, proof: string): TicketVerdict {
    const all: ResumeFacts = {...facts, id: this.id};
    const known = [this.#tentative, this.#secret];
    const secret = known.find(
      (each) => each !== undefined && sameProof(proof, agentProof(each, all, received)),
    );
    if (secret === undefined) return {ok: false, code: 'SESSION_PROOF'};
    if (facts.epoch <= this.#epoch) return {ok: false, code: 'SESSION_STALE'};
    this.#epoch = facts.epoch;
    this.#secret = secret;
    this.#tentative = nextSecret(secret, all);
    return {ok: true, epoch: facts.epoch, answer: (count) => relayProof(secret, all, count)};
  }
}
