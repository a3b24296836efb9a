// The token of a tunnel over time: one of an issuer is exchanged at the relay, and a login is renewed before it ends.

import {join} from 'node:path';
import {type Context, Contexts} from './agent/login/contexts.js';
import {isFromIssuer} from './agent/login/issuer-token.js';
import type {RelayPlace} from './agent/login/relay-site.js';
import type {ChosenRelay} from './choose-relay.js';
import {systemClock, type Timer} from './core/clock.js';
import {type ErrorCode, TunlError} from './core/errors.js';
import {withLock} from './core/file-lock.js';
import type {Logger} from './core/logger.js';

/** Timers stand still while the machine sleeps: the time of day is looked at this often, ms. */
const LONGEST_WAIT_MS = 60_000;
/** After a renewal that failed, ms. */
const TRY_AGAIN_MS = 60_000;

export interface TokenSourceOptions {
  chosen: ChosenRelay;
  place: RelayPlace;
  stateDir: string;
  log: Logger;
}

/** Less time than this is not enough for a login at the relay, ms. */
const SOON_MS = 30_000;

/** The relay's token that a job has in exchange for its own. */
interface Exchanged {
  readonly token: string;
  readonly expiresAt: number;
}

/** The same token would be refused again. */
const ABOUT_TOKEN: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'TOKEN_WRONG',
  'TOKEN_EXPIRED',
  'TOKEN_REVOKED',
]);

export class TokenSource {
  readonly #options: TokenSourceOptions;
  readonly #stop = new AbortController();
  #exchanged: Exchanged | undefined;
  /** The issuer's token that the relay has refused in a later exchange. */
  #refused: string | undefined;
  /** The relay does not exchange tokens. */
  #isDirect = false;
  #timer: Timer | undefined;
  #renewing: Promise<void> | undefined;

  constructor(options: TokenSourceOptions) {
    this.#options = options;
  }

  /** The token for the next link. @throws TunlError the reason why a token cannot be read or exchanged */
  readonly current = async (): Promise<string | undefined> => {
    const {context} = this.#options.chosen;
    if (context !== undefined) await this.#renewInTime(context);
    const exchanged = this.#exchanged;
    if (exchanged !== undefined && exchanged.expiresAt > Date.now()) return exchanged.token;
    const token = await this.#options.chosen.token();
    if (token === undefined || !isFromIssuer(token) || this.#isDirect) return token;
    try {
      return await this.#exchange(token);
    } catch (error) {
      // An older relay, or one whose state folder cannot be written, takes the token as it is.
      const code = error instanceof TunlError ? error.code : undefined;
      if (code !== 'RELAY_TOO_OLD' && code !== 'RELAY_BUSY') throw error;
      this.#isDirect = code === 'RELAY_TOO_OLD';
      return token;
    }
  };

  close(): void {
    this.#stop.abort();
    this.#timer?.cancel();
  }

  // ── A token of an issuer, given to the command ──

  /** Returns the token for a link. */
  async #exchange(token: string): Promise<string> {
    const {exchangeToken} = await import('./agent/login/relay-site.js');
    const before = this.#exchanged?.token;
    const answer = await exchangeToken(this.#place, token, before);
    const text = answer.token ?? before;
    if (text === undefined || answer.expiresAt === undefined) return before ?? token;
    const expiresAt = Date.parse(answer.expiresAt);
    this.#exchanged = {token: text, expiresAt};
    this.#later(halfway(expiresAt), () => this.#exchangeAgain());
    return text;
  }

  /** A file with a token of the issuer may have a newer one by now; a variable has not. */
  async #exchangeAgain(): Promise<void> {
    let token: string | undefined;
    try {
      token = await this.#options.chosen.token();
      if (token !== undefined && isFromIssuer(token) && token !== this.#refused) {
        await this.#exchange(token);
        return;
      }
    } catch (error) {
      if (error instanceof TunlError && ABOUT_TOKEN.has(error.code)) this.#refused = token;
      this.#options.log.warn('the token could not be renewed', {reason: String((error as Error).message)});
    }
    this.#later(Date.now() + TRY_AGAIN_MS, () => this.#exchangeAgain());
  }

  // ── A login that is stored ──

