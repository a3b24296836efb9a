// Everything that can be on the wire between two sessions, with its limits. `docs/protocol.md` says the same in prose.
//
// Two layers share one carrier. *Records* belong to one carrier and end with it. The bytes inside SEGMENT records
// belong to the session: they are *frames*, counted in each direction, and sent again on the next carrier when they were
// lost.

import type {ErrorCode} from '../core/errors.js';

/** Version in the WebSocket sub-protocol and in `challenge`. It grows when old and new versions can no longer talk. */
export const PROTOCOL_VERSION = 1;

/** The path of the agents' upgrade, on the relay's own name. */
export const AGENT_PATH = '/agent';

/** GET: facts about the relay that everybody may know, before a login. */
export const INFO_PATH = '/.well-known/tunl';
/** GET with a token: the identity that the relay sees in it. */
export const WHOAMI_PATH = '/agent/whoami';
/** POST with a token of an issuer: a token of the relay in exchange. */
export const LOGIN_PATH = '/agent/login';
/** POST with a token from a login: the relay forgets it. */
export const LOGOUT_PATH = '/agent/logout';

/** Record: type (1), payload length (3), payload. All integers are big-endian. */
export const RECORD_HEADER = 4;

export const RECORD = {
  /** The next bytes of the session. */
  segment: 0x01,
  /** Cumulative count of session bytes received (8). */
  ack: 0x02,
  /** Eight bytes that come back in a pong. */
  ping: 0x03,
  pong: 0x04,
  /** A link message as JSON: challenge, hello, welcome, refused, goaway, close. */
  message: 0x05,
} as const;

/** Frame: type (1), payload length (3), stream id (6), payload. */
export const FRAME_HEADER = 10;

export const FRAME = {
  /** Kind (1), then JSON about the stream. */
  open: 0x10,
  /** The receiver of the OPEN accepts the stream. */
  opened: 0x11,
  /** The receiver of the OPEN refuses the stream: JSON {code, message}. */
  refused: 0x12,
  data: 0x13,
  /** No more data in this direction. */
  fin: 0x14,
  /** The stream is dead in both directions: JSON {code} or nothing. */
  reset: 0x15,
  /** The peer may send this many more bytes (4). */
  credit: 0x16,
  /** A control message as JSON, on stream 0. */
  control: 0x17,
} as const;

/** The purpose of a stream. A side refuses a kind that it does not know with KIND_UNKNOWN, so old and new versions can meet. */
/** The header of an upgrade with the id of the session to resume. The proof of the resume is enough, so no token is sent. */
export const SESSION_HEADER = 'tunl-session';

export const KIND = {
  visitor: 1,
  /** Another session runs inside this stream. */
  carrier: 2,
  /** A connection from an address of the relay to the outside, for the agent's side. */
  egress: 3,
  /** A connection between members of a private network. */
  member: 4,
  /** Datagrams from an address of the relay to one destination and back, each with its length before it. */
  datagram: 5,
  /** A request to the other side itself, by the name of a service. */
  service: 6,
} as const;

export type StreamKind = (typeof KIND)[keyof typeof KIND];

/** Why a stream was refused or reset, on the wire. */
export const STREAM_CODES = [
  'UPSTREAM_REFUSED',
  'UPSTREAM_TIMEOUT',
  'UPSTREAM_RESET',
  'VISITOR_RESET',
  'TUNNEL_UNKNOWN',
  'KIND_UNKNOWN',
  'SERVICE_UNKNOWN',
  'TOO_MANY_STREAMS',
  'TOO_MUCH_UNREAD',
  'VISITOR_IDLE',
  'SESSION_ENDED',
  'DRAINING',
  'NOT_ALLOWED',
  'EGRESS_UNKNOWN',
  'EGRESS_FORBIDDEN',
  'EGRESS_UNHEALTHY',
  'NAME_UNKNOWN',
  'UNREACHABLE',
  'MEMBER_UNKNOWN',
  'MEMBER_NAME_USED',
  'MEMBER_REPLACED',
  'MEMBER_UNPROVEN',
  'NETWORK_FULL',
  'CANCELLED',
] as const;

/** The code of `close` when the peer broke the rules. PROTOCOL: its input cannot be read. */
export const VIOLATION_CODES = [
  'PROTOCOL',
  'ACK_RANGE',
  'ACK_OVERDUE',
  'STREAM_REUSED',
  'STREAM_UNKNOWN',
  'STREAM_STATE',
  'WINDOW_EXCEEDED',
  'CREDIT_RANGE',
  'PEER_NOT_READING',
] as const satisfies readonly ErrorCode[];

