// The rule of RFC 6761 §6.3: `localhost` and every name below it mean this machine, whatever a resolver says.

export function isLocalhostName(host: string): boolean {
  return /(^|\.)localhost\.?$/i.test(host);
}
