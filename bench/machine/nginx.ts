// An nginx of our own: everything in one temporary folder, nothing logged per request.

import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Scope} from '../../test/helpers/scope.js';
import {accepting} from './ports.js';
import {start} from './programs.js';
import type {Tools} from './tools.js';

/** Folders that nginx wants to make in places of the system. */
const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/** Starts nginx with the given content of its `http` block and resolves when all `ports` accept. */
export async function startNginx(
  scope: Scope,
  tools: Tools,
  http: string,
  ports: readonly number[],
): Promise<void> {
  const folder = join(await scope.tempDir('bench-nginx'), 'nginx');
  mkdirSync(folder);
  const config = join(folder, 'nginx.conf');
  writeFileSync(
    config,
    `
daemon off;
worker_processes 2;
pid ${folder}/nginx.pid;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
  access_log off;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  # Load generators keep their connections for as long as they run.
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n  ')}
  ${http}
}
`,
  );
  start(scope, tools.path('nginx'), ['-c', config, '-p', folder, '-e', join(folder, 'error.log')]);
  for (const port of ports) await accepting(port);
}
