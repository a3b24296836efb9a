// The destinations of the tests of egress, in one network namespace: each connection is told where it comes from, and a name
// server answers from a zone. `node egress-site.js ZONE` with ZONE as JSON: name → {a, aaaa}.
import {createHash} from 'node:crypto';
import {createSocket} from 'node:dgram';
import {createServer} from 'node:http';
import {createServer as createTcpServer} from 'node:net';

const plain = (address = '') => address.replace('::ffff:', '');

/** GET / has the address of the client as its body; GET /bulk/N has N bytes and their hash in a header. */
const web = createServer((request, response) => {
  const [, kind, size] = request.url.split('/');
  if (kind === 'bulk') {
    const piece = Buffer.alloc(64 * 1024, createHash('sha256').update(size).digest());
    let left = Number(size);
    response.setHeader('content-length', left);
    const more = () => {
      while (left > 0) {
        const next = piece.subarray(0, Math.min(left, piece.length));
        left -= next.length;
        if (!response.write(next)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
    return;
  }
  response.end(`${plain(request.socket.remoteAddress)}\n`);
});

/** Says who has come, counts up to the half-close, and answers after it. */
const counter = createTcpServer({allowHalfOpen: true}, (socket) => {
  let bytes = 0;
  socket.on('error', () => {});
  socket.write(`from ${plain(socket.remoteAddress)}\n`);
  socket.on('data', (piece) => {
    bytes += piece.length;
  });
  socket.on('end', () => socket.end(`read ${bytes}\n`));
});

// Each has an address of its own: answers have to come from the address that was asked.
for (const [type, own] of [
  ['udp4', '203.0.113.10'],
  ['udp6', '2001:db8::10'],
]) {
  /** Sends a datagram back, after the address that it came from. */
  const echo = createSocket(type);
  echo.on('message', (datagram, {address, port}) =>
    echo.send(Buffer.concat([Buffer.from(`${address} `), datagram]).subarray(0, 65_507), port, address),
  );
  echo.bind(7, own);
}

/** A name server at a port of its own: it passes questions on to the one of this namespace. */
const names = createSocket('udp4');
names.on('message', (question, {address, port}) => {
  const onward = createSocket('udp4');
  onward.once('message', (answer) => {
    onward.close();
    names.send(answer, port, address);
  });
  onward.send(question, 53, '203.0.113.53');
});
names.bind(5353, '203.0.113.10');

web.listen(80, '::', () => counter.listen(5432, '::', () => console.log('up')));
