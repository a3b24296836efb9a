// An nginx for a test as an upstream: a small page and a big file, served fast enough never to be the bottleneck.
import {mkdir, truncate, writeFile} from 'node:fs/promises';
import {createConnection, type NetConnectOpts} from 'node:net';
import {join} from 'node:path';
import {Child} from './child.js';
import {type Scope, unusedPort} from './scope.js';

/** `/` answers 100 bytes, `/big` a file of `bigBytes` zeros. */
export async function startNginx(scope: Scope, bigBytes: number): Promise<number> {
  const port = await unusedPort();
  await startNginxAt(scope, bigBytes, {listen: `127.0.0.1:${port}`, place: {port, host: '127.0.0.1'}});
  return port;
}

export interface NginxPlace {
  /** The argument of `listen`. */
  listen: string;
  /** How to connect to it. */
  place: NetConnectOpts;
  /** More lines of the server block. */
  settings?: readonly string[];
}

/** The same at any address that nginx can listen on. */
export async function startNginxAt(
  scope: Scope,
  bigBytes: number,
  {listen, place, settings = []}: NginxPlace,
): Promise<Child> {
  const folder = await scope.tempDir('nginx');
  await mkdir(join(folder, 'www'));
  await writeFile(join(folder, 'www', 'index.html'), 'x'.repeat(100));
  await writeFile(join(folder, 'www', 'big'), '');
  await truncate(join(folder, 'www', 'big'), bigBytes);
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const config = `daemon off;
worker_processes 1;
pid ${folder}/pid;
error_log stderr;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000;
  ${places.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n  ')}
  server { listen ${listen}; root ${folder}/www; ${settings.join(' ')} }
}
`;
  await writeFile(join(folder, 'nginx.conf'), config);
  // Its files are below a folder that only this user may enter.
  const user = process.getuid?.() === 0 ? ['-g', 'user root;'] : [];
  const nginx = Child.start(scope, '/usr/sbin/nginx', [
    '-c',
    join(folder, 'nginx.conf'),
    '-p',
    folder,
    '-e',
    'stderr',
    ...user,
  ]);
  await listens(place);
  return nginx;
}

/** Resolves when a server accepts connections. */
export async function listens(place: NetConnectOpts): Promise<void> {
  for (;;) {
    const socket = createConnection(place);
    const up = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
