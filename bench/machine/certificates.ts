// One temporary certificate for every program here that terminates TLS: P-256, like tunl's own.

import {execFileSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Tools} from './tools.js';

export interface Certificate {
  /** The name in the visitors' requests. */
  host: string;
  certFile: string;
  keyFile: string;
}

export function makeCertificate(tools: Tools, folder: string): Certificate {
  const host = 'bench.localhost';
  const [certFile, keyFile, config] = ['cert.pem', 'key.pem', 'openssl.cnf'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  writeFileSync(
    config,
    `[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n[dn]\nCN=${host}\n[ext]\nsubjectAltName=DNS:${host}\n`,
  );
  execFileSync(
    tools.path('openssl'),
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ],
      ...['-config', config, '-keyout', keyFile, '-out', certFile],
    ],
    {stdio: 'ignore'},
  );
  return {host, certFile, keyFile};
}
