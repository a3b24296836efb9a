// Attackers of a relay, each in a separate process: `attackers.js KIND`, with the relay in the environment.
// releases: has a token, begins 150 sessions, binds 100 names in each, ends all at once, and begins again.
// busy: only a loop, which shows the cost of sharing the machine.
// Each prints `begun` on stderr when it works, and releases prints `gone` when all sessions have ended.
import {readFileSync} from 'node:fs';
import {WebSocket} from 'ws';

const [kind] = process.argv.slice(2);
const {ATTACK_PORT, ATTACK_DOMAIN, ATTACK_CA, ATTACK_TOKEN, ATTACK_FROM} = process.env;
const SESSIONS = 150;
const NAMES = 100;

const record = (type, payload) => {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(((type << 24) | payload.length) >>> 0);
  return Buffer.concat([head, payload]);
};
const message = (fields) => record(5, Buffer.from(JSON.stringify(fields)));
const bind = (request) => {
  const payload = Buffer.from(JSON.stringify({type: 'bind', request, wish: {kind: 'tls', h2: false}}));
  const head = Buffer.alloc(10);
  head.writeUInt32BE(((0x17 << 24) | payload.length) >>> 0);
  return Buffer.concat([head, payload]);
};
const binds = record(1, Buffer.concat(Array.from({length: NAMES}, (_, i) => bind(i + 1))));

/** Resolves with a socket whose session has its names, or was refused some of them. */
function begin() {
  return new Promise((resolve) => {
    const socket = new WebSocket(`wss://127.0.0.1:${ATTACK_PORT}/agent`, 'tunl.v1', {
      ca: readFileSync(ATTACK_CA),
      servername: ATTACK_DOMAIN,
      localAddress: ATTACK_FROM,
      perMessageDeflate: false,
      headers: {authorization: `Bearer ${ATTACK_TOKEN}`},
    });
    let answered = 0;
    socket.on('error', () => {});
    socket.on('close', () => resolve(socket));
    socket.on('message', (data) => {
      const text = data.toString('latin1');
      if (text.includes('"challenge"'))
        socket.send(message({type: 'hello', software: 'attacker', nonce: '00'.repeat(16)}));
      else if (text.includes('"welcome"')) socket.send(binds);
      answered += text.match(/"request"/g)?.length ?? 0;
      if (answered >= NAMES) resolve(socket);
    });
  });
}

async function releases() {
  const sockets = [];
  // A few at a time: connections that wait for an accept are not part of this attack.
  const some = async () => {
    while (sockets.length < SESSIONS) {
      const at = sockets.push(undefined) - 1;
      sockets[at] = await begin();
    }
  };
  await Promise.all(Array.from({length: 10}, some));
  process.stderr.write('begun\n');
  // A session that the relay refused is gone already.
  const gone = sockets
    .filter(({readyState}) => readyState !== WebSocket.CLOSED)
    .map((socket) => new Promise((resolve) => socket.once('close', resolve)));
  for (const socket of sockets) {
    if (socket.readyState === socket.OPEN) socket.send(message({type: 'close', code: 'CLOSED', message: ''}));
    socket.close();
  }
  await Promise.all(gone);
  process.stderr.write('gone\n');
}

if (kind === 'releases') for (;;) await releases();
process.stderr.write('begun\n');
for (;;);
