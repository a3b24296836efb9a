// The lines with which a connection to a private TCP tunnel begins: the visitor shows the token of its link, the agent answers.

/** `TUNL/1 `, the token, a line feed. */
const OPENING = 'TUNL/1 ';
/** A token has 32 characters; a later form may be longer. */
const MAX_TOKEN = 128;
const LINE_FEED = 0x0a;

/**
 * The agent's answers. OK: the service's bytes follow. LATER: the token is wrong, and too many wrong ones have come. NOT_HTTP:
 * a browser has opened the link.
 */
const REPLIES = ['OK', 'LINK_NEEDED', 'LINK_INVALID', 'LATER', 'NOT_HTTP'] as const;
export type StreamReply = (typeof REPLIES)[number];

const FOR_BROWSERS =
  'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis link is for a TCP service: `tunl connect` opens it.\n';

/** The longest answer, with its line feed. */
const MAX_REPLY = 64;

export function openingLine(token: string): string {
  return `${OPENING}${token}\n`;
}

/** The bytes of the visitor so far. Undefined: they are too few to decide. `length`: the bytes of the line. */
export function readOpening(
  head: Buffer,
): {token: string; length: number} | {reply: StreamReply; length: number} | undefined {
  const begins = head.subarray(0, OPENING.length).toString('latin1');
  if (!OPENING.startsWith(begins))
    return {reply: /^(GET|HEAD|POST|PUT) ?/.test(begins) ? 'NOT_HTTP' : 'LINK_NEEDED', length: head.length};
  const end = head.subarray(0, OPENING.length + MAX_TOKEN + 1).indexOf(LINE_FEED);
  if (end !== -1) return {token: head.toString('latin1', OPENING.length, end), length: end + 1};
  return head.length > OPENING.length + MAX_TOKEN ? {reply: 'LINK_INVALID', length: head.length} : undefined;
}

export function replyLine(reply: StreamReply): Buffer {
  return Buffer.from(reply === 'NOT_HTTP' ? FOR_BROWSERS : `TUNL/1 ${reply}\n`, 'latin1');
}

/** The bytes of the agent so far. Undefined: they are too few to decide. No `reply`: this is no private TCP tunnel. */
export function readReply(head: Buffer): {reply: StreamReply | undefined; length: number} | undefined {
  const end = head.subarray(0, MAX_REPLY).indexOf(LINE_FEED);
  if (end === -1) {
    const begins = head.subarray(0, OPENING.length).toString('latin1');
    const mayCome = OPENING.startsWith(begins) && head.length < MAX_REPLY;
    return mayCome ? undefined : {reply: undefined, length: 0};
  }
  const line = head.toString('latin1', 0, end);
  return {reply: REPLIES.find((reply) => line === `TUNL/1 ${reply}`), length: end + 1};
}
