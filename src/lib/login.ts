// Logins at relays: a token is checked before it is stored, and stored once for each relay.

import {type Context, Contexts, checkContextName, usualName} from './agent/login/contexts.js';
import {type DeviceCode, deviceLogin} from './agent/login/device-flow.js';
import {isFromIssuer} from './agent/login/issuer-token.js';
import {
  endLogin,
  exchangeToken,
  type Identity,
  type RelayInfo,
  type RelayPlace,
  relayInfo,
  whoAmI,
} from './agent/login/relay-site.js';
import {dialCarrier} from './carrier/dial.js';
import {relayOrigin} from './carrier/relay-url.js';
import {chooseRelay, type LinkValues} from './choose-relay.js';
import {TunlError} from './core/errors.js';
import {readOwnCa} from './core/own-ca.js';
import {readCaFile} from './core/pem.js';
import {shellWord} from './core/shell-word.js';
import {AGENT_PATH} from './protocol/wire.js';
import {renewed} from './token-source.js';

export type {DeviceCode} from './agent/login/device-flow.js';
export type {Identity} from './agent/login/relay-site.js';

export interface LoginOptions {
  /** `https://relay.example.net[:port]` */
  relay: string;
  /** PEM file with the relay's CA, and that of its issuer. An absolute path. */
  caFile: string | undefined;
  /** Default: that of the login at the same relay, else the relay's host. */
  name: string | undefined;
  stateDir: string;
  /** The token that the user gives. Undefined: at a relay with an issuer the user logs in there. */
  token: (() => Promise<string>) | undefined;
  /** Asks the user, at a relay without an issuer. */
  askToken: () => Promise<string>;
  onDeviceCode: (code: DeviceCode) => void;
  signal?: AbortSignal;
}

export interface LoggedIn {
  context: Context;
  /** Undefined: the relay asks for no token, or is older than logins. */
  identity: Identity | undefined;
}

/** @throws TunlError RELAY_*, TOKEN_*, ISSUER_FAILED, LOGIN_FAILED, OPTION_INVALID, STATE_DIR, … */
export async function logIn(options: LoginOptions): Promise<LoggedIn> {
  const {caFile, stateDir, signal, name} = options;
  if (name !== undefined) checkContextName(name);
  const origin = relayOrigin(options.relay);
  const contexts = new Contexts(stateDir);
  const before = await contexts.at(origin);
  const target = name ?? before?.name ?? usualName(origin);
  await checkUnused(contexts, target, origin);
  const place = await placeOf(origin, {caFile: caFile ?? before?.caFile, stateDir, signal});
  const info = await relayInfo(place);
  const found = await identify(place, info, options);
  const context = renewed(
    {
      name: target,
      relay: origin,
      ...(place.caFile !== undefined && {caFile: place.caFile}),
      ...(found.token !== undefined && {token: found.token}),
    },
    found.identity ?? {},
    found.renewal,
  );
  await contexts.save(context);
  // The same relay has one login.
  if (before !== undefined && before.name !== context.name) await contexts.remove(before.name);
  await contexts.use(context.name);
  return {context, identity: found.identity};
}

/** Another relay's login under this name would be lost, and its token would live on there. @throws TunlError OPTION_INVALID */
async function checkUnused(contexts: Contexts, name: string, origin: string): Promise<void> {
  const other = (await contexts.all()).find((each) => each.name === name && each.relay !== origin);
  if (other === undefined) return;
  throw new TunlError('OPTION_INVALID', {
    reason: `The context ${name} is the login at ${other.relay}.`,
    next: `Give the new one another name with --context, or remove that one: tunl context remove ${shellWord(name)}`,
  });
}

interface Found {
  token?: string;
  renewal?: {issuer: string; clientId: string; refreshToken: string};
  identity: Identity | undefined;
}