export type ViolationCode = (typeof VIOLATION_CODES)[number];

export type StreamCode = (typeof STREAM_CODES)[number];

export function isStreamCode(value: unknown): value is StreamCode {
  return (STREAM_CODES as readonly unknown[]).includes(value);
}

export const LIMITS = {
  /** Payload of one SEGMENT. A sender writes at most one block (160 KiB) at once. */
  segmentBytes: 256 * 1024,
  /** Payload of one link message: the longest is a goaway with a list of relays. */
  messageBytes: 16 * 1024,
  /** The text for people in a message, in UTF-16 units; the sender cuts a longer one. */
  textCharacters: 500,
  /** Payload of one DATA frame. */
  dataBytes: 256 * 1024,
  /** Payload of OPEN, REFUSED and RESET: names and addresses, no more. */
  openBytes: 4 * 1024,
  /** Payload of one CONTROL frame. */
  controlBytes: 64 * 1024,
  /**
   * Every stream starts with this window in both directions; CREDIT enlarges it. It is small, so a thousand stalled readers
   * cost at most 256 MiB.
   */
  initialWindow: 256 * 1024,
  /** The largest window of one stream: 16 MiB fill 1 Gbit/s over 100 ms. */
  maxWindow: 16 * 1024 * 1024,
  /** The credit of a stream may never exceed this. */
  maxCredit: 2 ** 31 - 1,
  /** Streams open at once in one session. */
  streams: 65_536,
  /** Acknowledge after this many bytes … */
  ackBytes: 64 * 1024,
  /** … or after this many ms. */
  ackDelayMs: 50,
  /** Stream ids are 48 bits: at 100,000 streams a second they last 89 years. */
  maxStreamId: 2 ** 48 - 1,
} as const;

export type RecordType = (typeof RECORD)[keyof typeof RECORD];
export type FrameType = (typeof FRAME)[keyof typeof FRAME];

/** Writes a record header so that it ends just before `end`; returns its start. */
export function writeRecordHeaderBefore(
  buffer: Buffer,
  end: number,
  type: RecordType,
  length: number,
): number {
  const at = end - RECORD_HEADER;
  buffer.writeUInt32BE(((type << 24) | length) >>> 0, at);
  return at;
}

export function writeFrameHeader(
  buffer: Buffer,
  at: number,
  type: FrameType,
  streamId: number,
  length: number,
): void {
  buffer.writeUInt32BE(((type << 24) | length) >>> 0, at);
  const high = Math.floor(streamId / 0x1_0000_0000);
  buffer[at + 4] = high >>> 8;
  buffer[at + 5] = high & 0xff;
  buffer.writeUInt32BE(streamId >>> 0, at + 6);
}

/** The payload length of a frame header that starts at `at`. */
export function readFrameLength(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) & 0xff_ffff;
}

/** The 48-bit stream id of a frame header that starts at `at`. */
export function readStreamId(buffer: Buffer, at: number): number {
  return buffer.readUInt16BE(at + 4) * 0x1_0000_0000 + buffer.readUInt32BE(at + 6);
}

/** The longest payload that a frame of this type may have; undefined for a type that does not exist. */
export function frameLimit(type: number): number | undefined {
  switch (type) {
    case FRAME.data:
      return LIMITS.dataBytes;
    case FRAME.open:
    case FRAME.refused:
    case FRAME.reset:
      return LIMITS.openBytes;
    case FRAME.control:
      return LIMITS.controlBytes;
    case FRAME.credit:
      return 4;
    case FRAME.opened:
    case FRAME.fin:
      return 0;
    default:
      return undefined;
  }
}

/** The shortest payload that a frame of this type may have. */
export function shortestFrame(type: number): number {
  switch (type) {
    case FRAME.credit:
      return 4;
    case FRAME.data:
    case FRAME.open:
      return 1;
    default:
      return 0;
  }
}

/** The longest payload that a record of this type may have; undefined for a type that does not exist. */
export function recordLimit(type: number): number | undefined {
  switch (type) {
    case RECORD.segment:
      return LIMITS.segmentBytes;
    case RECORD.ack:
    case RECORD.ping:
    case RECORD.pong:
      return 8;
    case RECORD.message:
      return LIMITS.messageBytes;
    default:
      return undefined;
  }
}

/** The shortest payload that a record of this type may have. Acks, pings and pongs have exactly eight bytes. */
export function shortestRecord(type: number): number {
  return type === RECORD.ack || type === RECORD.ping || type === RECORD.pong ? 8 : 1;
}
