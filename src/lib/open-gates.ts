// Makes the gates of a tunnel from its settings. Without a setting of a gate none of their code is loaded.

import type {GATE_SETTINGS} from './agent/settings-table.js';
import type {SignInOptions} from './agent/upstreams/gated/sign-in-gate.js';
import type {TunnelGates} from './agent/upstreams/gated/tunnel-gates.js';
import {TunlError} from './core/errors.js';
import type {Logger} from './core/logger.js';
import {readCaFile} from './core/pem.js';
import type {SettingsOf} from './core/settings.js';
import {readSecretFile} from './core/state-dir.js';

type GateValues = SettingsOf<typeof GATE_SETTINGS>;

interface AboutTunnel {
  unencrypted: boolean;
  h2: boolean;
  waitUpstreamMs: number;
  offlinePage: boolean;
}

/** @throws TunlError GATE_WITH_TCP, OPTION_INVALID, PASSWORD_FILE_EMPTY, FILE_UNREADABLE */
export async function openGates(
  settings: GateValues & AboutTunnel,
  log: Logger,
): Promise<TunnelGates | undefined> {
  const {private: isPrivate, forwarded, unencrypted, h2, waitUpstreamMs: waitMs, offlinePage} = settings;
  const basicAuth = await readBasicAuth(settings);
  const signIn = await readSignIn(settings, log);
  if (!isPrivate && !forwarded && basicAuth === undefined && signIn === undefined) return undefined;
  // A stream of bytes has no place for a password, a cookie or a header.
  if (unencrypted && (forwarded || basicAuth !== undefined || signIn !== undefined))
    throw new TunlError('GATE_WITH_TCP');
  const {TunnelGates: Gates} = await import('./agent/upstreams/gated/tunnel-gates.js');
  return new Gates({isStream: unencrypted, isPrivate, basicAuth, signIn, forwarded, h2, waitMs, offlinePage});
}

async function readBasicAuth({
  basicAuth: user,
  basicAuthPassword: password,
  basicAuthFile: file,
}: GateValues): Promise<{user: string; password: string} | undefined> {
  if (user === undefined) {
    // The variable may be set for other commands.
    if (file === undefined) return undefined;
    throw new TunlError('OPTION_INVALID', {
      reason: 'The file of a password needs the name of its user.',
      next: 'Add {basicAuth: "user"} (--basic-auth USER).',
    });
  }
  const read = file === undefined ? password : await readSecretFile(file, 'password');
  if (read !== undefined) return {user, password: read};
  throw new TunlError('OPTION_INVALID', {
    reason: 'There is no password for the visitors.',
    next: 'Give basicAuthPassword or basicAuthFile (TUNL_BASIC_AUTH_PASSWORD, --basic-auth-file FILE).',
  });
}

async function readSignIn(settings: GateValues, log: Logger): Promise<SignInOptions | undefined> {
  const {
    oidc: issuer,
    oidcClient: clientId,
    oidcAllow: allow,
    oidcSecret,
    oidcSecretFile,
    oidcCaFile,
  } = settings;
  const invalid = (reason: string, next: string) => new TunlError('OPTION_INVALID', {reason, next});
  if (issuer === undefined) {
    // Variables may be set for other commands.
    const isAbout = clientId ?? oidcSecretFile ?? allow[0];
    if (isAbout === undefined) return undefined;
    throw invalid('Settings for an issuer need the issuer.', 'Add {oidc: "https://…"} (--oidc ISSUER).');
  }
  if (clientId === undefined)
    throw invalid('The issuer needs to know its client.', 'Add {oidcClient: "ID"} (--oidc-client ID).');
  if (allow.length === 0) {
    throw invalid(
      'Nobody may visit yet.',
      'Add who may: {oidcAllow: ["*@example.com"]} (--oidc-allow ana@example.com, --oidc-allow groups=dev).',
    );
  }
  const secret = oidcSecretFile === undefined ? oidcSecret : await readSecretFile(oidcSecretFile, 'password');
  const ca = oidcCaFile === undefined ? undefined : await readCaFile(oidcCaFile);
  const onFailed = (reason: string) => log.warn('a visitor could not sign in', {reason});
  return {issuer, clientId, secret, allow, trust: {ca}, onFailed};
}
