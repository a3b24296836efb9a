// Parses a file or a page of keys, and gives one clear reason when it cannot be used.
import {TunlError} from '../../core/errors.js';
import {type PublicKey, parseKeyLine} from './public-key.js';

export interface KeyList {
  readonly keys: readonly PublicKey[];
  /** Keys that were left out and why, one sentence each. */
  readonly notices: readonly string[];
}

export interface KeyListOptions {
  /** The name of the source in messages: a path, `github.com/octocat`, `the ssh agent`. */
  readonly source: string;
  /** Whether options such as `command="…"` before a key are kept. Only the user's own files may contain them. */
  readonly allowOptions: boolean;
}

/** More would make each login slow: sshd reads the file from its start every time. */
const MAX_KEYS = 10_000;

/** The start of a private key in any of its forms. */
export function looksPrivate(text: string): boolean {
  return /^\s*(-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-File-)/.test(text);
}

/** Throws KEY_PRIVATE or KEY_INVALID; the reason names the source and the line's number, never its content. */
export function parseKeyList(text: string, options: KeyListOptions): KeyList {
  const {source} = options;
  if (looksPrivate(text)) throw privateKey(source);
  if (text.includes('\0')) throw invalid(`${source} is not plain text (UTF-16, or no text at all).`);
  if (/^\s*(---- BEGIN SSH2 PUBLIC KEY|-----BEGIN [A-Z ]*PUBLIC KEY)/.test(text)) {
    throw invalid(`${source} holds a public key in another format than OpenSSH’s.`, CONVERT);
  }
  const keys = new Map<string, PublicKey>();
  const notices: string[] = [];
  for (const [i, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\n|\r/)
    .entries()) {
    const where = `${source}, line ${i + 1}`;
    const parsed = parseKeyLine(line);
    if (parsed.kind === 'bad') {
      if (looksPrivate(line)) throw privateKey(source);
      throw invalid(`${where} is no public key: ${parsed.why}.`);
    }
    if (parsed.kind === 'unusable') notices.push(`${where} is left out: ${parsed.why}.`);
    if (parsed.kind !== 'key') continue;
    if (parsed.key.options !== '' && !options.allowOptions)
      throw invalid(`${where} has options before its key.`);
    if (/(^|,)from=/i.test(parsed.key.options)) {
      notices.push(`${where} has from="…": through a tunnel every visitor comes from 127.0.0.1.`);
    }
    // The first of a key's lines is used, as in sshd.
    if (!keys.has(parsed.key.data)) keys.set(parsed.key.data, parsed.key);
    if (keys.size > MAX_KEYS) throw invalid(`${source} holds more than ${MAX_KEYS} keys.`);
  }
  if (keys.size === 0) throw invalid([`${source} holds no key that can be used.`, ...notices].join(' '));
  return {keys: [...keys.values()], notices};
}

const CONVERT = 'Convert it: `ssh-keygen -i -f FILE` (RFC 4716) or `ssh-keygen -i -m PKCS8 -f FILE`.';

function invalid(reason: string, next?: string): TunlError {
  return new TunlError('KEY_INVALID', next === undefined ? {reason} : {reason, next});
}

/** Also for the file reader, which stops before it has read a private key. */
export function privateKey(source: string): TunlError {
  return new TunlError('KEY_PRIVATE', {
    reason: `${source} is a private key; it was not read further.`,
    ...(source.includes('/') && {next: `Give its public half: ${source}.pub`}),
  });
}
