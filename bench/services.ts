// The upstreams that only some loads need: each is a program that listens on a plain port and on one with TLS.

import {fileURLToPath} from 'node:url';
import type {Scope} from '../test/helpers/scope.js';
import type {Certificate} from './machine/certificates.js';
import {start, within} from './machine/programs.js';

const programs = {uploadTls: 'sink.js', echo: 'echo.js', grpc: 'grpc.js'} as const;

/** Also the name of the route to it. */
export type Service = keyof typeof programs;

export interface Ports {
  port: number;
  /** The same over TLS, for peers that do not terminate it. */
  tlsPort: number;
}

export type Services = Partial<Record<Service, Ports>>;

export function isService(name: string): name is Service {
  return Object.hasOwn(programs, name);
}

export async function startServices(
  scope: Scope,
  names: readonly Service[],
  certificate: Certificate,
): Promise<Services> {
  const all = names.map(async (name) => [name, await startService(scope, name, certificate)] as const);
  return Object.fromEntries(await Promise.all(all));
}

export async function startService(scope: Scope, name: Service, certificate: Certificate): Promise<Ports> {
  const file = fileURLToPath(new URL(`services/${programs[name]}`, import.meta.url));
  const program = start(scope, process.execPath, [file, certificate.certFile, certificate.keyFile]);
  await within(
    10_000,
    `ports of ${programs[name]}`,
    program.line(() => program.lines.length >= 2),
  );
  const [port = 0, tlsPort = 0] = program.lines.map(Number);
  return {port, tlsPort};
}
