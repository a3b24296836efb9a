// Makes the gates of a tunnel from its settings. Without a setting of a gate none of their code is loaded.

import type {GATE_SETTINGS} from './agent/settings-table.js';
import type {TunnelGates} from './agent/upstreams/gated/tunnel-gates.js';
import {TunlError} from './core/errors.js';
import type {SettingsOf} from './core/settings.js';
import {readSecretFile} from './core/state-dir.js';

type GateValues = SettingsOf<typeof GATE_SETTINGS>;

interface AboutTunnel {
  unencrypted: boolean;
  h2: boolean;
  waitUpstreamMs: number;
  offlinePage: boolean;
}

/** @throws TunlError GATE_WITH_TCP, OPTION_INVALID, PASSWORD_FILE_EMPTY, FILE_UNREADABLE */
export async function openGates(settings: GateValues & AboutTunnel): Promise<TunnelGates | undefined> {
  const {private: isPrivate, forwarded, unencrypted, h2, waitUpstreamMs: waitMs, offlinePage} = settings;
  const basicAuth = await readBasicAuth(settings);
  if (!isPrivate && !forwarded && basicAuth === undefined) return undefined;
  // A stream of bytes has no place for a password or a header.
  if (unencrypted && (forwarded || basicAuth !== undefined)) throw new TunlError('GATE_WITH_TCP');
  const {TunnelGates: Gates} = await import('./agent/upstreams/gated/tunnel-gates.js');
  return new Gates({isStream: unencrypted, isPrivate, basicAuth, forwarded, h2, waitMs, offlinePage});
}

async function readBasicAuth({
  basicAuth: user,
  basicAuthPassword: password,
  basicAuthFile: file,
}: GateValues): Promise<{user: string; password: string} | undefined> {
  if (user === undefined) {
    // The variable may be set for other commands.
    if (file === undefined) return undefined;
    throw new TunlError('OPTION_INVALID', {
      reason: 'The file of a password needs the name of its user.',
      next: 'Add {basicAuth: "user"} (--basic-auth USER).',
    });
  }
  const read = file === undefined ? password : await readSecretFile(file, 'password');
  if (read !== undefined) return {user, password: read};
  throw new TunlError('OPTION_INVALID', {
    reason: 'There is no password for the visitors.',
    next: 'Give basicAuthPassword or basicAuthFile (TUNL_BASIC_AUTH_PASSWORD, --basic-auth-file FILE).',
  });
}
