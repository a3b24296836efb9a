// The environment of the programs that tunl starts.

/** All variables of tunl that are secrets. */
const SECRETS = ['TUNL_TOKEN', 'TUNL_LINK', 'TUNL_BASIC_AUTH_PASSWORD', 'TUNL_OIDC_SECRET'] as const;

/** Removes the secrets of tunl's own commands: a visitor who gets into the program must not find them. */
export function childEnv(env: Readonly<NodeJS.ProcessEnv> = process.env): NodeJS.ProcessEnv {
  const rest = {...env};
  for (const name of SECRETS) delete rest[name];
  return rest;
}
