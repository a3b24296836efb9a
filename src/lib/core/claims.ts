// Reads the claims of an identity, which an issuer has signed and a person may have written.

export type Claims = Readonly<Record<string, unknown>>;

/** The texts of a claim. Anybody can write any address into an account, so only a verified one counts. */
export function textsOf(claims: Claims, name: string): string[] {
  if (!Object.hasOwn(claims, name)) return [];
  if (name === 'email' && claims.email_verified !== true && claims.email_verified !== 'true') return [];
  const value = claims[name];
  return (Array.isArray(value) ? (value as unknown[]) : [value])
    .filter((each) => typeof each === 'string' || typeof each === 'number' || typeof each === 'boolean')
    .map(String);
}
