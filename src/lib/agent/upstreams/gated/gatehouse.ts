// The gates of one tunnel in their order, and what every request through them gets: the checks before, the headers after.

import type {VisitorFacts} from '../upstream.js';
import {type Refusal, refusal} from './answers.js';
import {isClaim, withForwarded} from './forwarded.js';
import type {Decision, Gate, GateAddress, GateAnswer, GateRequest, Stay} from './gate.js';
import {type HeaderList, meansSame, valuesOf, without} from './headers.js';
import {endToEnd} from './hop-by-hop.js';
import {linkInvalid} from './private-gate.js';
import {checkRequest, type RawRequest} from './request-check.js';
import {withoutGateCookies} from './visitor-cookies.js';

/** Headers that only a gate may write. */
const OWN: readonly string[] = ['tunl-visitor', 'tunl-access'];
const isOwn = (header: string): boolean => OWN.some((own) => meansSame(header, own));

/** A request for the upstream. */
export interface Admitted {
  /** Without those of the visitor's connection. */
  readonly headers: HeaderList;
  readonly path: string;
  readonly authority: string;
  readonly setCookies: readonly string[];
  readonly stays: readonly Stay[];
}

export type Ruling = {readonly admitted: Admitted} | {readonly answer: GateAnswer};

export interface GatehouseOptions {
  readonly gates: readonly Gate[];
  readonly forwarded: boolean;
}

export class Gatehouse {
  readonly #gates: readonly Gate[];
  readonly #forwarded: boolean;
  #hosts: ReadonlySet<string> = new Set();

  constructor({gates, forwarded}: GatehouseOptions) {
    this.#gates = gates;
    this.#forwarded = forwarded;
  }

  /** @param hosts all names and addresses of the tunnel, without ports */
  opened(at: GateAddress, hosts: readonly string[]): void {
    this.#hosts = new Set(hosts.map((host) => host.toLowerCase()));
    for (const gate of this.#gates) gate.opened?.(at);
  }

  close(): void {
    for (const gate of this.#gates) gate.close?.();
  }

  judge(raw: RawRequest, visitor: VisitorFacts | undefined): Ruling | Promise<Ruling> {
    const isNavigation = opensPage(raw);
    const checked = checkRequest(raw, this.#hosts);
    if (!checked.ok) {
      const about: Refusal =
        checked.status === 421
          ? {status: 421, code: 'HOST_WRONG', title: 'This is not the right address', message: checked.why}
          : {
              status: checked.status,
              code: 'REQUEST_INVALID',
              title: 'The request is not valid',
              message: checked.why,
            };
      return {answer: refusal(about, {isNavigation})};
    }
    const {method, isUpgrade} = raw;
    // First, so that `Connection` cannot name what a gate adds.
    const headers = endToEnd(raw.headers);
    const {path, authority} = checked;
    return this.#ask({method, path, authority, headers, isUpgrade, isNavigation, visitor}, 0, {
      name: undefined,
      stays: [],
      setCookies: [],
    });
  }

  /** The trailers of a visitor for the upstream, which may read them as headers. */
  trailers(sent: HeaderList): string[] {
    return without(endToEnd(sent), (name) => isOwn(name) || (this.#forwarded && isClaim(name)));
  }

  /** Asks one gate after the other, without waiting where a gate decides at once. */
  #ask(request: GateRequest, at: number, so: SoFar): Ruling | Promise<Ruling> {
    const gate = this.#gates[at];
    if (gate === undefined) {
      // A link can end while a later gate checks a password.
      const isOver = so.stays.some((stay) => stay.isOver);
      return isOver ? {answer: linkInvalid(request)} : {admitted: this.#admit(request, so)};
    }
    const next = (decision: Decision): Ruling | Promise<Ruling> => {
      if ('answer' in decision) return decision;
      const {
        headers = request.headers,
        path = request.path,
        visitorName,
        stay,
        setCookies = [],
      } = decision.pass;
      return this.#ask({...request, headers, path}, at + 1, {
        name: visitorName ?? so.name,
        stays: stay === undefined ? so.stays : [...so.stays, stay],
        setCookies: [...so.setCookies, ...setCookies],
      });
    };
    const decision = gate.decide(request);
    return decision instanceof Promise ? decision.then(next) : next(decision);
  }

  #admit(request: GateRequest, {name, stays, setCookies}: SoFar): Admitted {
    const clean = without(withoutGateCookies(request.headers), isOwn);
    const headers = this.#forwarded ? withForwarded(clean, request) : clean;
    return {
      headers: name === undefined ? headers : [...headers, 'Tunl-Visitor', name],
      path: request.path,
      authority: request.authority,
      setCookies,
      stays,
    };
  }
}

interface SoFar {
  readonly name: string | undefined;
  readonly stays: readonly Stay[];
  readonly setCookies: readonly string[];
}

/** Browsers say what a request is for; older ones only which answer they want. */
function opensPage({method, headers, isUpgrade}: RawRequest): boolean {
  if (isUpgrade || (method !== 'GET' && method !== 'HEAD')) return false;
  const mode = valuesOf(headers, 'sec-fetch-mode')[0];
  return (
    (mode === undefined || mode === 'navigate') &&
    valuesOf(headers, 'accept').some((value) => /text\/html/i.test(value))
  );
}
