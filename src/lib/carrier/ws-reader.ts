// Parses a WebSocket's bytes as they arrive: payload is passed on in pieces without a copy; only control frames are gathered.

import {
  CLOSE,
  CONTROL_WINDOW_MS,
  MAX_CONTROL_FRAMES,
  MAX_CONTROL_PAYLOAD,
  MAX_EMPTY_FRAMES,
  MAX_HEADER,
  MAX_MESSAGE_BYTES,
  OPCODE,
  parseClose,
  type Role,
  type Violation,
} from './ws-frames.js';

/** The events of the reader. None follows `onClose` or `onViolation`. */
export interface WsReaderEvents {
  /** A piece of binary payload, never empty: a view of the input chunk, unmasked. Boundaries of messages are not reported. */
  onPayload(piece: Buffer): void;
  /** The payload is a copy. */
  onPing(payload: Buffer): void;
  onPong(payload: Buffer): void;
  /** 1005 when the frame gave no code. */
  onClose(code: number, reason: string): void;
  onViolation(violation: Violation): void;
}

export interface WsReaderOptions {
  /** The role of the reading side: a relay accepts only masked frames, an agent only unmasked ones. */
  role: Role;
  events: WsReaderEvents;
  /** Monotonic, ms; only used to distinguish a flood of control frames from keep-alive. */
  now: () => number;
}

const FIN = 0x80;
const RSV = 0x70;

/**
 * RFC 6455 §5 as a state machine over bytes: a header (2 to 14 bytes, gathered), then `#left` bytes of payload.
 * The result depends only on the bytes, never on the chunks.
 */
export class WsReader {
  readonly #masked: boolean;
  readonly #events: WsReaderEvents;
  readonly #now: () => number;
  readonly #header = Buffer.alloc(MAX_HEADER);
  #headerHas = 0;
  #headerNeeds = 2;
  /** The opcode of the frame whose payload is being read. */
  #opcode = 0;
  #left = 0;
  #mask = 0;
  /** Bytes of the frame's payload already unmasked, modulo 4. */
  #maskAt = 0;
  /** Made for the first control frame: most links have none. */
  #control: Buffer | undefined;
  #controlHas = 0;
  /** A message has begun and its last fragment has not come. */
  #fragmented = false;
  #messageBytes = 0;
  #emptyFrames = 0;
  #controlFrames = 0;
  #controlSince = 0;
  #stopped = false;

  constructor({role, events, now}: WsReaderOptions) {
    this.#masked = role === 'relay';
    this.#events = events;
    this.#now = now;
  }

  /** Takes the next bytes. The chunk's memory is the reader's: it unmasks in place. */
  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#stopped) {
      if (this.#left === 0) at = this.#readHeader(chunk, at);
      else if (this.#opcode >= OPCODE.close) at = this.#readControl(chunk, at);
      else at = this.#readPayload(chunk, at);
    }
  }

  /** No further event, even if more bytes are fed. */
  stop(): void {
    this.#stopped = true;
  }

  #readPayload(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    const piece = at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end);
    if (this.#mask !== 0) this.#unmask(piece);
    this.#left -= end - at;
    this.#events.onPayload(piece);
    return end;
  }

  #readControl(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#control ??= Buffer.alloc(MAX_CONTROL_PAYLOAD);
    chunk.copy(this.#control, this.#controlHas, at, end);
    this.#controlHas += end - at;
    this.#left -= end - at;
    if (this.#left === 0) this.#finishControl();
    return end;
  }

  #readHeader(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length) {
      this.#header[this.#headerHas++] = chunk[at++] as number;
      if (this.#headerHas === 2 && !this.#checkHeader()) return at;
      if (this.#headerHas === this.#headerNeeds) {
        this.#headerHas = 0;
        this.#headerNeeds = 2;
        this.#beginFrame();
        return at;
      }
    }
    return at;
  }

