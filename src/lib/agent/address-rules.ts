// The rules about visitors' addresses, as a user gives them and as the relay gets them.

import {settle} from '../core/settings.js';
import type {AddressRules} from '../protocol/control-messages.js';
import {ADDRESS_SETTINGS} from './settings-table.js';

/** Addresses and ranges such as `203.0.113.0/24`, 64 in each list at the most. */
export interface AddressOptions {
  /** Only visitors from these. Default: from everywhere. */
  cidrAllow?: readonly string[];
  /** No visitors from these, even where `cidrAllow` has them. */
  cidrDeny?: readonly string[];
}

/** Undefined: visitors may come from everywhere. */
export function rulesOf({
  cidrAllow,
  cidrDeny,
}: {[K in keyof AddressOptions]: AddressOptions[K] | undefined}): AddressRules | undefined {
  if (!cidrAllow?.length && !cidrDeny?.length) return undefined;
  return {...(cidrAllow?.length && {allow: cidrAllow}), ...(cidrDeny?.length && {deny: cidrDeny})};
}

/** @throws TunlError OPTION_INVALID */
export function checkedRules({cidrAllow, cidrDeny}: AddressOptions): AddressRules {
  const options = {...(cidrAllow && {cidrAllow: [...cidrAllow]}), ...(cidrDeny && {cidrDeny: [...cidrDeny]})};
  return rulesOf(settle(ADDRESS_SETTINGS, options, {})) ?? {};
}
