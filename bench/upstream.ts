// The upstreams: nginx with a small JSON answer and large files, and a sink that takes uploads.

import {closeSync, mkdirSync, openSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import type {Scope} from '../test/helpers/scope.js';
import {type Certificate, makeCertificate} from './machine/certificates.js';
import {startNginx} from './machine/nginx.js';
import {freePorts} from './machine/ports.js';
import type {Tools} from './machine/tools.js';
import {loopback} from './peers/peer.js';
import {type Service, type Services, startService, startServices} from './services.js';

export interface Upstream {
  /** Plain HTTP. */
  port: number;
  /** The same over TLS, for the comparison without a tunnel. */
  tlsPort: number;
  /** Takes any PUT, counts its bytes and drops them. */
  sinkPort: number;
  /** The services that the chosen loads need besides. */
  services: Services;
  certificate: Certificate;
  /** The folder for the files of all; removed at the end. */
  folder: string;
  /** The file that is downloaded and uploaded, and its size. */
  bulkFile: string;
  bulkBytes: number;
}

/** 111 bytes, like a small API's answer. */
const smallAnswer = JSON.stringify({
  id: 4711,
  name: 'a small answer of an interface',
  tags: ['bench', 'json'],
  price: 12.5,
  stock: 7,
  ok: true,
}).padEnd(111);

/** For loads that need many files in a row, not one large one. */
export const pieceBytes = 16 * 1024 * 1024;

/** Where nginx listens, if not on this machine's loopback. */
export interface Place {
  namespace: string;
  address: string;
}

export async function startUpstream(
  scope: Scope,
  tools: Tools,
  bulkBytes: number,
  {place, services = []}: {place?: Place; services?: readonly Service[]} = {},
): Promise<Upstream> {
  const address = place?.address ?? loopback;
  const folder = await scope.tempDir('bench');
  const certificate = makeCertificate(tools, folder);
  const [port, tlsPort] = (await freePorts(2)) as [number, number];
  const root = join(folder, 'www');
  mkdirSync(root);
  const bulkFile = join(root, 'bulk');
  writeNoise(bulkFile, bulkBytes);
  writeNoise(join(root, 'piece'), pieceBytes);
  const {certFile, keyFile} = certificate;
  const http = `server {
    listen ${address}:${port} backlog=4096;
    listen ${address}:${tlsPort} ssl backlog=4096;
    ssl_certificate ${certFile};
    ssl_certificate_key ${keyFile};
    root ${root};
    location = /small { default_type application/json; return 200 '${smallAnswer}'; }
  }`;
  await startNginx(scope, tools, {http, ...(place !== undefined && {namespace: place.namespace})});
  return {
    port,
    tlsPort,
    sinkPort: (await startService(scope, 'uploadTls', certificate)).port,
    services: await startServices(scope, services, certificate),
    certificate,
    folder,
    bulkFile,
    bulkBytes,
  };
}

/** Bytes that cannot be compressed. */
function writeNoise(path: string, bytes: number): void {
  const block = crypto.getRandomValues(new Uint8Array(65_536));
  const large = Buffer.alloc(4 * 1024 * 1024);
  for (let at = 0; at < large.length; at += block.length) large.set(block, at);
  const file = openSync(path, 'w');
  for (let left = bytes; left > 0; left -= large.length) {
    writeSync(file, large, 0, Math.min(left, large.length));
  }
  closeSync(file);
}
