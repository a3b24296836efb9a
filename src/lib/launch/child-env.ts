// The environment of started programs.

/** Removes the relay's token: a person who gets into the program must not find it. */
export function childEnv(env: Readonly<NodeJS.ProcessEnv> = process.env): NodeJS.ProcessEnv {
  const {TUNL_TOKEN: _, ...rest} = env;
  return rest;
}
