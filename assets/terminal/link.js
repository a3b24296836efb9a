// The WebSocket to the shell: opened anew when it was lost, until the shell has ended.

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;
/** The server takes no longer messages. */
const LONGEST_INPUT = 16 * 1_024;
/** Input on its way to the shell; the rest of a paste waits here. */
const MOST_INPUT = 64 * 1_024;
/** So many bytes of output are acknowledged at once. */
const ACK_EVERY = 16 * 1_024;

/**
 * @param {{
 *   size: () => {cols?: number, rows?: number},
 *   onOpen: () => void, onLost: () => void,
 *   onOutput: (bytes: Uint8Array, read: () => void) => void,
 *   onMessage: (message: any) => void,
 * }} page
 */
export function openLink(page) {
  let socket;
  let ended = false;
  let waitMs = FIRST_WAIT_MS;
  let timer;
  /** @type {Uint8Array[]} */
  let waiting = [];
  let underWay = 0;

  const sendInput = () => {
    while (waiting.length > 0 && underWay < MOST_INPUT) {
      const piece = waiting.shift();
      underWay += piece.length;
      socket.send(piece);
    }
  };

  const dial = () => {
    clearTimeout(timer);
    const address = new URL('shell', location.href);
    address.protocol = address.protocol === 'http:' ? 'ws:' : 'wss:';
    const mine = new WebSocket(address);
    socket = mine;
    mine.binaryType = 'arraybuffer';
    let read = 0;
    waiting = [];
    underWay = 0;
    mine.onopen = () => {
      waitMs = FIRST_WAIT_MS;
      page.onOpen();
      tell({type: 'size', ...page.size()});
    };
    mine.onmessage = ({data}) => {
      if (typeof data === 'string') {
        const message = JSON.parse(data);
        ended ||= message.type === 'end';
        if (message.type !== 'taken') return page.onMessage(message);
        underWay -= message.bytes;
        return sendInput();
      }
      page.onOutput(new Uint8Array(data), () => {
        read += data.byteLength;
        if (read < ACK_EVERY || mine.readyState !== WebSocket.OPEN) return;
        mine.send(JSON.stringify({type: 'ack', bytes: read}));
        read = 0;
      });
    };
    mine.onclose = () => {
      if (ended || mine !== socket) return;
      page.onLost();
      timer = setTimeout(dial, waitMs);
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
    };
  };

  const tell = (message) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };

  // A phone that wakes up should not wait for the next try.
  addEventListener('online', () => {
    if (!ended && socket.readyState === WebSocket.CLOSED) dial();
  });
  dial();

  return {
    tell,
    /** @param {Uint8Array} bytes */
    input: (bytes) => {
      if (socket.readyState !== WebSocket.OPEN) return;
      for (let at = 0; at < bytes.length; at += LONGEST_INPUT) {
        waiting.push(bytes.subarray(at, at + LONGEST_INPUT));
      }
      sendInput();
    },
  };
}
