// How to make programs trust the relay's private CA.

import {stateDir as defaultStateDir} from '../core/state-dir.js';
import {Authority} from './authority.js';

/** The CA of a state folder, made if there is none yet. @returns the path of its certificate. @throws TunlError STATE_DIR */
export async function ensureCa(stateDir: string = defaultStateDir()): Promise<string> {
  return (await Authority.open(stateDir)).caFile;
}

/** For people: one line a program. */
export function trustInstructions(caFile: string): string {
  return `Who trusts this certificate trusts every name that this relay vouches for: give it to nobody but your visitors.

  tunl                 tunl expose 8000 --ca-file ${caFile}
  curl                 curl --cacert ${caFile} https://…
  Node                 NODE_EXTRA_CA_CERTS=${caFile} node …
  Python (requests)    REQUESTS_CA_BUNDLE=${caFile} python …
  Debian, Ubuntu       cp ${caFile} /usr/local/share/ca-certificates/tunl.crt && update-ca-certificates
  macOS                security add-trusted-cert -k ~/Library/Keychains/login.keychain-db ${caFile}
  Windows              certutil -user -addstore Root tunl-ca.pem
  Chromium on Linux    certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n tunl -i ${caFile}
  Firefox              Settings, Certificates, View Certificates, Authorities, Import
`;
}
