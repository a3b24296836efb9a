// Strangers without any right at a relay's TLS port, from their own address, in a separate process.
// `strangers.js KIND PORT NAME FROM COUNT AT_ONCE`: COUNT connections (0: until SIGTERM), then one line of JSON.
// login: a wrong token each. tokens: a wrong token of the registry each, from another address each time (FROM counts up). pipeline: requests without end. stalled: 60 KB of a ClientHello that never ends. cut: the first
// kilobyte of one. slow: a byte of one each second. headers: after a handshake, a byte of a request each second. plain: the
// same without TLS. visit: a byte to a TCP port; connections that get it back stay, and the line comes when all have a result.
// `begun` on stderr: the first one is connected.
import {connect} from 'node:net';
import {connect as secure} from 'node:tls';

const [kind, port, name, from, wanted, atOnce] = process.argv.slice(2);
const count = Number(wanted) || Number.POSITIVE_INFINITY;
const said = {opened: 0, secured: 0, closed: 0, inside: 0, longestMs: 0, answers: {}};

const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const some = (letters, length) =>
  Array.from({length}, () => letters[Math.floor(Math.random() * letters.length)]).join('');
/** The form of a token of the registry. */
const token = () =>
  `tunl_agent_${some('abcdefghijklmnopqrstuvwxyz234567', 10)}_${some(digits, 43)}_${some(digits, 6)}`;
/** 127.x.y.z for the n-th attempt. */
function address(n) {
  const base = from.split('.').map(Number);
  return kind === 'tokens' ? `127.${base[3]}.${(n >> 8) & 255}.${n & 255 || 1}` : from;
}

const login = [
  'GET /agent HTTP/1.1',
  `Host: ${name}`,
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Protocol: tunl.v1',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Authorization: Bearer a-token-that-nobody-has',
  '\r\n',
].join('\r\n');
const pipeline = `GET / HTTP/1.1\r\nHost: ${name}\r\n\r\n`.repeat(500);

/** Announces a message of 64,000 bytes, in records of 16,000; the last of the four is never complete. */
function endlessHello() {
  const record = (length) =>
    Buffer.concat([Buffer.from([22, 3, 1, length >> 8, length & 255]), Buffer.alloc(length)]);
  const bytes = Buffer.concat(Array.from({length: 4}, () => record(16_000)));
  bytes.set([1, 0, 64_000 >> 8, 64_000 & 255], 5);
  return bytes.subarray(0, 60_000);
}
const hello = endlessHello();

const slowRequest = Buffer.from(`GET / HTTP/1.1\r\nHost: ${name}\r\nCookie: ${'x'.repeat(10_000)}`);

/** Sends a byte at once, and one each second. */
function drip(socket, bytes) {
  let at = 0;
  const next = () => socket.write(bytes.subarray(at, ++at));
  next();
  const timer = setInterval(next, 1_000);
  socket.on('close', () => clearInterval(timer));
}

function one() {
  if (said.opened >= count) return;
  said.opened += 1;
  let since = performance.now();
  const socket = connect({port: Number(port), host: '127.0.0.1', localAddress: address(said.opened)});
  let over = false;
  const end = () => {
    if (over) return;
    over = true;
    said.closed += 1;
    said.longestMs = Math.max(said.longestMs, performance.now() - since);
    if (said.closed >= count) finish();
    else if (kind === 'visit' && said.inside + said.closed === count) tell();
    else setImmediate(one);
  };
  if (said.opened === 1) socket.once('connect', () => process.stderr.write('begun\n'));
  socket.on('error', () => {});
  socket.on('close', end);
  if (kind === 'visit') {
    socket.on('connect', () => {
      since = performance.now();
      socket.write('x');
    });
    socket.once('data', () => {
      said.inside += 1;
      if (said.inside + said.closed === count) tell();
      else setImmediate(one);
    });
    return;
  }
  if (kind === 'slow' || kind === 'plain') {
    socket.on('connect', () => drip(socket, kind === 'slow' ? hello : slowRequest));
    socket.resume();
    return;
  }
  if (kind === 'cut') {
    socket.on('connect', () => {
      // The time to connect 5,000 sockets is not the relay's.
      since = performance.now();
      socket.write(hello.subarray(0, 1_000));
    });
    socket.resume();
    return;
  }
  if (kind === 'stalled') {
    socket.on('connect', () => {
      since = performance.now();
      socket.write(hello);
    });
    socket.resume();
    return;
  }
  const tls = secure({socket, servername: name, rejectUnauthorized: false});
  tls.on('error', () => {});
  tls.on('secureConnect', () => {
    said.secured += 1;
    if (kind === 'headers') drip(tls, slowRequest);
    else if (kind === 'pipeline') tls.write(pipeline);
    else tls.write(kind === 'login' ? login : login.replace('a-token-that-nobody-has', token()));
  });
  tls.on('data', (data) => {
    for (const [, status] of data.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3}) /g))
      said.answers[status] = (said.answers[status] ?? 0) + 1;
    if (kind === 'pipeline') tls.write(pipeline);
  });
  tls.on('close', () => socket.destroy());
}

function tell(then) {
  process.stdout.write(`${JSON.stringify(said)}\n`, then);
}
function finish() {
  tell(() => process.exit());
}
process.once('SIGTERM', finish);
for (let i = 0; i < Number(atOnce); i += 1) one();
