// A separate process that forwards every port in its arguments with the library, and prints the addresses.
// `forward-all.js [--tcp] PORT…`: one line of JSON for each tunnel, then `all`; it ends in order on SIGTERM.
import {forward} from '../../dist/index.js';

const words = process.argv.slice(2);
const unencrypted = words[0] === '--tcp';
const ports = words.filter((word) => word !== '--tcp').map(Number);
const tunnels = await Promise.all(ports.map((port) => forward(port, {unencrypted})));
for (const [index, tunnel] of tunnels.entries()) {
  const line = {port: ports[index], tls: tunnel.tlsSocket, ...(unencrypted && {tcp: tunnel.tcpSocket})};
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
process.stdout.write('all\n');
const asked = new Promise((resolve) => {
  process.once('SIGTERM', resolve);
});
const idle = setInterval(() => {}, 1 << 30);
await asked;
await Promise.all(tunnels.map((tunnel) => tunnel.close()));
clearInterval(idle);
