// How people and programs write the rules for a sandbox's network: `none`, `internet`, or destinations.

import {TunlError} from '../core/errors.js';
import {checkEgress, egressList, egressText, parseEgress} from '../seal/rules.js';
import type {EgressRules} from './spec.js';

/** `none`, `internet`, `HOST:PORT,HOST:PORT`, a list of `HOST:PORT`, or rules. @throws TunlError EGRESS_INVALID */
export function readEgress(written: unknown): EgressRules {
  if (typeof written === 'string') return parseEgress(written);
  if (isList(written, 'string')) return egressList(written as string[]);
  const {kind, allow} = (written ?? {}) as {kind?: unknown; allow?: unknown};
  if (kind === 'none' || kind === 'internet') return {kind};
  if (kind === 'list' && isList(allow, 'object')) return checkEgress(written as EgressRules);
  throw new TunlError('EGRESS_INVALID');
}

export const showEgress = egressText;

function isList(value: unknown, type: 'string' | 'object'): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === type && each !== null);
}
