// The environment of the programs that tunl starts.

/** Removes the relay's token: a visitor who gets into the program must not find it. */
export function childEnv(env: Readonly<NodeJS.ProcessEnv> = process.env): NodeJS.ProcessEnv {
  const {TUNL_TOKEN: _, ...rest} = env;
  return rest;
}
