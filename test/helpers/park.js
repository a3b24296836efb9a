// Many agents of the library in one process: `park.js COUNT PORT…`, each with its own state folder below TUNL_PARK.
// Agent i forwards every PORT, by its own loopback address. One JSON line for each event: {agent, port, …}.
import {join} from 'node:path';
import {forward} from '../../dist/index.js';

const [count = 1, ...ports] = process.argv.slice(2).map(Number);
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const unencrypted = process.env.TUNL_PARK_TCP === '1';
const tunnels = [];
for (let agent = 0; agent < count; agent++) {
  const stateDir = join(process.env.TUNL_PARK ?? '', String(agent));
  const host = `127.1.${agent >> 8}.${agent & 255}`;
  // The tunnels of one agent together, one agent after the other: otherwise a hundred keys would be made at once.
  const some = ports.map((port) =>
    forward(port, {
      host,
      stateDir,
      unencrypted,
      onEvent: (event) => {
        if (event.type !== 'connection') say({agent, port, at: Date.now(), ...event});
      },
    }),
  );
  tunnels.push(...(await Promise.all(some)));
}
say({type: 'all', tunnels: tunnels.length});
const idle = setInterval(() => {}, 1 << 30);
await new Promise((resolve) => process.once('SIGTERM', resolve));
await Promise.all(tunnels.map((tunnel) => tunnel.close()));
clearInterval(idle);
