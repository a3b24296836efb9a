// The names of tunnels: checks labels, makes random ones, and finds the label in a host name.

/** RFC 1035 §2.3.4. */
const MAX_LABEL = 63;
/** 128 bits: nobody can find a tunnel by guessing. */
const RANDOM_BYTES = 16;
/** RFC 4648 §6 in lower case: host names are case-insensitive, and the digits 0 and 1 are left out. */
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/**
 * Names that software looks up automatically (wpad, autoconfig, isatap, mail and name servers), that a visitor would
 * associate with the operator of the relay (www, login, support …), or that the relay may use itself. Nobody can bind them.
 */
export const RESERVED: ReadonlySet<string> = new Set(
  `
  www www1 www2 web api apis app apps admin administrator root system sysadmin webmaster hostmaster postmaster abuse security
  tunl relay relays agent agents tunnel tunnels visitor hub fleet egress region regions cluster node nodes edge gateway
  localhost local localdomain internal private broadcasthost
  mail mx smtp imap pop pop3 webmail email mta-sts autoconfig autodiscover
  ns ns1 ns2 ns3 ns4 dns doh wpad isatap teredo ntp time ldap kerberos radius sip ftp sftp ssh vpn proxy
  status health healthz metrics monitor monitoring logs stats dashboard console panel control config
  static assets cdn media images img files download downloads upload uploads update updates
  docs doc help support blog news forum wiki about legal privacy terms contact
  account accounts login logout signin signup register auth oauth oidc sso id identity token tokens password billing pay
  payment payments shop store
  acme acme-challenge ca crl ocsp pki
  `
    .trim()
    .split(/\s+/),
);

export type LabelCheck =
  | {ok: true; label: string}
  | {ok: false; code: 'NAME_INVALID' | 'NAME_RESERVED'; reason: string};

/** Upper-case letters in host names mean the same as lower-case ones. Only ASCII: no other letter turns into a valid one. */
export function lowerCaseLabel(label: string): string {
  return label.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Checks a requested label. It is never corrected: the relay uses the name exactly as it came, or refuses it. */
export function checkLabel(label: string): LabelCheck {
  const problem = syntaxProblem(label);
  if (problem !== undefined)
    return {ok: false, code: 'NAME_INVALID', reason: `The name ${shown(label)} ${problem}.`};
  if (RESERVED.has(label))
    return {ok: false, code: 'NAME_RESERVED', reason: `The name ${shown(label)} is reserved.`};
  return {ok: true, label};
}

/** A label that nobody can guess: 26 characters for 128 bits of the given source, e.g. `crypto.randomBytes`. */
export function randomLabel(randomBytes: (size: number) => Uint8Array): string {
  return base32(randomBytes(RANDOM_BYTES));
}

/** Five bits a character, without padding. */
export function base32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let count = 0;
  for (const byte of bytes) {
    bits = ((bits << 8) | byte) & 0xfff;
    for (count += 8; count >= 5; ) {
      count -= 5;
      text += BASE32.charAt((bits >> count) & 31);
    }
  }
  return count === 0 ? text : text + BASE32.charAt((bits << (5 - count)) & 31);
}

/** The form of a relay's random names. */
export function isRandomLabel(label: string): boolean {
  return /^[a-z2-7]{26}$/.test(label);
}

/**
 * The label of a host exactly one level below the domain, in lower case; undefined for the domain itself, for names
 * further down and for foreign ones. The result is a key to look up, not a checked label.
 */
export function labelUnder(host: string, domain: string): string | undefined {
  // Lower-casing changes some foreign letters into ASCII (the Kelvin sign into k), and host names on the wire have none.
  if (!/^[\x21-\x7e]+$/.test(host)) return undefined;
  const name = canonical(host);
  const suffix = `.${canonical(domain)}`;
  if (!name.endsWith(suffix)) return undefined;
  const label = name.slice(0, -suffix.length);
  return label === '' || label.includes('.') ? undefined : label;
}

function syntaxProblem(label: string): string | undefined {
  if (label === '') return 'is empty';
  if (label.length > MAX_LABEL) return `has ${label.length} characters; ${MAX_LABEL} are the most`;
  if (label.includes('.')) return 'has a dot; it must be one label';
  if (/[A-Z]/.test(label)) return 'has upper-case letters';
  if (!/^[a-z0-9-]+$/.test(label)) return 'has characters other than a–z, 0–9 and hyphens';
  if (label.startsWith('-') || label.endsWith('-')) return 'begins or ends with a hyphen';
  // RFC 5891 §4.2.3.1: `xn--` and other prefixes of that form have a meaning for browsers.
  if (label.slice(2, 4) === '--')
    return 'has hyphens as its third and fourth characters, which is kept for encoded names';
  return undefined;
}

function canonical(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

function shown(label: string): string {
  return JSON.stringify(label.length > MAX_LABEL ? `${label.slice(0, 20)}…` : label);
}
