// Public keys in OpenSSH's format, parsed strictly: a key with inconsistent parts is invalid.
import {createHash} from 'node:crypto';

export interface PublicKey {
  /** `ssh-ed25519` */
  readonly type: string;
  /** The key itself, base64. */
  readonly data: string;
  readonly comment: string;
  /** Options of an authorized_keys line, unchanged (`restrict,command="…"`), or ''. */
  readonly options: string;
}

/** The result for one line: a key, no key with the reason, or a key that sshd would not accept. Reasons never quote the line. */
export type KeyLine =
  | {readonly kind: 'key'; readonly key: PublicKey}
  | {readonly kind: 'blank'}
  | {readonly kind: 'bad'; readonly why: string}
  | {readonly kind: 'unusable'; readonly why: string};

/** The fields after the type in each kind of key: `string`, `mpint`, or bytes of a fixed length. */
type Part = 'string' | 'mpint' | number;

const TYPES: ReadonlyMap<string, readonly Part[]> = new Map([
  ['ssh-ed25519', [32]],
  ['ssh-rsa', ['mpint', 'mpint']],
  ['ecdsa-sha2-nistp256', ['string', 65]],
  ['ecdsa-sha2-nistp384', ['string', 97]],
  ['ecdsa-sha2-nistp521', ['string', 133]],
  ['sk-ssh-ed25519@openssh.com', [32, 'string']],
  ['sk-ecdsa-sha2-nistp256@openssh.com', ['string', 65, 'string']],
]);

/** Below this size sshd of current systems refuses, or will refuse. */
const MIN_RSA_BITS = 2048;

export function parseKeyLine(text: string): KeyLine {
  const line = text.trim();
  if (line === '' || line.startsWith('#')) return {kind: 'blank'};
  const [first = ''] = line.split(/\s/, 1);
  const options = isType(first) ? '' : optionsAt(line);
  if (options === undefined) return {kind: 'bad', why: 'its options have a quote that does not end'};
  const [type = '', data = '', ...rest] = line.slice(options.length).trim().split(/\s+/);
  if (!isType(type)) {
    return {kind: 'bad', why: 'it starts with no known kind of key, such as ssh-ed25519 or ssh-rsa'};
  }
  if (options !== '' && !OPTIONS.test(options)) return {kind: 'bad', why: 'its options are not well-formed'};
  const parts = TYPES.get(type);
  if (!parts) return {kind: 'unusable', why: `sshd takes no keys of the kind ${type} any more`};
  const why = problemOf(type, parts, data);
  if (why !== undefined) return why;
  return {kind: 'key', key: {type, data, comment: rest.join(' '), options}};
}

const isType = (word: string) => TYPES.has(word) || word === 'ssh-dss';

/** `name`, `name="value"` (with \" inside), separated by commas. */
const OPTIONS = /^[a-z0-9@.-]+(="(?:[^"\\]|\\.)*")?(,[a-z0-9@.-]+(="(?:[^"\\]|\\.)*")?)*$/i;

/** The options before the type: they end at the first space outside quotes. */
function optionsAt(line: string): string | undefined {
  let quoted = false;
  for (let i = 0; i < line.length; i++) {
    const char = line[i];
    if (char === '\\' && line[i + 1] === '"') i += 1;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && (char === ' ' || char === '\t')) return line.slice(0, i);
  }
  return quoted ? undefined : line;
}

function problemOf(type: string, parts: readonly Part[], data: string): KeyLine | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(data)) return {kind: 'bad', why: 'its key is not base64'};
  const blob = Buffer.from(data, 'base64');
  const fields = fieldsOf(blob);
  const [name, ...values] = fields ?? [];
  if (name?.toString('latin1') !== type || values.length !== parts.length) {
    return {kind: 'bad', why: 'its key is cut off or altered'};
  }
  for (const [i, part] of parts.entries()) {
    const value = values[i];
    if (!value || value.length === 0 || (typeof part === 'number' && value.length !== part)) {
      return {kind: 'bad', why: 'its key is cut off or altered'};
    }
  }
  const bits = type === 'ssh-rsa' && values[1] ? bitLength(values[1]) : MIN_RSA_BITS;
  if (bits < MIN_RSA_BITS) return {kind: 'unusable', why: `an RSA key of ${bits} bits is too weak`};
  return undefined;
}

/** Length-prefixed fields, or undefined when they do not fill the blob exactly. */
function fieldsOf(blob: Buffer): Buffer[] | undefined {
  const fields: Buffer[] = [];
  let at = 0;
  while (at < blob.length) {
    if (at + 4 > blob.length) return undefined;
    const end = at + 4 + blob.readUInt32BE(at);
    if (end > blob.length) return undefined;
    fields.push(blob.subarray(at + 4, end));
    at = end;
  }
  return fields;
}

function bitLength(mpint: Buffer): number {
  const first = mpint.findIndex((byte) => byte !== 0);
  if (first < 0) return 0;
  return (mpint.length - first) * 8 - Math.clz32(mpint[first] ?? 0) + 24;
}

/** As `ssh-keygen -l` prints it. */
export function fingerprintOf(key: Pick<PublicKey, 'data'>): string {
  const digest = createHash('sha256').update(Buffer.from(key.data, 'base64')).digest('base64');
  return `SHA256:${digest.replace(/=+$/, '')}`;
}

/** A line for an authorized_keys file. */
export function formatKey(key: PublicKey): string {
  return [key.options, key.type, key.data, key.comment].filter((part) => part !== '').join(' ');
}
