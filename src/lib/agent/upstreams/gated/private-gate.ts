// `--private`: who has a link is in. A browser changes it for a cookie, programs send it with each request.

import {refusal} from './answers.js';
import type {Decision, Gate, GateAddress, GateAnswer, GateRequest} from './gate.js';
import {type HeaderList, queryValues, valuesOf, without, withoutQuery} from './headers.js';
import {type Link, Links, TOKEN} from './links.js';
import {VisitorCookies} from './visitor-cookies.js';

/** The parameter of a link. */
export const LINK_PARAM = 'tunl';
const HEADER = 'tunl-access';
const UNAUTHORIZED = {status: 401, headers: {'www-authenticate': 'Bearer realm="tunl"'}};

export class PrivateGate implements Gate {
  readonly links = new Links();
  readonly #cookies = new VisitorCookies('link');

  opened({place}: GateAddress): void {
    this.#cookies.belongTo(place);
  }

  decide(request: GateRequest): Decision {
    const tokens = tokensOf(request);
    const withToken = tokens.map((token) => this.links.find(token)).find((link) => link !== undefined);
    const isInUrl = withToken !== undefined && queryValues(request.path, LINK_PARAM).length > 0;
    const marks = this.#cookies.read(request.headers);
    const withCookie = marks.map((mark) => this.links.marked(mark)).find((link) => link !== undefined);
    if (isInUrl && request.isNavigation && canRedirect(request))
      return this.#welcome(request, withToken, withCookie);
    // The cookie first, so that a link that works once is not used up by a browser that is in already.
    const link = withCookie ?? (withToken && use(withToken) ? withToken : undefined);
    if (link === undefined) return refuse(request, tokens.length > 0 || marks.length > 0);
    return {
      pass: {
        headers: this.#strip(request.headers),
        path: withoutQuery(request.path, LINK_PARAM),
        visitorName: link.visitor,
        stay: link,
      },
    };
  }

  close(): void {
    this.links.close();
  }

  /** The clean URL must not stay in the history with the token, so a browser is sent there. */
  #welcome(request: GateRequest, link: Link, present: Link | undefined): Decision {
    if (isPrefetch(request.headers) || (link !== present && !use(link))) return refuse(request, true);
    return {
      answer: {
        status: 303,
        headers: {
          // The scheme and host are named, because a path that begins with two slashes would name another host.
          location: `https://${request.authority}${withoutQuery(request.path, LINK_PARAM)}`,
          'set-cookie': this.#cookies.make(link.mark, link.expiresAt),
          'cache-control': 'no-store',
          'referrer-policy': 'no-referrer',
        },
      },
    };
  }

  /** Takes out what is for the gate; an `Authorization` of the upstream's own stays. */
  #strip(headers: HeaderList): HeaderList {
    return without(headers, (name, value) => name === 'authorization' && TOKEN.test(bearerOf(value) ?? ''));
  }
}

/** False: it was used before and works once. */
function use(link: Link): boolean {
  if (link.once && link.used) return false;
  link.used = true;
  return true;
}

const refuse = (request: GateRequest, isKnown: boolean): Decision => ({
  answer: isKnown ? linkInvalid(request) : linkNeeded(request),
});

export const linkInvalid = (request: GateRequest): GateAnswer =>
  refusal(
    {
      ...UNAUTHORIZED,
      code: 'LINK_INVALID',
      title: 'This link is not valid any more',
      message: 'It may have expired, have been used, or have been withdrawn. Ask for a new one.',
    },
    request,
  );

const linkNeeded = (request: GateRequest): GateAnswer =>
  refusal(
    {
      ...UNAUTHORIZED,
      code: 'LINK_NEEDED',
      title: 'This page is private',
      message: 'You need the whole link to it, with the part after the question mark.',
    },
    request,
  );

/** The tokens in the places for them, each at most once. */
function tokensOf({path, headers}: GateRequest): string[] {
  const bearers = valuesOf(headers, 'authorization').map(bearerOf);
  const all = [...valuesOf(headers, HEADER), ...bearers, ...queryValues(path, LINK_PARAM)];
  return [...new Set(all.filter((token) => token !== undefined && TOKEN.test(token)))].slice(
    0,
    4,
  ) as string[];
}

const bearerOf = (value: string): string | undefined => /^bearer +(\S+)$/i.exec(value.trim())?.[1];

const canRedirect = ({method}: GateRequest): boolean => method === 'GET';

/** A browser or a messenger that looks at a page ahead must not use up a link that works once. */
function isPrefetch(headers: HeaderList): boolean {
  return [...valuesOf(headers, 'sec-purpose'), ...valuesOf(headers, 'purpose')].some((value) =>
    /prefetch|preview/i.test(value),
  );
}
