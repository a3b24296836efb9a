// Loads the operation of a relay only for one that is operated: a relay inside a program needs nothing of it.

import type {RelaySettings} from '../settings.js';
import type {Admin, AdminOptions} from './admin.js';

export function isOperated({admin, metricsListen, auditFile}: RelaySettings): boolean {
  return admin || metricsListen !== undefined || auditFile !== undefined;
}

export async function openAdmin(options: AdminOptions): Promise<Admin> {
  const {Admin} = await import('./admin.js');
  return new Admin(options);
}