  /** Checks the first two bytes and computes the length of the header. */
  #checkHeader(): boolean {
    const first = this.#header[0] as number;
    const second = this.#header[1] as number;
    const opcode = first & 0x0f;
    const short = second & 0x7f;
    if ((first & RSV) !== 0) return this.#refuse(CLOSE.protocol, 'a reserved bit is set');
    if (second >= 0x80 !== this.#masked)
      return this.#refuse(CLOSE.protocol, this.#masked ? 'a frame without a mask' : 'a masked frame');
    switch (opcode) {
      case OPCODE.continuation:
        if (!this.#fragmented) return this.#refuse(CLOSE.protocol, 'a continuation of nothing');
        break;
      case OPCODE.binary:
      case OPCODE.text:
        if (this.#fragmented) return this.#refuse(CLOSE.protocol, 'a message within a message');
        if (opcode === OPCODE.text) return this.#refuse(CLOSE.unsupported, 'a text message');
        this.#messageBytes = 0;
        break;
      case OPCODE.close:
      case OPCODE.ping:
      case OPCODE.pong:
        if (first < FIN) return this.#refuse(CLOSE.protocol, 'a fragmented control frame');
        if (short > MAX_CONTROL_PAYLOAD)
          return this.#refuse(CLOSE.protocol, 'a control frame over 125 bytes');
        break;
      default:
        return this.#refuse(CLOSE.protocol, `opcode ${opcode}`);
    }
    this.#headerNeeds = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (this.#masked ? 4 : 0);
    return true;
  }

  #beginFrame(): void {
    const header = this.#header;
    const first = header[0] as number;
    const short = (header[1] as number) & 0x7f;
    let length = short;
    let at = 2;
    if (short === 126) {
      length = header.readUInt16BE(2);
      at = 4;
    } else if (short === 127) {
      // Exact below 2^53; larger lengths still exceed the cap.
      length = header.readUInt32BE(2) * 2 ** 32 + header.readUInt32BE(6);
      at = 10;
    }
    this.#opcode = first & 0x0f;
    this.#left = length;
    this.#mask = this.#masked ? header.readUInt32BE(at) : 0;
    this.#maskAt = 0;
    if (this.#opcode >= OPCODE.close) {
      this.#controlHas = 0;
      if (this.#countControl() && length === 0) this.#finishControl();
      return;
    }
    this.#fragmented = first < FIN;
    this.#messageBytes += length;
    if (this.#messageBytes > MAX_MESSAGE_BYTES) {
      this.#refuse(CLOSE.tooBig, `a message over ${MAX_MESSAGE_BYTES} bytes`);
    } else if (length > 0) {
      this.#emptyFrames = 0;
      this.#controlFrames = 0;
    } else if (++this.#emptyFrames > MAX_EMPTY_FRAMES) {
      this.#refuse(CLOSE.protocol, `more than ${MAX_EMPTY_FRAMES} empty frames in a row`);
    }
  }

  #countControl(): boolean {
    if (this.#controlFrames === 0) this.#controlSince = this.#now();
    if (++this.#controlFrames <= MAX_CONTROL_FRAMES) return true;
    const now = this.#now();
    if (now - this.#controlSince < CONTROL_WINDOW_MS)
      return this.#refuse(CLOSE.protocol, `more than ${MAX_CONTROL_FRAMES} control frames in a row`);
    this.#controlFrames = 1;
    this.#controlSince = now;
    return true;
  }

  #finishControl(): void {
    const payload = this.#control?.subarray(0, this.#controlHas) ?? Buffer.alloc(0);
    if (this.#mask !== 0) this.#unmask(payload);
    if (this.#opcode === OPCODE.ping) this.#events.onPing(Buffer.from(payload));
    else if (this.#opcode === OPCODE.pong) this.#events.onPong(Buffer.from(payload));
    else this.#finishClose(payload);
  }

  #finishClose(payload: Buffer): void {
    const close = parseClose(payload);
    if ('closeCode' in close) {
      this.#refuse(close.closeCode, close.reason);
      return;
    }
    this.#stopped = true;
    this.#events.onClose(close.code, close.reason);
  }

  #unmask(piece: Buffer): void {
    let at = this.#maskAt;
    for (let i = 0; i < piece.length; i += 1) {
      piece[i] = (piece[i] as number) ^ (this.#mask >>> (24 - 8 * at));
      at = (at + 1) & 3;
    }
    this.#maskAt = at;
  }

  #refuse(closeCode: number, reason: string): false {
    this.#stopped = true;
    this.#events.onViolation({closeCode, reason});
    return false;
  }
}
