// The answers that a gate gives in place of the upstream: a short page for browsers, JSON for programs.

import type {GateAnswer} from './gate.js';

/** The refusals that visitors get. Stable: programs compare `code`. */
export type RefusalCode =
  | 'LINK_NEEDED'
  | 'LINK_INVALID'
  | 'PASSWORD_NEEDED'
  | 'PASSWORD_WRONG'
  | 'TOO_MANY_GUESSES'
  | 'SIGN_IN_NEEDED'
  | 'SIGN_IN_FAILED'
  | 'SIGN_IN_DENIED'
  | 'REQUEST_INVALID'
  | 'HOST_WRONG'
  | 'UPSTREAM_REFUSED'
  | 'UPSTREAM_FAILED';

export interface Refusal {
  readonly status: number;
  readonly code: RefusalCode;
  /** The heading of the page. */
  readonly title: string;
  /** One or two sentences. */
  readonly message: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** The page loads itself again after so many seconds. */
  readonly reloadS?: number;
}

const STYLE = `:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 34rem; margin: 20vh auto 0; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.4rem }
small { opacity: .7 }`;

/** No text of a visitor is in it. */
export function refusal(about: Refusal, {isNavigation}: {isNavigation: boolean}): GateAnswer {
  const {status, code, title, message, reloadS} = about;
  const [type, body] = isNavigation
    ? ['text/html; charset=utf-8', pageOf(about)]
    : ['application/json; charset=utf-8', `${JSON.stringify({error: {code, title, message}})}\n`];
  return {
    status,
    headers: {
      'content-type': type,
      'cache-control': 'no-store',
      // The answer differs for browsers and programs.
      vary: 'accept, cookie, authorization, tunl-access',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      ...(reloadS !== undefined && {'retry-after': String(reloadS)}),
      ...about.headers,
    },
    body,
  };
}

function pageOf({status, title, message, reloadS}: Refusal): string {
  const reload = reloadS === undefined ? '' : `<meta http-equiv="refresh" content="${reloadS}">\n`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
${reload}<title>${title}</title>
<style>
${STYLE}
</style>
<h1>${title}</h1>
<p>${message}
<p><small>${status}, by the tunnel in front of this service</small>
`;
}
