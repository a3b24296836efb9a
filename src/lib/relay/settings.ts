// Completes the relay's options with the table of its settings, reads the token, and refuses invalid combinations.

import {keepsForReplay} from '../core/bench-switches.js';
import {TunlError} from '../core/errors.js';
import {isLocalhostName} from '../core/localhost.js';
import type {LogSink} from '../core/logger.js';
import {type SettingsOf, settle} from '../core/settings.js';
import {readSecretFile} from '../core/state-dir.js';
import {type HostPort, isLoopbackHost, listenAddress} from '../protocol/targets.js';
import {checkOidc} from './access/oidc-settings.js';
import {TokenFile} from './access/token-file.js';
import {readEgressSets} from './egress/egress-set.js';
import type {RelayOptions} from './options.js';
import {RELAY_SETTINGS} from './settings-table.js';

type Declared = SettingsOf<typeof RELAY_SETTINGS>;

export interface RelaySettings
  extends Omit<
    Declared,
    'listen' | 'listenHttp' | 'metricsListen' | 'tcpHost' | 'tcpPublicHost' | 'tokenFile'
  > {
  listen: HostPort;
  listenHttp: HostPort | undefined;
  metricsListen: HostPort | undefined;
  tcpHost: string;
  tcpPublicHost: string;
  h2Offered: boolean;
  /** There is a file of tokens in the state folder. */
  hasTokens: boolean;
  keepForReplay: boolean;
  /** The upper bound of the random wait before agents that are sent away come back, ms. */
  comeBackWithinMs: number;
  log: LogSink | undefined;
}

/** A token must have at least this many characters, so that nobody can guess it. */
const MIN_TOKEN_LENGTH = 16;

/** @throws TunlError for an invalid option, before anything is opened. */
export async function settleRelayOptions(options: RelayOptions): Promise<RelaySettings> {
  const {tokenFile, ...settings} = settle(RELAY_SETTINGS, options);
  const listen = listenAddress(settings.listen);
  const tcpHost = settings.tcpHost ?? listen.host;
  const token = await readToken(settings.token, tokenFile);
  // A file that cannot be used is an error: without its tokens the relay could be open for everybody.
  const hasTokens = settings.tokenRegistry && (await new TokenFile(settings.stateDir).read()) !== undefined;
  checkReach({listen, tcpHost, token, hasTokens, oidcIssuers: settings.oidcIssuers});
  checkOidc(settings);
  readEgressSets(settings.egress);
  if ((settings.certFile === undefined) !== (settings.keyFile === undefined)) {
    throw new TunlError('OPTION_INVALID', {
      reason: 'A certificate needs its key, and a key its certificate.',
      next: 'Give both: --cert-file and --key-file (certFile and keyFile).',
    });
  }
  return {
    ...settings,
    listen,
    listenHttp: settings.listenHttp === undefined ? undefined : listenAddress(settings.listenHttp),
    metricsListen: settings.metricsListen === undefined ? undefined : listenAddress(settings.metricsListen),
    tcpHost,
    // Not every program's resolver knows names below .localhost, but all know localhost itself.
    tcpPublicHost:
      settings.tcpPublicHost ?? (isLocalhostName(settings.domain) ? 'localhost' : settings.domain),
    token,
    hasTokens,
    h2Offered: settings.certFile === undefined || settings.sharedH2,
    keepForReplay: keepsForReplay(),
    comeBackWithinMs: 2_000,
    log: options.log,
  };
}

/** @throws TunlError TOKEN_NEEDED */
export function checkReach({
  listen,
  tcpHost,
  token,
  hasTokens,
  oidcIssuers,
}: Pick<RelaySettings, 'listen' | 'tcpHost' | 'token' | 'hasTokens' | 'oidcIssuers'>): void {
  const reachable = [listen.host, tcpHost].find((host) => !isLoopbackHost(host));
  if (token !== undefined || hasTokens || oidcIssuers.length > 0 || reachable === undefined) return;
  throw new TunlError('TOKEN_NEEDED', {
    reason: `Without a token anybody who reaches ${reachable} could publish here.`,
  });
}

async function readToken(given: string | undefined, file: string | undefined): Promise<string | undefined> {
  const token = given ?? (file === undefined ? undefined : await readSecretFile(file));
  if (token === undefined || token === '') return undefined;
  if (!/^[\x21-\x7e]+$/.test(token) || token.length < MIN_TOKEN_LENGTH) {
    throw new TunlError('OPTION_INVALID', {
      reason: `A token has at least ${MIN_TOKEN_LENGTH} visible ASCII characters.`,
      next: 'Make one with `openssl rand -hex 32`.',
    });
  }
  return token;
}
