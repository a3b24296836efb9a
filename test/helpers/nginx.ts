// An nginx of the test's own as an upstream: a small page and a big file, served by a process that is nobody's bottleneck.
import {mkdir, truncate, writeFile} from 'node:fs/promises';
import {createConnection} from 'node:net';
import {join} from 'node:path';
import {Child} from './child.js';
import {type Scope, unusedPort} from './scope.js';

/** `/` answers 100 bytes, `/big` a file of `bigBytes` zeros. */
export async function startNginx(scope: Scope, bigBytes: number): Promise<number> {
  const folder = await scope.tempDir('nginx');
  const port = await unusedPort();
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
  server { listen 127.0.0.1:${port}; root ${folder}/www; }
}
`;
  await writeFile(join(folder, 'nginx.conf'), config);
  // Its files are below a folder that only this user may enter.
  const user = process.getuid?.() === 0 ? ['-g', 'user root;'] : [];
  Child.start(scope, '/usr/sbin/nginx', [
    '-c',
    join(folder, 'nginx.conf'),
    '-p',
    folder,
    '-e',
    'stderr',
    ...user,
  ]);
  for (;;) {
    const socket = createConnection({port, host: '127.0.0.1'});
    const up = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (up) return port;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
