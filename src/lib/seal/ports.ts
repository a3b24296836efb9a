// The ports of a seal's listeners. This file imports nothing: the program that makes the listeners has to start quickly.

/** Below 1024: a program without capabilities cannot listen there, so it loses no port. IANA has assigned none of these. */
export const FIRST_DOOR = 914;
export const DOORS = 32;
/** Each listener stands for so many ports. */
export const PORTS_OF_DOOR = 65_536 / DOORS;
/** The UDP port of the resolver on both loopback addresses. */
export const RESOLVER_PORT = 979;
