// An agent that floods its relay, in a separate process: `node flooder.js KIND` with URL, CA and token in the environment.
// It prints `flooding` when it has a session, and reads none of the relay's answers.
import {readFileSync} from 'node:fs';
import {connect} from 'node:net';
import {WebSocket} from 'ws';

const [kind] = process.argv.slice(2);
const {FLOOD_PORT, FLOOD_DOMAIN, FLOOD_CA, FLOOD_TOKEN} = process.env;

const record = (type, payload) => {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(((type << 24) | payload.length) >>> 0);
  return Buffer.concat([head, payload]);
};
const frame = (type, stream, payload) => {
  const head = Buffer.alloc(10);
  head.writeUInt32BE(((type << 24) | payload.length) >>> 0);
  head.writeUIntBE(stream, 4, 6);
  return Buffer.concat([head, payload]);
};
const many = (count, make) => Buffer.concat(Array.from({length: count}, (_, i) => make(i)));

let nextRequest = 1;
let nextStream = 2;
/** About as much as one read of a socket. */
const portions = {
  pings: () => many(5_000, () => record(3, Buffer.alloc(8))),
  // The same name again and again: each bind takes over the tunnel of the last one.
  binds: () =>
    record(
      1,
      many(500, () =>
        frame(
          0x17,
          0,
          Buffer.from(
            JSON.stringify({
              type: 'bind',
              request: nextRequest++,
              wish: {kind: 'tls', h2: false, name: 'flood'},
            }),
          ),
        ),
      ),
    ),
  opens: () =>
    record(
      1,
      many(3_000, () => {
        nextStream += 2;
        return frame(0x10, nextStream - 2, Buffer.from('\u0001{}'));
      }),
    ),
  acks: () => many(200, () => many(50, () => record(2, Buffer.alloc(8)))),
};

const socket = new WebSocket(`wss://127.0.0.1:${FLOOD_PORT}/agent`, 'tunl.v1', {
  ca: readFileSync(FLOOD_CA),
  servername: FLOOD_DOMAIN,
  perMessageDeflate: false,
  headers: {authorization: `Bearer ${FLOOD_TOKEN}`},
});
socket.on('error', () => {});
socket.on('close', () => process.exit(0));
let asked = false;
socket.on('message', () => {
  if (!asked) {
    asked = true;
    const hello = {type: 'hello', software: 'flooder', nonce: '00'.repeat(16)};
    socket.send(record(5, Buffer.from(JSON.stringify(hello))));
    return;
  }
  socket.removeAllListeners('message');
  if (kind === 'drops') drip();
  else flood(portions[kind]);
});

function flood(make) {
  console.error('flooding');
  const again = () => socket.send(make(), (error) => !error && setImmediate(again));
  again();
}

/** Single bytes for its own visitor, who reads them: as many as there is credit for. */
function drip() {
  let records = Buffer.alloc(0);
  let frames = Buffer.alloc(0);
  let credit = 262_144;
  let stream;
  const write = () => {
    if (stream === undefined || credit < 2_000) return;
    credit -= 2_000;
    const bytes = record(
      1,
      many(2_000, () => frame(0x13, stream, Buffer.from('x'))),
    );
    socket.send(bytes, (error) => !error && setImmediate(write));
  };
  const onFrame = (type, id, payload) => {
    if (type === 0x16) {
      const stood = credit < 2_000;
      credit += payload.readUInt32BE();
      if (stood) write();
    } else if (type === 0x10) {
      stream = id;
      socket.send(record(1, frame(0x11, id, Buffer.alloc(0))));
      console.error('flooding');
      write();
    } else if (type === 0x17) {
      connect(JSON.parse(payload.toString()).port, '127.0.0.1').resume();
    }
  };
  let received = 0;
  socket.on('message', (data) => {
    records = Buffer.concat([records, data]);
    while (records.length >= 4 && records.length >= 4 + records.readUIntBE(1, 3)) {
      const end = 4 + records.readUIntBE(1, 3);
      if (records[0] === 1) {
        frames = Buffer.concat([frames, records.subarray(4, end)]);
        received += end - 4;
        const count = Buffer.alloc(8);
        count.writeBigUInt64BE(BigInt(received));
        socket.send(record(2, count));
      }
      records = records.subarray(end);
    }
    while (frames.length >= 10 && frames.length >= 10 + frames.readUIntBE(1, 3)) {
      const end = 10 + frames.readUIntBE(1, 3);
      onFrame(frames[0], frames.readUIntBE(4, 6), frames.subarray(10, end));
      frames = frames.subarray(end);
    }
  });
  const bind = {type: 'bind', request: 1, wish: {kind: 'tcp'}};
  socket.send(record(1, frame(0x17, 0, Buffer.from(JSON.stringify(bind)))));
}
