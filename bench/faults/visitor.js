// The visitors of the fault bench: a download, an echo with five words a second, and a connection that is silent until the
// end.
//
//   node visitor.js HOST PORT SEED BYTES_PER_SECOND
//
// Prints `up` once all three are served. After that each line on stdin is answered with `N JSON`, the Nth snapshot:
//   report      what is known so far
//   begin       stalls are counted from now on
//   ask         sends a word on the quiet connection, and new visitors until one is served
import {connect} from 'node:net';
import {createInterface} from 'node:readline';
import {pattern} from './pattern.js';

/** The download has a piece every 50 ms: a longer silence than this is a stall. */
const STALL_MS = 150;
const ECHO_EVERY_MS = 200;
const NEW_EVERY_MS = 250;
const NEW_TIMEOUT_MS = 5_000;

const [host, port, seed, rate] = process.argv.slice(2);

function visit(firstLine, facts) {
  const socket = connect({host, port: Number(port), noDelay: true});
  socket.write(firstLine);
  socket.on('error', ({code}) => {
    facts.closed ??= code;
  });
  socket.on('close', () => {
    facts.closed ??= 'FIN';
    facts.closedAt ??= performance.now();
  });
  return socket;
}

/** Bytes that differ from what was expected. */
function differing(got, expected) {
  if (got.equals(expected)) return 0;
  let count = 0;
  for (let i = 0; i < got.length; i++) if (got[i] !== expected[i]) count += 1;
  return count;
}

function startDownload() {
  const facts = {bytes: 0, wrong: 0, longestStallMs: 0, stalledMs: 0, lastAt: performance.now()};
  const socket = visit(`download ${seed} ${rate}\n`, facts);
  const next = pattern(seed);
  socket.on('data', (chunk) => {
    const gap = performance.now() - facts.lastAt;
    facts.lastAt += gap;
    facts.bytes += chunk.length;
    facts.wrong += differing(chunk, next(chunk.length));
    facts.longestStallMs = Math.max(facts.longestStallMs, gap);
    if (gap > STALL_MS) facts.stalledMs += gap;
  });
  return facts;
}

/** Compares the bytes that come back with those sent. Returns the function that sends. */
function startEcho(facts) {
  const socket = visit('echo\n', facts);
  let unanswered = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    facts.wrong += differing(
      chunk,
      Buffer.concat([unanswered, Buffer.alloc(chunk.length)]).subarray(0, chunk.length),
    );
    unanswered = unanswered.subarray(chunk.length);
    facts.back += chunk.length;
  });
  return (text) => {
    if (facts.closed !== undefined || socket.writableLength > 64 * 1024) return;
    const bytes = Buffer.from(text);
    unanswered = Buffer.concat([unanswered, bytes]);
    facts.said += bytes.length;
    socket.write(bytes);
  };
}

/** Ends its own direction with the request; the upstream answers when it has seen that end. */
function halfClose() {
  return new Promise((resolve) => {
    const socket = connect({host, port: Number(port), noDelay: true, allowHalfOpen: true});
    let bytes = 0;
    socket.end('after-end\n');
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    socket.on('error', () => {});
    socket.setTimeout(NEW_TIMEOUT_MS, () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.on('close', () => resolve(bytes));
  });
}

const halfClosedBytes = await halfClose();
const download = startDownload();
const echo = {said: 0, back: 0, wrong: 0};
const quiet = {said: 0, back: 0, wrong: 0};
const sayToEcho = startEcho(echo);
const sayToQuiet = startEcho(quiet);
sayToQuiet('first words\n');
let words = 0;
setInterval(() => sayToEcho(`word ${words++}\n`), ECHO_EVERY_MS);

const fresh = {};
function newVisitor() {
  const came = performance.now();
  const facts = {};
  const socket = visit('echo\nnew\n', facts);
  socket.setTimeout(NEW_TIMEOUT_MS, () => socket.destroy());
  socket.on('data', () => {
    fresh.servedMs ??= performance.now() - fresh.askedAt;
    socket.destroy();
  });
  socket.on('close', () => {
    if (fresh.servedMs !== undefined) return;
    setTimeout(newVisitor, Math.max(0, came + NEW_EVERY_MS - performance.now()));
  });
}

function snapshot() {
  const now = performance.now();
  const open = download.closed === undefined;
  const silentMs = now - download.lastAt;
  const longestStallMs = open ? Math.max(download.longestStallMs, silentMs) : download.longestStallMs;
  const stalledMs = download.stalledMs + (open && silentMs > STALL_MS ? silentMs : 0);
  return {
    now,
    halfClosedBytes,
    download: {...download, longestStallMs, stalledMs, silentMs},
    echo,
    quiet,
    fresh,
  };
}

let asked = 0;
createInterface({input: process.stdin}).on('line', (word) => {
  if (word === 'begin') Object.assign(download, {longestStallMs: 0, stalledMs: 0});
  if (word === 'ask') {
    sayToQuiet('is anybody there?\n');
    fresh.askedAt = performance.now();
    newVisitor();
  }
  console.log(`${++asked} ${JSON.stringify(snapshot())}`);
});

const up = setInterval(() => {
  if (download.bytes === 0 || echo.back === 0 || quiet.back === 0) return;
  clearInterval(up);
  console.log('up');
}, 20);
