// Chooses the relay of a tunnel and its token from flags, environment and stored logins.

import {stat} from 'node:fs/promises';
import {type Context, Contexts, EMBEDDED} from './agent/login/contexts.js';
import {isFromIssuer} from './agent/login/issuer-token.js';
import type {LINK_SETTINGS} from './agent/settings-table.js';
import {relayOrigin} from './carrier/relay-url.js';
import {TunlError} from './core/errors.js';
import type {SettingsOf} from './core/settings.js';
import {readSecretFile} from './core/state-dir.js';

export type LinkValues = SettingsOf<typeof LINK_SETTINGS>;
type Wanted = Pick<LinkValues, 'relay' | 'context' | 'token' | 'tokenFile' | 'caFile' | 'stateDir'>;

/** A relay elsewhere. */
export interface ChosenRelay {
  origin: string;
  caFile: string | undefined;
  /** The stored login, if the token is from there. */
  context: string | undefined;
  /** The token now: a stored login may be renewed while the tunnel runs, and a file with an issuer's token replaced. */
  token: () => Promise<string | undefined>;
  /** Equal for equal tokens. */
  tokenKey: unknown;
}

/**
 * Undefined: the relay inside this process. A flag is before the environment, and both are before the login at the same
 * relay. A context counts as a whole: TUNL_TOKEN is not sent to its relay.
 *
 * @throws TunlError RELAY_URL_INVALID, CONTEXT_UNKNOWN, OPTION_INVALID, STATE_DIR, the error of a token file
 */
export async function chooseRelay(
  wanted: Wanted,
  env: NodeJS.ProcessEnv = process.env,
): Promise<ChosenRelay | undefined> {
  // A variable that a script sets from a missing value must not start a relay that nobody else can reach.
  if (wanted.relay === undefined && wanted.context === undefined && env.TUNL_RELAY === '') {
    throw new TunlError('RELAY_URL_INVALID', {
      reason: 'TUNL_RELAY is empty.',
      next: 'Set it to the URL of a relay. Without the variable the relay is one inside this process.',
    });
  }
  const name = nameOf(wanted, env);
  if (name === EMBEDDED) return undefined;
  const contexts = new Contexts(wanted.stateDir);
  if (name !== undefined) return await ofContext(contexts, await contexts.get(name), wanted, env);
  if (wanted.relay === undefined || wanted.relay === '') return undefined;
  const origin = relayOrigin(wanted.relay);
  const token = await givenToken(wanted);
  if (token === undefined) {
    const stored = await storedAt(contexts, origin);
    if (stored !== undefined) return await ofContext(contexts, stored, wanted, env);
  }
  return {
    origin,
    caFile: wanted.caFile,
    context: undefined,
    token: tokenNow(token, wanted),
    tokenKey: token,
  };
}

/** The context, unless a relay was given that goes before it. @throws TunlError OPTION_INVALID */
function nameOf({relay, context}: Wanted, env: NodeJS.ProcessEnv): string | undefined {
  if (!relay || context === undefined) return context;
  const isRelayGiven = relay !== env.TUNL_RELAY;
  const isContextGiven = context !== env.TUNL_CONTEXT;
  if (isRelayGiven !== isContextGiven) return isContextGiven ? context : undefined;
  throw new TunlError('OPTION_INVALID', {
    reason: isRelayGiven
      ? 'Both a relay and a context are given.'
      : 'Both TUNL_RELAY and TUNL_CONTEXT are set.',
    next: 'Leave one of the two out: a context has its relay.',
  });
}

async function ofContext(
  contexts: Contexts,
  {name, relay, caFile, token: stored}: Context,
  wanted: Wanted,
  env: NodeJS.ProcessEnv,
): Promise<ChosenRelay> {
  const {token: given, tokenFile} = wanted;
  const own = tokenFile !== undefined || given !== env.TUNL_TOKEN ? await givenToken(wanted) : undefined;
  // Files that are damaged later must not end a tunnel that runs.
  const again = async () => (await contexts.get(name).catch(() => undefined))?.token ?? stored;
  return {
    origin: relay,
    caFile:
      caFile !== undefined && (wanted.caFile ?? env.TUNL_CA_FILE) === env.TUNL_CA_FILE
        ? caFile
        : wanted.caFile,
    context: name,
    token: own === undefined ? again : tokenNow(own, wanted),
    tokenKey: own ?? ['context', name],
  };
}

/** A folder that cannot be read has no login, and no tunnel needs one. */
async function storedAt(contexts: Contexts, origin: string): Promise<Context | undefined> {
  return await contexts.at(origin).catch(() => undefined);
}

/** An empty variable means no token; an empty option is a token that the relay will refuse. */
async function givenToken({token, tokenFile}: Wanted): Promise<string | undefined> {
  if (token !== undefined) return token;
  return tokenFile === undefined ? undefined : await readSecretFile(tokenFile);
}

/** The relay's own token is read once. An issuer's lasts for minutes, so its system replaces the file. */
function tokenNow(first: string | undefined, {token: given, tokenFile}: Wanted): ChosenRelay['token'] {
  if (given !== undefined || tokenFile === undefined || first === undefined || !isFromIssuer(first))
    return async () => first;
  let last = first;
  return async () => {
    const read = await readAgain(tokenFile).catch(() => undefined);
    // A file that is gone, or half written, must not end a tunnel that runs.
    if (read !== undefined && isFromIssuer(read)) last = read;
    return last;
  };
}

/** A pipe, such as that of `<(command)`, gives its content once. */
async function readAgain(path: string): Promise<string | undefined> {
  return (await stat(path)).isFile() ? await readSecretFile(path) : undefined;
}
