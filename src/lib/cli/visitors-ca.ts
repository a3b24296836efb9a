// The CA that visitors of a tunnel need, for commands whose printed line names it.

import {LINK_SETTINGS} from '../agent/settings-table.js';
import {chooseRelay} from '../choose-relay.js';
import {settle} from '../core/settings.js';
import {usableState} from '../core/usable-state.js';
import {ensureCa} from '../relay/certificates/install-ca.js';
import {optionsOf} from './setting-flags.js';
import type {LinkFlags} from './tunnel-flags.js';

/**
 * The file of the CA of the relay's certificate. Undefined: visitors' systems know it.
 *
 * @param flags with the current context
 * @throws TunlError as `chooseRelay`
 */
export async function visitorsCa(flags: LinkFlags): Promise<string | undefined> {
  const chosen = await chooseRelay(settle(LINK_SETTINGS, optionsOf(LINK_SETTINGS, flags)));
  // TUNL_CA_FILE may be meant for another relay than the one inside this process.
  return chosen === undefined ? await ensureCa(usableState({mustWrite: true}).path) : chosen.caFile;
}
