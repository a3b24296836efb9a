// WebSocket frames written by hand from RFC 6455, independent of the library: valid ones and broken ones.

export interface FrameParts {
  opcode?: number;
  fin?: boolean;
  /** The three reserved bits, 0 to 7. */
  rsv?: number;
  payload?: Uint8Array | string;
  /** Four bytes; absent: the frame is not masked. */
  mask?: Uint8Array;
  /** The length form; default: the shortest. */
  form?: 7 | 16 | 64;
  /** The length in the header, when it differs from the payload's. */
  claims?: number | bigint;
}

export function frame(parts: FrameParts = {}): Buffer {
  const {opcode = 2, fin = true, rsv = 0, payload = '', mask, claims} = parts;
  const body = Buffer.from(payload as string);
  const length = BigInt(claims ?? body.length);
  const form = parts.form ?? (length < 126n ? 7 : length < 65_536n ? 16 : 64);
  const head = Buffer.alloc(form === 7 ? 2 : form === 16 ? 4 : 10);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (mask === undefined ? 0 : 0x80) | (form === 7 ? Number(length) : form === 16 ? 126 : 127);
  if (form === 16) head.writeUInt16BE(Number(length), 2);
  if (form === 64) head.writeBigUInt64BE(length, 2);
  if (mask === undefined) return Buffer.concat([head, body]);
  return Buffer.concat([head, mask, body.map((byte, i) => byte ^ (mask[i % 4] ?? 0))]);
}

/** A close frame's payload. */
export function closeBody(code: number, reason: string | Uint8Array = ''): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return Buffer.concat([head, Buffer.from(reason as string)]);
}
