// The events of the commands that start a relay, and of those that check its configuration.

import type {ErrorCode} from '../core/errors.js';

/** `tunl relay start`: the relay accepts agents and visitors. */
export interface ListeningEvent {
  type: 'listening';
  /** The value for --relay of agents. */
  url: string;
  domain: string;
  /** The address that it listens on; the port is the actual one. */
  address: {host: string; port: number};
  /** The address that redirects plain HTTP to HTTPS, if there is one. */
  http?: {host: string; port: number};
  /** The address of metrics, health and the page for operators, if there is one. */
  metrics?: {host: string; port: number};
  /** PEM file of the private CA; absent when certificates were given. */
  caFile?: string;
  /** True when agents must show a token; absent otherwise. */
  tokenRequired?: true;
  /** The file of that token, if it was given as a file. */
  tokenFile?: string;
  /** With --detach: the argument for `tunl stop` and `tunl logs`. */
  id?: string;
}

/** `tunl relay start`: the relay has stopped in order; the last event. */
export interface StoppedEvent {
  type: 'stopped';
}

/** `tunl relay ca`: the path of the private CA's certificate. */
export interface CertificateEvent {
  type: 'certificate';
  caFile: string;
  /** How to make programs and browsers trust it, as text for people. */
  instructions: string;
}

/** `tunl relay check`: a mistake. */
export interface MistakeEvent {
  type: 'mistake';
  file: string;
  /** Both from 1; absent when the mistake has no place in the file. */
  line?: number;
  column?: number;
  code: ErrorCode;
  message: string;
  next: string;
}

/** `tunl relay check`: a relay can start with this file. */
export interface CheckedEvent {
  type: 'checked';
  file: string;
}

/** `tunl relay config`: a setting of the relay. */
export interface SettingEvent {
  type: 'setting';
  /** Its key in a configuration file. */
  name: string;
  /** As it is written in a file or a flag; null when it has none. */
  value: string | readonly string[] | null;
  /** For secrets: `value` is null in any case. */
  secret?: 'given' | 'missing';
  /** With --sources. */
  source?: 'flag' | 'environment' | 'file' | 'default';
  /** The flag, the variable, or `FILE:LINE`; absent for a default. */
  from?: string;
}

export type RelayStartEvent =
  | ListeningEvent
  | StoppedEvent
  | CertificateEvent
  | MistakeEvent
  | CheckedEvent
  | SettingEvent;
