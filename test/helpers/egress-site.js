// The destinations of the tests of egress, in one network namespace: each connection is told where it comes from, and a name
// server answers from a zone. `node egress-site.js ZONE` with ZONE as JSON: name → {a, aaaa}.
import {createHash} from 'node:crypto';
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

web.listen(80, '::', () => counter.listen(5432, '::', () => console.log('up')));