  async #renewInTime(name: string): Promise<void> {
    const context = await new Contexts(this.#options.stateDir).get(name).catch(() => undefined);
    const {renewal, expiresAt} = context ?? {};
    if (renewal === undefined || expiresAt === undefined) return;
    if (renewal.at > Date.now()) {
      // Hours later an upgrade of the package may have removed the files.
      loadRenewal().catch(() => {});
      this.#later(renewal.at, () => this.#renewInTime(name));
      return;
    }
    this.#renewing ??= this.#renew(name)
      .catch((error: unknown) => {
        this.#options.log.warn('the login could not be renewed', {reason: String((error as Error).message)});
        this.#later(Date.now() + TRY_AGAIN_MS, () => this.#renewInTime(name));
      })
      .finally(() => {
        this.#renewing = undefined;
      });
    // A link does not wait for an issuer while the token is good.
    if (Date.parse(expiresAt) < Date.now() + SOON_MS) await this.#renewing;
  }

  /** One process at a time: an issuer may take a refresh token once only. */
  async #renew(name: string): Promise<void> {
    const {stateDir} = this.#options;
    const contexts = new Contexts(stateDir);
    await withLock(join(contexts.folder, `${encodeURIComponent(name)}.lock`), async () => {
      let login = await contexts.get(name);
      const {renewal, token} = login;
      if (renewal === undefined || renewal.at > Date.now()) return;
      const {renewLogin, endLogin, exchangeToken} = await loadRenewal();
      // The user may log out, or in again, while the issuer and the relay answer. That has the last word.
      const replace = async (next: Context) => {
        const isReplaced = await contexts.replace(login, next);
        if (isReplaced) login = next;
        return isReplaced;
      };
      try {
        const issued = await renewLogin(renewal, this.#place);
        const next = {...renewal, refreshToken: issued.refreshToken ?? renewal.refreshToken};
        // The one before may be worth nothing now.
        if (!(await replace({...login, renewal: next}))) return;
        const answer = await exchangeToken(this.#place, issued.idToken, token);
        if (await replace(renewed(login, answer, next))) return;
        // The logout could not tell the relay of a token that nobody had yet.
        if (answer.token !== undefined) await endLogin(this.#place, answer.token);
      } catch (error) {
        const isFinal = error instanceof TunlError && error.code === 'LOGIN_FAILED';
        const {renewal: _, ...without} = login;
        if (isFinal) await replace(without);
        throw error;
      }
    });
    await this.#renewInTime(name);
  }

  get #place(): RelayPlace {
    return {...this.#options.place, signal: this.#stop.signal};
  }

  /** Runs while a tunnel does, also without another link. */
  #later(at: number, work: () => Promise<void>): void {
    this.#timer?.cancel();
    if (this.#stop.signal.aborted) return;
    const waitMs = Math.min(Math.max(at - Date.now(), 0), LONGEST_WAIT_MS);
    this.#timer = systemClock.after(waitMs, () => {
      if (at > Date.now()) this.#later(at, work);
      else
        work().catch((error: unknown) =>
          this.#options.log.warn('the token could not be renewed', {
            reason: String((error as Error).message),
          }),
        );
    });
  }
}

/** In files of their own, because most tunnels have no login that ends. */
async function loadRenewal() {
  const {renewLogin} = await import('./agent/login/device-flow.js');
  const {loadOauth} = await import('./agent/login/load-oauth.js');
  const {endLogin, exchangeToken} = await import('./agent/login/relay-site.js');
  await loadOauth();
  return {renewLogin, endLogin, exchangeToken};
}

/** A context after a login or a renewal. */
export function renewed(
  context: Context,
  {token, expiresAt}: {token?: string; expiresAt?: string},
  renewal: Omit<NonNullable<Context['renewal']>, 'at'> | undefined,
): Context {
  const {renewal: _, expiresAt: __, ...rest} = context;
  return {
    ...rest,
    ...(token !== undefined && {token}),
    ...(expiresAt !== undefined && {expiresAt}),
    ...(renewal !== undefined &&
      expiresAt !== undefined && {renewal: {...renewal, at: halfway(Date.parse(expiresAt))}}),
  };
}

/** A relay with another clock must not cause one renewal after the other. */
const LEAST_MS = 60_000;

const halfway = (expiresAt: number) => Date.now() + Math.max(LEAST_MS, (expiresAt - Date.now()) / 2);
