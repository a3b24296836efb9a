// Cuts a terminal's output so that no escape sequence and no UTF-8 character is split.
//
// A visitor may join at each cut: the screen at that moment and the later output must fit together. An incomplete sequence
// shows nothing yet, so nobody sees a difference when it is held back for the next chunk.

/** A sequence that is longer than this, such as an image, is passed on in parts. */
const LONGEST = 4_096;

const ESC = 0x1b;
const BEL = 0x07;

export class WholeSequences {
  #held: Uint8Array = new Uint8Array();

  /** Returns the bytes that can be passed on; may be empty. */
  push(chunk: Uint8Array): Uint8Array {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const end = unfinishedFrom(bytes);
    // A copy: the chunk may be a part of a larger buffer.
    this.#held = bytes.slice(end);
    return bytes.subarray(0, end);
  }

  /** Returns the bytes that are still held back, at the end of the output. */
  rest(): Uint8Array {
    const rest = this.#held;
    this.#held = new Uint8Array();
    return rest;
  }
}

/** The start of the last unfinished sequence or character; the length if there is none. */
export function unfinishedFrom(bytes: Uint8Array): number {
  const start = bytes.lastIndexOf(ESC);
  if (start >= 0 && bytes.length - start <= LONGEST && !isFinished(bytes, start)) return start;
  return unfinishedCharacter(bytes);
}

function isFinished(bytes: Uint8Array, start: number): boolean {
  const kind = String.fromCharCode(bytes[start + 1] ?? 0);
  const rest = bytes.subarray(start + 2);
  if (bytes.length === start + 1) return false;
  if (kind === '[') return rest.some((byte) => byte >= 0x40);
  // Strings end with BEL, CAN or SUB here; their other end, ESC \, would be the last sequence itself.
  if (']PX^_'.includes(kind)) return rest.some((byte) => byte === BEL || byte === 0x18 || byte === 0x1a);
  if (kind >= ' ' && kind <= '/') return rest.some((byte) => byte >= 0x30);
  return true;
}

function unfinishedCharacter(bytes: Uint8Array): number {
  const {length} = bytes;
  for (let back = 1; back <= Math.min(3, length); back += 1) {
    const byte = bytes[length - back] ?? 0;
    if (byte < 0x80) return length;
    if (byte < 0xc0) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return needed > back ? length - back : length;
  }
  return length;
}
