// Reads the claims of an identity, which an issuer has signed and a person may have written.

import {matchesGlob} from './glob.js';

export type Claims = Readonly<Record<string, unknown>>;

/** A claim that must have a text like this. `*` stands for any characters. */
export interface Condition {
  readonly claim: string;
  readonly pattern: string;
}

/** The texts of a claim. Anybody can write any address into an account, so only a verified one counts. */
export function textsOf(claims: Claims, name: string): string[] {
  if (!Object.hasOwn(claims, name)) return [];
  if (name === 'email' && claims.email_verified !== true && claims.email_verified !== 'true') return [];
  const value = claims[name];
  return (Array.isArray(value) ? (value as unknown[]) : [value])
    .filter((each) => typeof each === 'string' || typeof each === 'number' || typeof each === 'boolean')
    .map(String);
}

export function isMet({claim, pattern}: Condition, claims: Claims): boolean {
  const wanted = comparable(claim, pattern);
  return textsOf(claims, claim).some((text) => matchesGlob(wanted, comparable(claim, text)));
}

/** Issuers spell an address as its owner has written it. */
const comparable = (claim: string, text: string): string => (claim === 'email' ? text.toLowerCase() : text);
