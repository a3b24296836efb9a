// Authorities, certificates and TLS servers made by the openssl command.
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {run} from './child.js';
import type {Scope} from './scope.js';

export interface OpensslAuthority {
  /** PEM of the certificate to trust. */
  caFile: string;
  /** A leaf certificate for this name, for servers and for clients. */
  issue(name: string): Promise<{certFile: string; keyFile: string}>;
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export async function opensslAuthority(scope: Scope, name = 'Own CA'): Promise<OpensslAuthority> {
  const folder = await scope.tempDir('openssl');
  const at = (file: string) => join(folder, file);
  const openssl = async (...args: string[]) => {
    const {code, stderr} = await run(scope, 'openssl', args);
    if (code !== 0) throw new Error(stderr);
  };
  await openssl(
    'req',
    '-x509',
    ...EC,
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.pem'),
  );
  let issued = 0;
  return {
    caFile: at('ca.pem'),
    issue: async (host) => {
      issued += 1;
      const [keyFile, request, certFile, extensions] = ['key', 'csr', 'pem', 'ext'].map((kind) =>
        at(`${issued}.${kind}`),
      ) as [string, string, string, string];
      await writeFile(extensions, `subjectAltName=DNS:${host}\n`);
      await openssl('req', ...EC, '-subj', `/CN=${host}`, '-keyout', keyFile, '-out', request);
      await openssl(
        'x509',
        '-req',
        '-days',
        '2',
        '-CA',
        at('ca.pem'),
        '-CAkey',
        at('ca.key'),
        '-CAcreateserial',
        '-extfile',
        extensions,
        '-in',
        request,
        '-out',
        certFile,
      );
      return {certFile, keyFile};
    },
  };
}