async function identify(
  place: RelayPlace,
  info: RelayInfo | undefined,
  {token: given, askToken, onDeviceCode, signal}: LoginOptions,
): Promise<Found> {
  if (info?.token === false && given === undefined) return {identity: undefined};
  if (given === undefined && info?.login !== undefined) {
    const {login} = info;
    const issued = await deviceLogin(login, {...place, signal, onCode: onDeviceCode});
    const {issuer, clientId} = login;
    const {refreshToken} = issued;
    const exchanged = await exchange(place, issued.idToken);
    return {...exchanged, ...(refreshToken !== undefined && {renewal: {issuer, clientId, refreshToken}})};
  }
  const token = await (given ?? askToken)();
  // A job's token of an issuer lasts for minutes.
  if (info?.exchange && isFromIssuer(token)) return await exchange(place, token);
  if (info !== undefined) return {token, identity: await whoAmI(place, token)};
  // An older relay says only whether it takes the token.
  const {carrier} = await dialCarrier({
    url: place.origin,
    path: AGENT_PATH,
    token,
    timeoutMs: 10_000,
    ownCa: place.ownCa,
    ...(place.ca !== undefined && {ca: place.ca}),
    ...(signal && {signal}),
  });
  carrier.destroy();
  return {token, identity: undefined};
}

async function exchange(place: RelayPlace, issued: string): Promise<Found> {
  const {token, ...identity} = await exchangeToken(place, issued);
  if (token === undefined) throw new TunlError('LOGIN_FAILED', {reason: 'The relay gave no token.'});
  return {token, identity};
}

/** The relay that commands would use, and whom it sees. @throws TunlError as `chooseRelay` and `whoAmI` */
export async function identityAt(
  settings: Pick<LinkValues, 'relay' | 'context' | 'token' | 'tokenFile' | 'caFile' | 'stateDir'>,
  signal?: AbortSignal,
): Promise<{relay: string; context: string | undefined; identity: Identity}> {
  const chosen = await chooseRelay(settings);
  if (chosen === undefined) {
    throw new TunlError('CONTEXT_UNKNOWN', {
      reason: 'No relay is chosen: commands use the one inside their process.',
    });
  }
  const {origin, context, caFile} = chosen;
  const place = await placeOf(origin, {caFile, stateDir: settings.stateDir, signal});
  return {relay: origin, context, identity: await whoAmI(place, await chosen.token())};
}

/** The issuer at which people log in to a relay. Undefined: it has none. @throws TunlError as `chooseRelay`, RELAY_* */
export async function issuerOfRelay(
  settings: Partial<Pick<LinkValues, 'relay' | 'context' | 'token' | 'tokenFile' | 'caFile'>> &
    Pick<LinkValues, 'stateDir'>,
): Promise<string | undefined> {
  const {relay, context, token, tokenFile, caFile: given, stateDir} = settings;
  const chosen = await chooseRelay({relay, context, token, tokenFile, caFile: given, stateDir});
  if (chosen === undefined) return undefined;
  const {origin, caFile} = chosen;
  return (await relayInfo(await placeOf(origin, {caFile, stateDir})))?.login?.issuer;
}

/**
 * Forgets the token; the relay forgets it as well, if it came from a login there. The context stays, so that another login
 * needs no URL.
 *
 * @throws TunlError CONTEXT_UNKNOWN, STATE_DIR
 */
export async function logOut(name: string, stateDir: string): Promise<{context: Context; told: boolean}> {
  const contexts = new Contexts(stateDir);
  const {token, renewal: _, expiresAt: __, ...context} = await contexts.forgetLogin(name);
  if (token === undefined) return {context, told: true};
  try {
    await endLogin(await placeOf(context.relay, {caFile: context.caFile, stateDir}), token);
    return {context, told: true};
  } catch {
    // Without the relay the login ends by itself.
    return {context, told: false};
  }
}

async function placeOf(
  origin: string,
  {
    caFile,
    stateDir,
    signal,
  }: {caFile: string | undefined; stateDir: string; signal?: AbortSignal | undefined},
): Promise<RelayPlace & {caFile: string | undefined}> {
  return {
    origin,
    caFile,
    ca: caFile === undefined ? undefined : await readCaFile(caFile),
    ownCa: await readOwnCa(stateDir),
    signal,
  };
}
