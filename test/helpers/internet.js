// A small internet for one network namespace: every TCP port of it answers with the address and port that were dialled, and a
// name server answers from a zone. `node internet.js ZONE` with ZONE as JSON: name → {a, aaaa, cname, turns}.
import {createSocket} from 'node:dgram';
import {createServer} from 'node:net';

const zone = new Map(Object.entries(JSON.parse(process.argv[2] ?? '{}')));
/** nft sends all ports here; the port that was meant is told by the client's first word, or not at all. */
const server = createServer({allowHalfOpen: true}, (socket) => {
  socket.on('error', () => {});
  socket.write(`reached ${socket.localAddress.replace('::ffff:', '')}\n`);
  let bytes = 0;
  socket.on('data', (piece) => {
    bytes += piece.length;
    if (piece.toString('latin1').endsWith('reset please\n')) socket.resetAndDestroy();
  });
  socket.on('end', () => socket.end(`read ${bytes}\n`));
});

const TYPES = {a: 1, cname: 5, aaaa: 28};

function encodeName(name) {
  return Buffer.concat([
    ...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0]),
  ]);
}

function record(name, type, data) {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([encodeName(name), head, data]);
}

const bytesOf = (address) =>
  address.includes(':')
    ? Buffer.from(
        address
          .replace('::', `:${'0:'.repeat(9 - address.split(':').length)}`)
          .split(':')
          .map((group) => group.padStart(4, '0'))
          .join(''),
        'hex',
      )
    : Buffer.from(address.split('.').map(Number));

const names = createSocket('udp4', (query, {port, address}) => {
  const labels = [];
  let at = 12;
  for (; query[at] > 0; at += query[at] + 1)
    labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
  const type = query.readUInt16BE(at + 1);
  const records = [];
  let name = labels.join('.').toLowerCase();
  console.log(`asked ${name}`);
  let entry = zone.get(name);
  const found = entry !== undefined;
  if (entry?.cname !== undefined) {
    records.push(record(name, TYPES.cname, encodeName(entry.cname)));
    name = entry.cname;
    entry = zone.get(name);
  }
  const wanted = type === TYPES.a ? 'a' : type === TYPES.aaaa ? 'aaaa' : undefined;
  // Another answer after the first one.
  const all =
    wanted === 'a' && entry?.turns !== undefined
      ? [entry.turns.length > 1 ? entry.turns.shift() : entry.turns[0]]
      : entry?.[wanted];
  for (const each of all ?? []) records.push(record(name, type, bytesOf(each)));
  const head = Buffer.from(query.subarray(0, 12));
  head.writeUInt16BE(0x8180 | (found ? 0 : 3), 2);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt16BE(0, 10);
  names.send(Buffer.concat([head, query.subarray(12, at + 5), ...records]), port, address);
});

server.listen(9, '::', () => names.bind(53, '203.0.113.53', () => console.log('up')));
