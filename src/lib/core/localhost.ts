// The rule of RFC 6761 §6.3: `localhost` and every name below it mean this machine, whatever a resolver says.

export function isLocalhostName(host: string): boolean {
  return /(^|\.)localhost\.?$/i.test(host);
}

/** The one name of loopback that every resolver knows. Some know no name below it. */
export const LOCAL_HOST = 'localhost';
