// The settings for identities of an issuer (OpenID Connect): whose tokens the relay takes, and what they allow.

import {TunlError} from '../../core/errors.js';
import {file, list, setting, text, wholeTime} from '../../core/settings.js';
import {parseRule} from './oidc-rules.js';

const IDENTITY = 'identity';
const DAY_MS = 86_400_000;

const issuer = text('URL', (written) => {
  const url = URL.canParse(written) ? new URL(written) : undefined;
  const isIssuer =
    url?.protocol === 'https:' &&
    url.search === '' &&
    url.hash === '' &&
    url.username === '' &&
    url.password === '';
  // Kept as it is written: a token must have exactly this text.
  if (isIssuer) return written;
  throw new TunlError('OPTION_INVALID', {
    reason: 'An issuer is an https URL.',
    next: 'Write it as the issuer does in its tokens (claim iss), like https://id.example.com.',
  });
});

const rule = text('RULE', (written) => {
  parseRule(written);
  return written;
});

const word = (placeholder: string) =>
  text(placeholder, (written) => {
    if (/^[\x21-\x7e]{1,2048}$/.test(written)) return written;
    throw new TunlError('OPTION_INVALID', {reason: `${placeholder} is one word.`});
  });

export const OIDC_SETTINGS = {
  oidcIssuers: setting(list(issuer, {most: 16}), {
    default: [],
    flag: 'oidc-issuer',
    help: 'Takes identities of this issuer; people log in at the first one; repeatable.',
    group: IDENTITY,
    reloads: true,
  }),
  oidcAudiences: setting(list(word('AUDIENCE'), {most: 16}), {
    default: [],
    flag: 'oidc-audience',
    help: 'Takes tokens that are made for it (claim aud); repeatable.',
    group: IDENTITY,
    reloads: true,
  }),
  oidcClient: setting(word('ID'), {
    flag: 'oidc-client',
    help: 'The client of the device flow, for tunl login.',
    group: IDENTITY,
    reloads: true,
  }),
  oidcScope: setting(text('SCOPES'), {
    default: 'openid email profile offline_access',
    key: 'oidc-scope',
    help: 'What tunl login asks the first issuer for.',
    group: IDENTITY,
    reloads: true,
  }),
  oidcRules: setting(list(rule, {most: 1_000, inLines: true}), {
    default: [],
    flag: 'oidc-rule',
    example: 'email=*@example.com name:*',
    help: "Who may do what: 'email=*@example.com name:*'; repeatable.",
    group: IDENTITY,
    reloads: true,
  }),
  oidcOwner: setting(word('CLAIM'), {
    default: 'sub',
    flag: 'oidc-owner',
    help: 'The claim that owns names and ports.',
    group: IDENTITY,
    reloads: true,
  }),
  oidcSessionMs: setting(wholeTime({minMs: 60_000, maxMs: 90 * DAY_MS}), {
    default: DAY_MS / 2,
    flag: 'oidc-session',
    help: 'How long a login lasts without its issuer.',
    group: IDENTITY,
    reloads: true,
  }),
  oidcCaFile: setting(file, {
    flag: 'oidc-ca-file',
    help: 'CA of an issuer with a private CA.',
    group: IDENTITY,
    reloads: true,
  }),
};

/** @throws TunlError OPTION_INVALID */
export function checkOidc({
  oidcIssuers,
  oidcAudiences,
  oidcClient,
  oidcRules,
}: {
  oidcIssuers: readonly string[];
  oidcAudiences: readonly string[];
  oidcClient?: string | undefined;
  oidcRules: readonly string[];
}): void {
  const invalid = (reason: string, next: string) => new TunlError('OPTION_INVALID', {reason, next});
  if (oidcIssuers.length === 0) {
    if (oidcAudiences.length === 0 && oidcClient === undefined && oidcRules.length === 0) return;
    throw invalid('Settings for an issuer need the issuer.', 'Give its URL: --oidc-issuer (oidcIssuers).');
  }
  // A token for another service must not be one for this relay.
  if (oidcAudiences.length === 0 && oidcClient === undefined) {
    throw invalid(
      'An issuer needs an audience, or every token that it makes for anything would be good here.',
      'Give --oidc-audience or --oidc-client (oidcAudiences, oidcClient).',
    );
  }
  if (oidcRules.length === 0) {
    throw invalid(
      'Without a rule nobody of the issuer may do anything.',
      "Give one, like --oidc-rule 'email=*@example.com name:*' (oidcRules).",
    );
  }
  const known = new Set(oidcIssuers);
  for (const {issuers} of oidcRules.map(parseRule)) {
    const unknown = issuers?.find((each) => !known.has(each));
    if (unknown !== undefined)
      throw invalid(`A rule is about the issuer ${unknown}, which is not among the issuers.`, 'Add it.');
  }
}
