// The gates of one tunnel as its owner sees them: made from settings, with links to give away.

import {TunlError} from '../../../core/errors.js';
import {publicUrl} from '../../../protocol/targets.js';
import type {PublicSides} from '../../tunnel-requests.js';
import type {Upstream} from '../upstream.js';
import {BasicAuthGate} from './basic-auth-gate.js';
import type {Gate} from './gate.js';
import {GatedUpstream} from './gated-upstream.js';
import {Gatehouse} from './gatehouse.js';
import {GuessLimit} from './guess-limit.js';
import type {LinkFacts, LinkOptions} from './links.js';
import {LINK_PARAM, PrivateGate} from './private-gate.js';
import {SignInGate, type SignInOptions} from './sign-in-gate.js';
import {StreamGate} from './stream-gate.js';

/** Shorter ones are guessed. */
const MIN_PASSWORD_CHARS = 8;
/** It also goes into a header. */
const USER = /^[\w.@+-]{1,64}$/;

export interface TunnelGatesOptions {
  /** The upstream speaks no HTTP: visitors show the token of their link in front of their bytes. */
  isStream: boolean;
  isPrivate: boolean;
  basicAuth: {user: string; password: string} | undefined;
  /** Visitors sign in at an issuer. */
  signIn?: SignInOptions | undefined;
  forwarded: boolean;
  h2: boolean;
  waitMs: number;
  offlinePage: boolean;
}

/** A link with its token. It is shown once. */
export interface SharedLink extends LinkFacts {
  /** `https://…/?tunl=TOKEN` */
  url: string;
}

export class TunnelGates {
  readonly #options: TunnelGatesOptions;
  readonly #house: Gatehouse;
  readonly #private: PrivateGate | undefined;
  /** Visitors need a link, a password or a sign-in. */
  readonly ask: boolean;
  /** In place of the gates for HTTP. */
  readonly stream: StreamGate | undefined;
  /** The token of the printed link. */
  readonly #first: string | undefined;
  #url = '';

  /** @throws TunlError OPTION_INVALID */
  constructor(options: TunnelGatesOptions) {
    this.#options = options;
    const {isStream, isPrivate, basicAuth, signIn, forwarded} = options;
    this.#private = isPrivate ? new PrivateGate() : undefined;
    this.#first = this.#private?.links.add({visitor: 'link'}).token;
    if (isStream && this.#private !== undefined)
      this.stream = new StreamGate({links: this.#private.links, guesses: new GuessLimit()});
    const gates: Gate[] = [];
    if (this.#private !== undefined) gates.push(this.#private);
    if (basicAuth !== undefined) gates.push(basicAuthGate(basicAuth));
    if (signIn !== undefined) gates.push(new SignInGate(signIn));
    this.ask = gates.length > 0;
    this.#house = new Gatehouse({gates, forwarded});
  }

  wrap(upstream: Upstream): Upstream {
    if (this.stream !== undefined) return upstream;
    const {h2, waitMs, offlinePage} = this.#options;
    return new GatedUpstream(upstream, {house: this.#house, h2, waitMs, offlinePage});
  }

  /** The relay has given the tunnel its names. Called before the first visitor. */
  opened({tls: named, local}: PublicSides): void {
    // A gate needs the name, so a tunnel without one does not open.
    if (named === undefined) return;
    const tls = local ?? named;
    this.#url = publicUrl(tls.host, tls.port);
    const place = `${tls.host}:${tls.port}`;
    const hosts = [named.host, ...(local === undefined ? [] : [bracketed(local.host), ...THIS_MACHINE])];
    this.#house.opened({place, url: this.#url}, [...hosts, ...(local?.lan?.others ?? []).map(bracketed)]);
  }

  /** An address with the printed link's token in it. Undefined: the tunnel needs no link, or this is no page. */
  linkTo(address: string): string | undefined {
    if (this.#first === undefined || !address.startsWith('https://')) return undefined;
    return withToken(address, this.#first);
  }

  /** @throws TunlError OPTION_INVALID, NOT_PRIVATE, LINKS_TOO_MANY */
  share(options: LinkOptions = {}): SharedLink {
    const {link, token} = this.#theLinks().add(options);
    return {...link.facts, url: withToken(this.#url, token)};
  }

  /** @throws TunlError NOT_PRIVATE */
  get links(): LinkFacts[] {
    return this.#theLinks().list();
  }

  /** @throws TunlError NOT_PRIVATE, LINK_UNKNOWN */
  revoke(id: string): LinkFacts {
    return this.#theLinks().revoke(id);
  }

  close(): void {
    this.#house.close();
  }

  #theLinks(): PrivateGate['links'] {
    if (this.#private === undefined) throw new TunlError('NOT_PRIVATE');
    return this.#private.links;
  }
}

/** A port of this machine is reached by all of these. */
const THIS_MACHINE: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];

const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host);

function withToken(address: string, token: string): string {
  const url = new URL(address);
  url.search = `${url.search === '' ? '?' : `${url.search}&`}${LINK_PARAM}=${token}`;
  return url.href;
}

function basicAuthGate({user, password}: {user: string; password: string}): BasicAuthGate {
  if (!USER.test(user)) {
    throw new TunlError('OPTION_INVALID', {
      reason: 'The name for the password is not valid.',
      next: 'Use 1 to 64 letters, digits and the characters . _ @ + -.',
    });
  }
  if ([...password].length < MIN_PASSWORD_CHARS) {
    throw new TunlError('OPTION_INVALID', {
      reason: `The password has fewer than ${MIN_PASSWORD_CHARS} characters.`,
      next: 'Give a longer one.',
    });
  }
  return new BasicAuthGate(user, password);
}
