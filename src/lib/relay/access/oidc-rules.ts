// Rules from the claims of an identity to its scopes and its owner: `email=*@example.com groups=dev name:dev-* tcp:20000-20100`.

import {type Claims, type Condition, isMet, textsOf} from '../../core/claims.js';
import {TunlError} from '../../core/errors.js';
import {createHash} from '../../core/node-crypto.js';
import {parseDestination} from './destinations.js';
import {parseScope} from './rights.js';

export interface Rule {
  /** All must hold. `*` in a pattern stands for any characters. */
  readonly conditions: readonly Condition[];
  /** Undefined: the first issuer. Everybody can have an account at some issuers, so a rule is for one. */
  readonly issuers: readonly string[] | undefined;
  /** `{claim}` stands for the value of a claim. */
  readonly scopes: readonly string[];
  /** The destinations that its egress may reach: HOST:PORT. Undefined: all that the relay allows. */
  readonly allow: readonly string[] | undefined;
  /** Instead of the usual claim: a name, or `{claim}`. */
  readonly owner: string | undefined;
}

const OWNER = 'owner:';
const ALLOW = 'allow:';
const EGRESS = 'egress:';
const CLAIM = /\{([^{}\s]{1,100})\}/g;
const OWNER_NAME = /^[a-z0-9][a-z0-9._@+-]{0,63}$/;

/** Words with `=` are conditions, the others scopes, destinations or the owner. @throws TunlError OPTION_INVALID */
export function parseRule(written: string): Rule {
  const invalid = (reason: string) =>
    new TunlError('OPTION_INVALID', {
      reason: `The rule ${JSON.stringify(written.slice(0, 80))} ${reason}.`,
      next: "Write conditions and scopes, like 'email=*@example.com name:* tcp:20000-20100'.",
    });
  const words = written.trim().split(/\s+/);
  const conditions = words.filter((word) => word.includes('=')).map(conditionOf);
  if (conditions.some(({claim}) => claim === '')) throw invalid('has a condition without a claim');
  const others = words.filter((word) => !word.includes('='));
  const owners = others.filter((word) => word.startsWith(OWNER)).map((word) => word.slice(OWNER.length));
  const destinations = others.filter((word) => word.startsWith(ALLOW));
  const scopes = others.filter((word) => !word.startsWith(OWNER) && !word.startsWith(ALLOW));
  if (scopes.length === 0) throw invalid('has no scope');
  const issuers = conditions.filter(({claim}) => claim === 'iss').map(({pattern}) => pattern);
  const asked = conditions.filter(({claim}) => claim !== 'iss');
  // A rule for everybody has to say so: `sub=*`.
  if (asked.length === 0) throw invalid('has no condition; sub=* is everybody at the issuer');
  if (owners.length > 1) throw invalid('has two owners');
  const [owner] = owners;
  const isClaim = owner !== undefined && /^\{[^{}\s]+\}$/.test(owner);
  if (owner !== undefined && !isClaim && !OWNER_NAME.test(owner)) throw invalid('has no valid owner');
  if (destinations.length > 0 && !scopes.some(isEgress)) throw invalid('has destinations and no egress');
  const allow = destinations.flatMap((word) => word.slice(ALLOW.length).split(',').map(parseDestination));
  for (const scope of scopes) parseScope(scope.replaceAll(CLAIM, 'x'));
  return {
    conditions: asked,
    issuers: issuers.length === 0 ? undefined : issuers,
    scopes,
    allow: allow.length === 0 ? undefined : allow,
    owner,
  };
}

const isEgress = (scope: string): boolean => scope.startsWith(EGRESS);

function conditionOf(word: string): Condition {
  const at = word.indexOf('=');
  return {claim: word.slice(0, at), pattern: word.slice(at + 1)};
}

export interface Mapped {
  readonly owner: string;
  readonly scopes: readonly string[];
  /** The destinations that its egress may reach. Undefined: all that the relay allows. */
  readonly allow?: readonly string[] | undefined;
}

export interface Identified {
  readonly issuer: string;
  /** The first one of the settings. */
  readonly isFirst: boolean;
  readonly claims: Claims;
}

/** Undefined: no rule is about this identity, or it has no owner. The scopes of all rules that match count together. */
export function mapIdentity(
  rules: readonly Rule[],
  identity: Identified,
  ownerClaim: string,
): Mapped | undefined {
  const matching = rules.filter((rule) => isAbout(rule, identity));
  if (matching.length === 0) return undefined;
  const named = matching.find(({owner}) => owner !== undefined)?.owner ?? `{${ownerClaim}}`;
  const owner = ownerOf(named, identity);
  if (owner === undefined) return undefined;
  const scopes = matching.flatMap((rule) =>
    rule.scopes.flatMap((scope) => filled(scope, identity.claims) ?? []),
  );
  const allow = destinationsOf(matching);
  return {owner, scopes: [...new Set(scopes)], ...(allow !== undefined && {allow})};
}

/** Those of all rules with an egress together; one of these rules without destinations allows all. */
function destinationsOf(rules: readonly Rule[]): string[] | undefined {
  const withEgress = rules.filter(({scopes}) => scopes.some(isEgress));
  if (withEgress.length === 0 || withEgress.some(({allow}) => allow === undefined)) return undefined;
  return [...new Set(withEgress.flatMap(({allow = []}) => allow))];
}

function isAbout({issuers, conditions}: Rule, {issuer, isFirst, claims}: Identified): boolean {
  if (issuers === undefined ? !isFirst : !issuers.includes(issuer)) return false;
  return conditions.every((condition) => isMet(condition, claims));
}

/** Undefined when a claim is missing, has characters that would change the meaning of the scope, or makes no valid one. */
function filled(scope: string, claims: Claims): string | undefined {
  let isWhole = true;
  const text = scope.replaceAll(CLAIM, (_, name: string) => {
    const [value = '', ...more] = textsOf(claims, name);
    const label = value.toLowerCase();
    isWhole &&= more.length === 0 && /^[a-z0-9-]{1,63}$/.test(label);
    return label;
  });
  if (!isWhole) return undefined;
  try {
    return parseScope(text);
  } catch {
    return undefined;
  }
}

/**
 * A verified address of the first issuer is the owner as it is. Every other value has a hash with it, because the name of an
 * owner has fewer characters than a claim, and two issuers may use the same value.
 */
function ownerOf(named: string, {issuer, isFirst, claims}: Identified): string | undefined {
  const [, claim] = /^\{(.+)\}$/.exec(named) ?? [];
  if (claim === undefined) return named;
  const [value, ...more] = textsOf(claims, claim);
  if (value === undefined || value === '' || more.length > 0) return undefined;
  const lower = value.toLowerCase();
  if (isFirst && claim === 'email' && OWNER_NAME.test(lower)) return lower;
  const hash = createHash('sha256')
    .update(JSON.stringify([issuer, claim, value]))
    .digest('hex')
    .slice(0, 20);
  const readable = lower
    .replaceAll(/[^a-z0-9._@+-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 40);
  return `${readable === '' ? 'id' : readable}.${hash}`;
}
