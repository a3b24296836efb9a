// What the upstream services have in common: a certificate from the command line, free ports, an end by SIGTERM.
import {readFileSync} from 'node:fs';

/** The certificate and key whose files are the first two arguments. */
export function certificate() {
  const [cert, key] = process.argv.slice(2, 4).map((file) => readFileSync(file));
  return {cert, key};
}

/** Listens on free ports of loopback and prints them, one a line, in the order of the servers. */
export async function listen(...servers) {
  for (const server of servers) await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  for (const server of servers) console.log(server.address().port);
  process.once('SIGTERM', () => process.exit(0));
}
