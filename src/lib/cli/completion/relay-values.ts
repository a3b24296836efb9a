// Names that only a relay knows, for the TAB key: egresses, networks and members. The relay is asked for a short time only,
// and a relay that does not answer costs nothing but its own names.

import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {Contexts} from '../../agent/login/contexts.js';
import {LINK_SETTINGS} from '../../agent/settings-table.js';
import type {LinkValues} from '../../choose-relay.js';
import {isList, isSwitch, type OptionsOf, readTexts, settle} from '../../core/settings.js';
import {isNetworkName} from '../../network/network-names.js';
import type {RelayLink} from '../../open-link.js';
import type {Candidate} from './candidates.js';

/** How long a user waits at the TAB key at most, ms. */
const ANSWER_MS = 3_000;

type NetworkScope = 'net' | 'cluster';

/** Values of flags in the command line, by the names of the flags. */
type Given = Readonly<Record<string, string>>;

/** @throws TunlError */
export async function egressNames(given: Given): Promise<Candidate[]> {
  const {listEgresses} = await import('../../egress/client.js');
  const all = await linked(given, async (link, signal) => await listEgresses(link, {signal}));
  return all.map(({name, addresses}) => ({
    value: name,
    about: addresses.map(({address}) => address).join(', '),
  }));
}

/** Members that take connections. @throws TunlError */
export async function memberNames(network: string, given: Given): Promise<Candidate[]> {
  const {rosterOf} = await import('../../network/list.js');
  const roster = await linked(
    given,
    async (link, signal) => await rosterOf(link, {scope: 'net', network}, signal),
  );
  const open = roster.filter(({accepts}) => accepts);
  return open.map(({name, address}) => ({value: name, about: address}));
}

/** Networks that the token names, and those in which this user has been a member. A relay tells no others. */
export async function networkNames(scope: NetworkScope, given: Given): Promise<Candidate[]> {
  const settings = settle(LINK_SETTINGS, await optionsOf(given));
  const found = await Promise.allSettled([named(scope, settings), joined(scope, settings.stateDir)]);
  const names = found.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
  return [...new Set(names)].sort().map((value) => ({value}));
}

async function named(scope: NetworkScope, settings: LinkValues): Promise<string[]> {
  const {identityAt} = await import('../../login.js');
  const {identity} = await identityAt(settings, AbortSignal.timeout(ANSWER_MS));
  const prefix = `${scope}:`;
  const own = (identity.scopes ?? []).filter((each) => each.startsWith(prefix));
  // A pattern is no name, and what the relay says must not become words of a command.
  return own.map((each) => each.slice(prefix.length)).filter(isNetworkName);
}

/** By the keys of members in the state folder. */
async function joined(scope: NetworkScope, stateDir: string): Promise<string[]> {
  const prefix = `${scope}-`;
  const folders = await readdir(join(stateDir, 'net'));
  return folders
    .filter((each) => each.startsWith(prefix))
    .map((each) => each.slice(prefix.length))
    .filter(isNetworkName);
}

async function linked<T>(
  given: Given,
  ask: (link: RelayLink, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const signal = AbortSignal.timeout(ANSWER_MS);
  const {openLink} = await import('../../open-link.js');
  await using link = await openLink({...(await optionsOf(given)), signal});
  return await ask(link, signal);
}

/** As commands choose their relay: by flags, the environment, or the current context. @throws TunlError */
async function optionsOf(given: Given): Promise<OptionsOf<typeof LINK_SETTINGS>> {
  const options: OptionsOf<typeof LINK_SETTINGS> = readTexts(LINK_SETTINGS, ({flag = '', kind}) =>
    isSwitch(kind) || isList(kind) ? undefined : given[flag],
  );
  const {relay, context, stateDir} = settle(LINK_SETTINGS, options);
  const current = await new Contexts(stateDir).currentBeside({relay, context});
  return current === undefined ? options : {...options, context: current};
}
