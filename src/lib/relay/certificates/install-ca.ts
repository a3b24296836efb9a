// How to make programs trust the relay's private CA.

import {shellWord} from '../../core/shell-word.js';
import {stateDir as defaultStateDir} from '../../core/state-dir.js';
import {Authority} from './authority.js';

/** The CA of a state folder, made if there is none yet. @returns the path of its certificate. @throws TunlError STATE_DIR */
export async function ensureCa(stateDir: string = defaultStateDir()): Promise<string> {
  return (await Authority.open(stateDir)).caFile;
}

/** For people: one line for each program, safe to paste into a shell. */
export function trustInstructions(caFile: string): string {
  const file = quoted(caFile);
  return `Who trusts this certificate trusts every name that this relay vouches for: give it to nobody but your visitors.

  tunl                 tunl expose 8000 --ca-file ${file}
  curl                 curl --cacert ${file} https://…
  Node                 NODE_EXTRA_CA_CERTS=${file} node …
  Python (requests)    REQUESTS_CA_BUNDLE=${file} python …
  Debian, Ubuntu       sudo cp ${file} /usr/local/share/ca-certificates/tunl.crt && sudo update-ca-certificates
  macOS                security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db ${file}
  Windows              certutil -user -addstore Root ${file}
  Chromium on Linux    certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n tunl -i ${file}
  Firefox              Settings, Certificates, View Certificates, Authorities, Import
`;
}

/** State folders may have spaces in their names, for example on macOS. */
function quoted(path: string): string {
  return path.includes('\\') ? `"${path}"` : shellWord(path);
}
