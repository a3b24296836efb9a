// Tells an issuer's tokens from those of a relay.

/** A JWT. */
export function isFromIssuer(token: string): boolean {
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(token);
}
