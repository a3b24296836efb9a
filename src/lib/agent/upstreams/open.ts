// Makes the upstream for a target: files are read and checked here, before anything else is started.

import {stat} from 'node:fs/promises';
import {systemCode, TunlError} from '../../core/errors.js';
import {parseCertificate, parsePrivateKey, readCaFile} from '../../core/pem.js';
import {readTextFile} from '../../core/text-file.js';
import {checkHost} from '../../protocol/targets.js';
import type {UpstreamTls} from '../options.js';
import type {UpstreamTarget} from './target.js';
import {TcpUpstream} from './tcp.js';
import type {TlsSettings} from './tls.js';
import {UnixUpstream} from './unix.js';
import type {Upstream} from './upstream.js';

/**
 * A folder is served by code above the agent.
 *
 * @throws TunlError OPTION_INVALID, SOCKET_INVALID, FILE_UNREADABLE, CERTIFICATE_INVALID, KEY_MISMATCH
 */
export async function openUpstream(
  target: Exclude<UpstreamTarget, {kind: 'folder'}>,
  tls?: UpstreamTls,
): Promise<Upstream> {
  switch (target.kind) {
    case 'tcp':
      return new TcpUpstream(target);
    case 'unix':
      await checkSocket(target.path);
      return new UnixUpstream(target.path);
    case 'tls': {
      const settings = await readTls(tls ?? {});
      // Imported only here, because most upstreams do not speak TLS.
      const {TlsUpstream} = await import('./tls.js');
      return new TlsUpstream(target, settings);
    }
  }
}

/** A missing socket is no error: the service may start later, as with a port. */
async function checkSocket(path: string): Promise<void> {
  // On Windows a pipe is not a file.
  if (process.platform === 'win32') return;
  const found = await stat(path).catch((error: unknown) => error);
  if (found instanceof Error) {
    if (systemCode(found) === 'ENOENT') return;
    throw new TunlError('SOCKET_INVALID', {
      reason: `${path} cannot be used (${systemCode(found)}).`,
      next: 'Check its path and permissions.',
      cause: found,
    });
  }
  if ((found as Awaited<ReturnType<typeof stat>>).isSocket()) return;
  throw new TunlError('SOCKET_INVALID', {reason: `${path} is not a Unix socket.`});
}

async function readTls(options: UpstreamTls): Promise<TlsSettings> {
  const {caFile, certFile, keyFile, insecure, serverName} = options;
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new TunlError('OPTION_INVALID', {
      reason: 'A client certificate needs its key, and a key its certificate.',
      next: 'Give both: certFile and keyFile (--upstream-cert and --upstream-key).',
    });
  }
  if (insecure && caFile !== undefined) {
    throw new TunlError('OPTION_INVALID', {
      reason: 'A CA has no effect when any certificate is accepted.',
      next: 'Leave out insecure (--upstream-insecure), or the CA.',
    });
  }
  if (serverName !== undefined) checkHost(serverName, 'OPTION_INVALID');
  const ca = caFile === undefined ? undefined : await readCaFile(caFile);
  if (certFile === undefined || keyFile === undefined) return {ca, insecure, serverName};
  const [cert, key] = await Promise.all([readTextFile(certFile), readTextFile(keyFile)]);
  if (!parseCertificate(certFile, cert).checkPrivateKey(parsePrivateKey(keyFile, key))) {
    throw new TunlError('KEY_MISMATCH', {reason: `${keyFile} is not the key of ${certFile}.`});
  }
  return {ca, cert, key, insecure, serverName};
}
