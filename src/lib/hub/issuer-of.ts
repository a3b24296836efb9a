// The issuer of identities at which people sign in to a hub, from its settings.

import {TunlError} from '../core/errors.js';
import {readCaFile} from '../core/pem.js';
import type {SettingsOf} from '../core/settings.js';
import {readSecretFile} from '../core/state-dir.js';
import {issuerOfRelay} from '../login.js';
import type {IssuerSignInOptions} from './api/issuer-sign-in.js';
import type {HUB_SETTINGS} from './settings-table.js';
import type {Connection} from './supervised.js';

type Values = Pick<SettingsOf<typeof HUB_SETTINGS>, Extract<keyof typeof HUB_SETTINGS, `oidc${string}`>>;

/** Undefined: people sign in with tokens alone. @throws TunlError OPTION_INVALID, RELAY_*, or the error of a file */
export async function issuerOf(
  values: Values,
  connection: Connection,
  stateDir: string,
): Promise<IssuerSignInOptions | undefined> {
  const {oidcClient: clientId, oidcSecretFile, oidcIssuer, oidcCaFile, oidcRules: rules} = values;
  const invalid = (reason: string, next: string) => new TunlError('OPTION_INVALID', {reason, next});
  if (clientId === undefined) {
    if ((oidcIssuer ?? oidcSecretFile ?? rules[0]) === undefined) return undefined;
    throw invalid('The issuer needs to know its client.', 'Add `oidc-client: ID`.');
  }
  if (rules.length === 0)
    throw invalid('Nobody may sign in there yet.', "Add `oidc-rule: ['email=*@example.com hub:sessions']`.");
  const ca = oidcCaFile === undefined ? undefined : await readCaFile(oidcCaFile);
  const issuer = oidcIssuer ?? (await issuerOfRelay({...connection, stateDir}));
  if (issuer === undefined)
    throw invalid('The relay has no issuer of identities.', 'Add `oidc-issuer: https://…`.');
  const secret = oidcSecretFile === undefined ? undefined : await readSecretFile(oidcSecretFile, 'password');
  const client = {issuer, clientId, secret, trust: {ca}};
  return {client, rules, owner: values.oidcOwner, quota: values.oidcQuota};
}
