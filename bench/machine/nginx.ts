// An nginx for the bench: everything in one temporary folder, no log of requests.

import {existsSync, mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Child} from '../../test/helpers/child.js';
import type {Scope} from '../../test/helpers/scope.js';
import {start, within} from './programs.js';
import type {Tools} from './tools.js';

/** Folders that nginx would otherwise make in system places. */
const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

export interface NginxOptions {
  /** The content of its `http` block. */
  http: string;
  /** The network namespace it runs in, if not this one. */
  namespace?: string;
}

/** Starts nginx and resolves when it listens. */
export async function startNginx(
  scope: Scope,
  tools: Tools,
  {http, namespace}: NginxOptions,
): Promise<Child> {
  const folder = join(await scope.tempDir('bench-nginx'), 'nginx');
  mkdirSync(folder);
  const config = join(folder, 'nginx.conf');
  const pidFile = join(folder, 'nginx.pid');
  writeFileSync(
    config,
    `
daemon off;
worker_processes 2;
pid ${pidFile};
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_rlimit_nofile 32768;
events { worker_connections 16384; }
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
  const words = ['-c', config, '-p', folder, '-e', join(folder, 'error.log')];
  const nginx = start(scope, tools.path('nginx'), words, namespace === undefined ? {} : {namespace});
  // nginx writes it after the ports are open, and every namespace can see it.
  await within(10_000, 'nginx', written(pidFile));
  return nginx;
}

async function written(file: string): Promise<void> {
  while (!existsSync(file)) await sleep(5);
}
