// Writes the part of DER (X.690 §10) that certificates need, and takes apart what OpenSSL has read already.

export const DER = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag, length and content of one value. `parts` are joined to the content. */
export function der(tag: number, ...parts: ReadonlyArray<Uint8Array | string>): Buffer {
  const content = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  const {length} = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const size = length.toString(16);
  const bytes = Buffer.from(size.length % 2 === 0 ? size : `0${size}`, 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length]), bytes, content]);
}

/** A time to the second, in the form of RFC 5280 §4.1.2.5. */
export function derTime(date: Date): Buffer {
  const digits = date.toISOString().replace(/\.\d+Z$|[-:T]/g, '');
  return date.getUTCFullYear() < 2050
    ? der(DER.utcTime, `${digits.slice(2)}Z`)
    : der(DER.generalizedTime, `${digits}Z`);
}

/** The content of the first value, without tag and length. */
export function derContent(value: Buffer): Buffer {
  const {start, end} = bounds(value);
  return value.subarray(start, end);
}

/** The values, with tags and lengths, that a sequence or set consists of. */
export function derParts(value: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let rest = derContent(value); rest.length > 0; ) {
    const {end} = bounds(rest);
    parts.push(rest.subarray(0, end));
    rest = rest.subarray(end);
  }
  return parts;
}

/** Where the content of the first value is. */
function bounds(value: Buffer): {start: number; end: number} {
  const first = value[1] ?? 0;
  const more = first < 0x80 ? 0 : first & 0x7f;
  const length = more === 0 ? first : value.readUIntBE(2, more);
  const start = 2 + more;
  return {start, end: start + length};
}
