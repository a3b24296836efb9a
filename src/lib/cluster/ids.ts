// The names of a cluster on one machine, and of its private network.

import {randomBytes, randomInt} from '../core/node-crypto.js';

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const ALPHABET = `${LETTERS}23456789`;
const LENGTH = 8;

/** A label of a host name. */
export function newClusterId(): string {
  return Array.from({length: LENGTH}, (_, at) => {
    const from = at === 0 ? LETTERS : ALPHABET;
    return from[randomInt(from.length)];
  }).join('');
}

/** Short, because a plan has those of all members. */
export const newMemberName = (): string => `m${newClusterId().slice(1)}`;

/** Short as well: the ids of plans have it. */
export const newProcessId = (): string => newClusterId();

/** 48 bits of the private range that networks of relays have as well. */
export function newPrefix(): string {
  const id = randomBytes(4).toString('hex');
  // Addresses are compared as texts, so each group is in its usual spelling.
  const group = (text: string) => Number.parseInt(text, 16).toString(16);
  return `fdaa:${group(id.slice(0, 4))}:${group(id.slice(4))}`;
}
