// Opens TLS connections that resume a session, so many at the same time, with one small request on each.
//
//   node resumed.js HOST ADDRESS PORT CONNECTIONS SECONDS
import {connect} from 'node:tls';
import {measure} from './answers.js';

const [host, address, port, count, seconds] = process.argv.slice(2);
const request = `GET /small HTTP/1.1\r\nHost: ${host}:${port}\r\nConnection: close\r\n\r\n`;
/** Each place takes the newest session of its own last connection. */
const sessions = [];
let resumed = 0;
let all = 0;

function visit(index) {
  return new Promise((resolve, reject) => {
    const session = sessions[index];
    const socket = connect({
      ...{host: address, port: Number(port), servername: host, rejectUnauthorized: false},
      ...(session !== undefined && {session}),
    });
    let head = '';
    socket.setNoDelay(true);
    socket.on('session', (ticket) => {
      sessions[index] = ticket;
    });
    socket.on('secureConnect', () => {
      all += 1;
      if (socket.isSessionReused()) resumed += 1;
      socket.write(request);
    });
    socket.on('data', (chunk) => {
      head ||= chunk.toString('latin1', 0, 15);
    });
    socket.on('error', reject);
    socket.on('close', () => {
      if (head.startsWith('HTTP/1.1 200')) resolve();
      else reject(new Error(head));
    });
  });
}

// The first connections have nothing to resume.
await Promise.all(Array.from({length: Number(count)}, (_, index) => visit(index).catch(() => {})));
resumed = 0;
all = 0;
const facts = () => ({resumedPercent: all === 0 ? 0 : (100 * resumed) / all});
await measure({count: Number(count), seconds: Number(seconds), facts}, visit);
