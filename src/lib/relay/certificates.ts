import {readFileSync} from 'node:fs';
import {createSecureContext, type SecureContext} from 'node:tls';
export interface CertificateSource {
  contextFor(name: string): SecureContext | Promise<SecureContext>;
  caFile?: string;
}
export async function openCertificates(o: {
  certFile?: string | undefined;
  keyFile?: string | undefined;
  stateDir: string;
  domain: string;
  log?: unknown;
}): Promise<CertificateSource> {
  const context = createSecureContext({
    cert: readFileSync(o.certFile ?? ''),
    key: readFileSync(o.keyFile ?? ''),
  });
  return {contextFor: () => context};
}
