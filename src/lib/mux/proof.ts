// Proofs that a side knows the session's secret, without sending it, and the next secret. Pure: keyed hashes only.

import {createHmac, randomBytes, timingSafeEqual} from '../core/node-crypto.js';

/** The facts of one resume, which both sides know. Each nonce is fresh, so a recorded proof does not fit a second time. */
export interface ResumeFacts {
  id: string;
  epoch: number;
  agentNonce: string;
  relayNonce: string;
}

export const newNonce = (): string => randomBytes(16).toString('hex');
export const newSessionId = (): string => randomBytes(16).toString('hex');
export const newSecret = (): string => randomBytes(32).toString('hex');

function keyedHash(secret: string, purpose: string, facts: ResumeFacts, received: number): string {
  const text = [purpose, facts.id, facts.epoch, facts.agentNonce, facts.relayNonce, received].join('\n');
  return createHmac('sha256', Buffer.from(secret, 'hex')).update(text).digest('hex');
}

/** `received`: the prover's count in the same message, so that nobody can change it under way. */
export const agentProof = (secret: string, facts: ResumeFacts, received: number): string =>
  keyedHash(secret, 'tunl agent', facts, received);

export const relayProof = (secret: string, facts: ResumeFacts, received: number): string =>
  keyedHash(secret, 'tunl relay', facts, received);

/** The secret after this resume. */
export const nextSecret = (secret: string, facts: ResumeFacts): string =>
  keyedHash(secret, 'tunl next', facts, 0);

export function sameProof(a: string, b: string): boolean {
  const left = Buffer.from(a, 'hex');
  const right = Buffer.from(b, 'hex');
  return left.length === right.length && timingSafeEqual(left, right);
}
